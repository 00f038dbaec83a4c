import pytest

from reefline.data.image_record import ObjectRecord
from reefline.labelling.disagreement import Doubt, DoubtKind, find_doubts
from reefline.structures.boxes import BoxXyxyPx
from tests.factories_evaluation import make_detections

BOX, FAR = (0, 0, 20, 20), (60, 0, 80, 20)
# IoU 0.5 with BOX, and 0.25.
SHIFTED, HALF_OFF = (0, 0, 10, 20), (0, 0, 10, 10)


def _doubt(objects: dict[tuple[int, ...], str], *rows: tuple[float, ...], labels=("cat", "dog")) -> list[Doubt]:
    records = [
        ObjectRecord(number, label, BoxXyxyPx(*box), False, False, "")
        for number, (box, label) in enumerate(objects.items())
    ]
    found = find_doubts(records, make_detections(*rows), labels, (0.5,) * len(labels))
    return sorted(found, key=lambda doubt: -doubt.score)


def test_labels_that_the_model_confirms_are_not_in_doubt() -> None:
    assert _doubt({BOX: "cat", FAR: "dog"}, (*BOX, 0, 0.9), (*FAR, 1, 0.6)) == []


def test_an_object_that_the_model_misses_is_not_in_doubt() -> None:
    assert _doubt({BOX: "cat"}) == []


def test_a_sure_detection_far_from_any_annotation_is_a_missing_box() -> None:
    (doubt,) = _doubt({BOX: "cat"}, (*BOX, 0, 0.9), (*FAR, 1, 0.8))
    assert doubt == Doubt(DoubtKind.MISSING_BOX, 0.8, "dog", 0.8, BoxXyxyPx(*FAR), 0.0)


def test_a_missing_box_is_listed_once_and_counts_less_near_an_annotation() -> None:
    doubts = _doubt({BOX: "cat"}, (*FAR, 0, 0.8), (62, 0, 80, 20, 1, 0.7), (*HALF_OFF, 0, 0.8))
    assert [(doubt.detected, doubt.score) for doubt in doubts] == [("cat", 0.8), ("cat", pytest.approx(0.8 * 0.75))]


def test_a_sure_detection_of_another_class_doubts_the_class() -> None:
    (doubt,) = _doubt({BOX: "cat"}, (*BOX, 1, 0.9), (*BOX, 0, 0.2))
    assert (doubt.kind, doubt.annotated, doubt.detected) == (DoubtKind.WRONG_CLASS, "cat", "dog")
    assert (doubt.object_index, doubt.iou, doubt.score) == (0, 1.0, pytest.approx(0.9 * 0.8))


def test_a_class_that_the_model_finds_likelier_is_not_in_doubt() -> None:
    assert _doubt({BOX: "cat"}, (*BOX, 1, 0.6), (*BOX, 0, 0.7)) == []


def test_a_box_that_does_not_fit_is_loose() -> None:
    (doubt,) = _doubt({BOX: "cat"}, (*SHIFTED, 0, 0.9))
    assert (doubt.kind, doubt.annotated_box, doubt.iou) == (DoubtKind.LOOSE_BOX, BoxXyxyPx(*BOX), 0.5)
    assert doubt.score == pytest.approx(0.9 * 0.5 / 0.7)
    assert _doubt({BOX: "cat"}, (0, 0, 16, 20, 0, 0.9)) == []


def test_the_detection_of_a_neighbour_does_not_make_a_box_loose() -> None:
    neighbour = (8, 0, 28, 20)
    assert _doubt({BOX: "cat", neighbour: "cat"}, (*neighbour, 0, 0.9)) == []


def test_unsure_detections_raise_no_doubt() -> None:
    assert _doubt({BOX: "cat"}, (*FAR, 0, 0.4), (*BOX, 1, 0.4), (*SHIFTED, 0, 0.4)) == []


def test_classes_that_the_model_does_not_know_are_not_in_doubt_and_hide_no_object() -> None:
    assert _doubt({BOX: "bird"}, (*BOX, 0, 0.9)) == []
    assert _doubt({BOX: "cat"}, (*FAR, 2, 0.9), labels=("cat", "dog", None)) == []


def test_an_image_without_annotations_or_detections() -> None:
    assert _doubt({}) == []
    assert [doubt.kind for doubt in _doubt({}, (*BOX, 0, 0.9))] == [DoubtKind.MISSING_BOX]
