import pytest

from reefline.labelling.choosing import BoxChoice, Fallback, LabelRules, choose_objects
from reefline.structures.boxes import BoxXyxyPx
from tests.factories_evaluation import make_detections

SIZE_PX = (64, 48)
CAT, DOG, FAR_DOG = (4, 4, 24, 24, 0, 0.9), (5, 4, 24, 24, 1, 0.8), (40, 20, 60, 40, 1, 0.4)


def _choose(*rows: tuple[float, ...], folder: str | None = None, **facts: object) -> list[tuple[str, float]]:
    rules = LabelRules(**{"labels": ("cat", "dog"), "min_scores": (0.3, 0.3), "default_min_score": 0.3, **facts})
    return [(item.label, item.score) for item in choose_objects(rules, make_detections(*rows), SIZE_PX, folder)]


def test_without_folders_the_model_gives_the_class_and_all_boxes_count() -> None:
    assert _choose(FAR_DOG, CAT, DOG) == [("cat", 0.9), ("dog", 0.8), ("dog", 0.4)]


def test_a_folder_gives_the_class_and_the_best_box_counts() -> None:
    assert _choose(FAR_DOG, CAT, folder="terrier") == [("terrier", 0.9)]


def test_a_folder_named_like_a_class_uses_that_class() -> None:
    assert _choose(FAR_DOG, CAT, folder="Dog") == [("Dog", 0.4)]


def test_one_object_under_two_classes_is_one_label() -> None:
    assert _choose(CAT, DOG, FAR_DOG, folder="pet", boxes=BoxChoice.ALL) == [("pet", 0.9), ("pet", 0.4)]
    assert _choose(CAT, DOG, new_names={"cat": "pet", "dog": "pet"}) == [("pet", 0.9)]


def test_an_object_has_one_box_and_neighbours_keep_theirs() -> None:
    # IoU 0.9 and 0.4 with DOG.
    assert _choose(DOG, (6, 4, 24, 24, 1, 0.7)) == [("dog", 0.8)]
    assert _choose(DOG, (13, 4, 32, 24, 1, 0.7)) == [("dog", 0.8), ("dog", 0.7)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({"wanted": frozenset({"dog"})}, ["dog", "dog"], id="wanted"),
        pytest.param({"new_names": {"cat": None, "dog": "hound"}}, ["hound", "hound"], id="renamed"),
        pytest.param({"min_scores": (0.3, 0.5)}, ["cat", "dog"], id="score per class"),
        pytest.param({"labels": ("cat", None)}, ["cat"], id="no name"),
        pytest.param({"boxes": BoxChoice.BEST}, ["cat"], id="best"),
    ],
)
def test_rules(facts: dict[str, object], expected: list[str]) -> None:
    assert [label for label, _ in _choose(CAT, DOG, FAR_DOG, **facts)] == expected


def test_a_model_without_names_still_gives_boxes_for_folders() -> None:
    assert _choose((0, 0, 9, 9, 7, 0.5), folder="cat", labels=(), min_scores=()) == [("cat", 0.5)]
    assert _choose((0, 0, 9, 9, 7, 0.2), folder="cat", labels=(), min_scores=()) == []


def test_the_whole_image_is_a_fallback_only_where_a_folder_gives_the_class() -> None:
    assert _choose(folder="cat", fallback=Fallback.WHOLE_IMAGE) == [("cat", 0.0)]
    assert _choose(fallback=Fallback.WHOLE_IMAGE) == []
    assert _choose(CAT, folder="cat", fallback=Fallback.WHOLE_IMAGE) == [("cat", 0.9)]


def test_boxes_are_whole_pixels_inside_the_image_and_have_an_area() -> None:
    rules = LabelRules(("cat",), (0.3,), 0.3)
    found = make_detections((-3.2, 4.6, 64.4, 20.5, 0, 0.9), (10.1, 10, 10.4, 30, 0, 0.8))
    assert [item.box_xyxy_px for item in choose_objects(rules, found, SIZE_PX, None)] == [BoxXyxyPx(0, 5, 64, 20)]
