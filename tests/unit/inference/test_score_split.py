from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from reefline.errors import BundleError, DataError
from reefline.evaluation.scores import Precision
from reefline.formats.tf_example import write_examples
from reefline.inference.score_split import ScoringInputs, score_models
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


def test_every_model_is_scored(inputs):
    baseline = dataclasses.replace(inputs, baseline=inputs.candidate, baseline_version=4)

    scores = score_models(baseline)

    assert scores.float_model.map == pytest.approx(1.0)
    assert scores.shipped.map == pytest.approx(1.0)
    assert scores.int8 == scores.shipped == scores.baseline
    assert scores.baseline_version == 4
    assert [(name, m.groundtruth) for name, m in scores.shipped.per_class.items()] == [("cat", 2), ("dog", 2)]


def test_baseline_of_an_older_bundle(inputs, tmp_path):
    baseline = write_candidate(tmp_path, build_tflite(old_order=True))

    scores = score_models(dataclasses.replace(inputs, baseline=baseline, baseline_version=1))

    assert scores.baseline == scores.shipped
    assert scores.baseline.map == pytest.approx(1.0)


def test_first_run_has_no_baseline(inputs):
    scores = score_models(inputs)

    assert (scores.baseline, scores.baseline_version) == (None, 0)


def test_float_bundle(inputs, tmp_path):
    candidate = write_candidate(tmp_path, build_tflite(quantized=False), name="model_float.tflite")

    scores = score_models(dataclasses.replace(inputs, candidate=candidate))

    assert scores.shipped_precision is Precision.FLOAT
    assert scores.shipped.map == pytest.approx(1.0)
    assert scores.int8 is None


def test_baseline_of_another_label_map_is_matched_by_name(inputs, tmp_path):
    """The serving model says dog where the candidate says cat, and fox for the other: its dogs count, all wrong."""
    baseline = write_candidate(tmp_path, build_tflite(), labels=("dog", "fox"))

    scores = score_models(dataclasses.replace(inputs, baseline=baseline, baseline_version=1))

    assert scores.baseline.map == 0.0
    assert scores.shipped.map == pytest.approx(1.0)


def test_baseline_with_more_classes_than_names(inputs, tmp_path):
    baseline = write_candidate(tmp_path, build_tflite(), labels=("cat",))

    with pytest.raises(BundleError, match=r"2 classes in the TFLite model, 1 lines in labels\.txt"):
        score_models(dataclasses.replace(inputs, baseline=baseline, baseline_version=1))


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        pytest.param(("background", "cat"), 2, r"labels\.txt: lines", id="labels-shifted"),
        pytest.param(("cat", "dog"), 5, "5 classes found", id="model-of-other-classes"),
    ],
)
def test_candidate_whose_classes_are_not_the_label_maps(inputs, tmp_path, labels, num_classes, message):
    candidate = write_candidate(tmp_path, build_tflite(num_classes=num_classes), labels=labels)

    with pytest.raises(BundleError, match=message):
        score_models(dataclasses.replace(inputs, candidate=candidate))


def records_of(directory: Path, *examples) -> tuple[Path, ...]:
    path = directory / "records.gz"
    write_examples(path, examples)
    return (path,)


def test_records_whose_ids_are_shifted(inputs, tmp_path):
    example = make_example(0, "red", "green")
    shifted = tuple(item._replace(class_id=item.class_id - 1) for item in example.objects)
    example = dataclasses.replace(example, objects=shifted)

    with pytest.raises(DataError, match=r"class id 0 \('cat'\) found, 1 to 2 expected"):
        score_models(dataclasses.replace(inputs, records=records_of(tmp_path, example)))


def test_record_that_is_no_jpeg(inputs, tmp_path):
    example = dataclasses.replace(make_example(0, "red", "green"), encoded_jpeg=b"text")

    with pytest.raises(DataError, match=r"0\.jpg: cannot decode the JPEG"):
        score_models(dataclasses.replace(inputs, records=records_of(tmp_path, example)))


def test_empty_split(inputs, tmp_path):
    with pytest.raises(DataError, match="eval split: no image found"):
        score_models(dataclasses.replace(inputs, records=records_of(tmp_path)))


def test_negatives_only(inputs, tmp_path):
    scores = score_models(dataclasses.replace(inputs, records=records_of(tmp_path, make_example(0, "black", "black"))))

    assert scores.shipped.map is None
