from __future__ import annotations

from pathlib import Path

import pytest
from flatbuffers import flexbuffers

from reefline.bundle.label_check import check_bundle_labels, check_example_labels, check_labels
from reefline.errors import BundleError, DataError
from reefline.formats.tf_example import IngestedExample, IngestedObject
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.label_map import LabelMap
from reefline.tflite.metadata import add_metadata
from tests.factories_tflite import OpSpec, TensorSpec, build_model

LABEL_MAP = LabelMap(("cat", "dog"))


def example(*objects: tuple[int, str]) -> IngestedExample:
    box = BoxXyxyPx(0, 0, 5, 5)
    return IngestedExample(
        source_id="1",
        filename="1.jpg",
        encoded_jpeg=b"",
        width_px=10,
        height_px=10,
        objects=tuple(IngestedObject(box, class_id, name) for class_id, name in objects),
    )


def test_all_agree():
    check_bundle_labels(LABEL_MAP, ("cat", "dog"), 2)
    check_example_labels(LABEL_MAP, [example((1, "cat"), (2, "dog")), example()])


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        pytest.param(("background", "cat", "dog"), 2, r"labels.txt: lines \['background'", id="shifted-by-one"),
        pytest.param(("dog", "cat"), 2, "labels.txt", id="other-order"),
        pytest.param(("cat", "dog"), 3, "3 classes found, but 2 in the label map", id="one-class-too-many"),
    ],
)
def test_bundle_that_disagrees(labels, num_classes, message):
    with pytest.raises(BundleError, match=message):
        check_bundle_labels(LABEL_MAP, labels, num_classes)


def test_both_problems_are_told():
    with pytest.raises(BundleError, match=r"labels\.txt") as caught:
        check_bundle_labels(LABEL_MAP, ("x",), 9)

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        pytest.param([(0, "cat")], "class id 0 .'cat'. found, 1 to 2 expected", id="0-based"),
        pytest.param([(3, "cow")], "class id 3", id="beyond-the-last"),
        pytest.param([(1, "dog")], "class id 1 is 'dog', but 'cat' in the label map", id="shifted"),
    ],
)
def test_records_that_disagree(objects, message):
    with pytest.raises(DataError, match=message):
        check_example_labels(LABEL_MAP, [example((2, "dog")), example(*objects)])


def write_detector(folder: Path, *, inside=("cat", "dog"), beside=("cat", "dog"), num_classes: int = 2) -> Path:
    """Write a TFLite file that ends in a detection post-processing, with labels inside, and labels.txt beside it."""
    results = ("boxes", "classes", "scores", "count")
    tensors = [TensorSpec(name) for name in ("encodings", "predictions", "anchors", *results)]
    op = OpSpec(
        "TFLite_Detection_PostProcess",
        ("encodings", "predictions", "anchors"),
        results,
        custom_options=bytes(flexbuffers.Dumps({"num_classes": num_classes, "max_detections": 10})),
    )
    content = build_model(tensors, [op], ["encodings", "predictions", "anchors"], results)
    roles = ("location", "category", "score", "number of detections")
    model = folder / "model_int8.tflite"
    model.write_bytes(content if inside is None else add_metadata(content, "model", inside, roles))
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in beside), encoding="utf-8")
    return model


def test_written_model_that_agrees(tmp_path):
    check_labels(LABEL_MAP, write_detector(tmp_path))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        pytest.param(
            {"inside": ("dog", "cat")},
            r"model_int8\.tflite: labels inside it: lines \['dog', 'cat'\] found, .* \['cat', 'dog'\] expected",
            id="other-order-inside",
        ),
        pytest.param({"inside": ("cat",)}, "labels inside it: lines .'cat'. found", id="one-too-few-inside"),
        pytest.param({"inside": None}, r"cannot read the labels\.txt inside it", id="nothing-inside"),
        pytest.param({"beside": ("cat", "cow")}, r"labels\.txt: lines \['cat', 'cow'\] found", id="other-beside"),
        pytest.param({"num_classes": 90}, "90 classes found, but 2 in the label map", id="other-classes"),
    ],
)
def test_written_model_that_disagrees(tmp_path, facts, message):
    with pytest.raises(BundleError, match=message) as caught:
        check_labels(LABEL_MAP, write_detector(tmp_path, **facts))

    assert len(caught.value.problems) == 1
