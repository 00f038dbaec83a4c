from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from reefline.errors import BundleError, DataError
from reefline.evaluation.coco_metrics import compute_metrics
from reefline.evaluation.scores import Precision
from reefline.formats.tf_example import write_examples
from reefline.images.thumbnails import read_thumbnails
from reefline.inference import score_split
from reefline.inference.score_split import ScoredSplit, ScoringInputs
from reefline.structures.split_detections import BASELINE, FLOAT, SHIPPED, SplitImage
from tests.factories_evaluation import build_tflite, make_example, write_candidate, write_eval_split, write_model


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> ScoringInputs:
    directory = tmp_path_factory.mktemp("scoring")
    write_eval_split(directory / "examples")
    model = write_model(directory / "model")
    return ScoringInputs(
        records=tuple((directory / "examples" / "Split-eval").iterdir()),
        label_map=directory / "examples" / "label_map.pbtxt",
        saved_model=model / "saved_model",
        candidate=model / "bundle",
    )


@pytest.fixture
def score(tmp_path) -> Callable[[ScoringInputs], ScoredSplit]:
    """Score the models; thumbnails go to thumbnails.zip."""
    return lambda inputs: score_split.score_models(inputs, tmp_path / "thumbnails.zip")


def test_every_model_is_scored(inputs, score):
    baseline = dataclasses.replace(inputs, baseline=inputs.candidate, baseline_version=4)

    scores = score(baseline).scores

    assert scores.float_model.map == pytest.approx(1.0)
    assert scores.shipped.map == pytest.approx(1.0)
    assert scores.int8 == scores.shipped == scores.baseline
    assert scores.baseline_version == 4
    assert [(name, m.groundtruth) for name, m in scores.shipped.per_class.items()] == [("cat", 2), ("dog", 2)]


def test_detections_are_kept_with_the_truth(inputs, score):
    detections = score(dataclasses.replace(inputs, baseline=inputs.candidate, baseline_version=4)).detections

    assert detections.class_names == ("cat", "dog")
    assert detections.images == (SplitImage("0.jpg", 48, 24), SplitImage("1.jpg", 48, 24))
    assert [truth.class_indices.tolist() for truth in detections.ground_truth] == [[0, 1], [1, 0]]
    assert detections.ground_truth[0].boxes_xyxy_px.tolist() == [[0, 0, 24, 24], [24, 0, 48, 24]]
    assert list(detections.detections) == [FLOAT, SHIPPED, BASELINE]
    for model in detections.detections:
        seen = detections.detections[model][1]
        boxes = dict(zip(seen.class_indices.tolist(), seen.boxes_xyxy_px.round().tolist(), strict=True))
        assert boxes == {1: [0, 0, 24, 24], 0: [24, 0, 48, 24]}


def test_metrics_are_those_of_the_kept_detections(inputs, score):
    scored = score(inputs)

    assert compute_metrics(scored.detections.scored(SHIPPED), ("cat", "dog")) == scored.scores.shipped


def test_every_model_is_timed(inputs, score):
    milliseconds = score(inputs).scores.milliseconds

    assert list(milliseconds) == [FLOAT, SHIPPED]
    assert all(0 < value < 10_000 for value in milliseconds.values())


def test_every_image_has_a_thumbnail(inputs, score, tmp_path):
    score(inputs)

    thumbnails = read_thumbnails(tmp_path / "thumbnails.zip", {"0.jpg", "1.jpg", "2.jpg"})

    assert set(thumbnails) == {"0.jpg", "1.jpg"}
    with Image.open(io.BytesIO(thumbnails["1.jpg"])) as image:
        assert image.size == (48, 24)
        green, red = image.getpixel((6, 12)), image.getpixel((42, 12))
    assert green[1] > 200 > 50 > green[0] and red[0] > 200 > 50 > red[1]


def test_baseline_of_an_older_bundle(inputs, score, tmp_path):
    baseline = write_candidate(tmp_path, build_tflite(old_order=True))

    scores = score(dataclasses.replace(inputs, baseline=baseline, baseline_version=1)).scores

    assert scores.baseline == scores.shipped
    assert scores.baseline.map == pytest.approx(1.0)


def test_first_run_has_no_baseline(inputs, score):
    scores = score(inputs).scores

    assert (scores.baseline, scores.baseline_version) == (None, 0)


def test_float_bundle(inputs, score, tmp_path):
    candidate = write_candidate(tmp_path, build_tflite(quantized=False), name="model_float.tflite")

    scores = score(dataclasses.replace(inputs, candidate=candidate)).scores

    assert scores.shipped_precision is Precision.FLOAT
    assert scores.shipped.map == pytest.approx(1.0)
    assert scores.int8 is None


def test_baseline_of_another_label_map_is_matched_by_name(inputs, score, tmp_path):
    """The serving model says dog where the candidate says cat, and fox for the other: its dogs count, all wrong."""
    baseline = write_candidate(tmp_path, build_tflite(), labels=("dog", "fox"))

    scores = score(dataclasses.replace(inputs, baseline=baseline, baseline_version=1)).scores

    assert scores.baseline.map == 0.0
    assert scores.shipped.map == pytest.approx(1.0)


def test_baseline_with_more_classes_than_names(inputs, score, tmp_path):
    baseline = write_candidate(tmp_path, build_tflite(), labels=("cat",))

    with pytest.raises(BundleError, match=r"2 classes in the TFLite model, 1 lines in labels\.txt"):
        score(dataclasses.replace(inputs, baseline=baseline, baseline_version=1))


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        pytest.param(("background", "cat"), 2, r"labels\.txt: lines", id="labels-shifted"),
        pytest.param(("cat", "dog"), 5, "5 classes found", id="model-of-other-classes"),
    ],
)
def test_candidate_whose_classes_are_not_the_label_maps(inputs, score, tmp_path, labels, num_classes, message):
    candidate = write_candidate(tmp_path, build_tflite(num_classes=num_classes), labels=labels)

    with pytest.raises(BundleError, match=message):
        score(dataclasses.replace(inputs, candidate=candidate))


def records_of(directory: Path, *examples) -> tuple[Path, ...]:
    path = directory / "records.gz"
    write_examples(path, examples)
    return (path,)


def test_records_whose_ids_are_shifted(inputs, score, tmp_path):
    example = make_example(0, "red", "green")
    shifted = tuple(item._replace(class_id=item.class_id - 1) for item in example.objects)
    example = dataclasses.replace(example, objects=shifted)

    with pytest.raises(DataError, match=r"class id 0 \('cat'\) found, 1 to 2 expected"):
        score(dataclasses.replace(inputs, records=records_of(tmp_path, example)))


def test_record_that_is_no_jpeg(inputs, score, tmp_path):
    example = dataclasses.replace(make_example(0, "red", "green"), encoded_jpeg=b"text")

    with pytest.raises(DataError, match=r"0\.jpg: cannot decode the JPEG"):
        score(dataclasses.replace(inputs, records=records_of(tmp_path, example)))


def test_empty_split(inputs, score, tmp_path):
    with pytest.raises(DataError, match="eval split: no image found"):
        score(dataclasses.replace(inputs, records=records_of(tmp_path)))


def test_negatives_only(inputs, score, tmp_path):
    scores = score(dataclasses.replace(inputs, records=records_of(tmp_path, make_example(0, "black", "black")))).scores

    assert scores.shipped.map is None
