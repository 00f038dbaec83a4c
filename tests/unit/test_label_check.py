from __future__ import annotations

import pytest

from reefline.boxes import BoxXyxyPx
from reefline.errors import BundleError, DataError
from reefline.label_check import check_bundle_labels, check_example_labels
from reefline.label_map import LabelMap
from reefline.tf_example import IngestedExample

LABEL_MAP = LabelMap(("cat", "dog"))


def example(*objects: tuple[int, str]) -> IngestedExample:
    box = BoxXyxyPx(0, 0, 5, 5)
    return IngestedExample(
        source_id="1",
        filename="1.jpg",
        encoded_jpeg=b"",
        width_px=10,
        height_px=10,
        boxes_xyxy_px=(box,) * len(objects),
        class_ids=tuple(class_id for class_id, _ in objects),
        class_names=tuple(name for _, name in objects),
    )


def test_all_agree():
    check_bundle_labels(LABEL_MAP, ("cat", "dog"), 2)
    check_example_labels(LABEL_MAP, [example((1, "cat"), (2, "dog")), example()])


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        pytest.param(("background", "cat", "dog"), 2, r"labels.txt: lines \['background'", id="shifted-by-one"),
        pytest.param(("dog", "cat"), 2, "labels.txt", id="other-order"),
        pytest.param(("cat", "dog"), 3, "3 classes found, the label map's 2 expected", id="one-class-too-many"),
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
        pytest.param([(1, "dog")], "class id 1 is 'dog', 'cat' in the label map", id="shifted"),
    ],
)
def test_records_that_disagree(objects, message):
    with pytest.raises(DataError, match=message):
        check_example_labels(LABEL_MAP, [example((2, "dog")), example(*objects)])
