from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reefline.data.rules.annotation_rules import BoxOutcome, ImageContext, KeptBoxes, is_unremarkable, match_size
from reefline.data.rules.box_repair import repair_objects
from reefline.data.rules.table import BOX_RULES, BoxRule
from reefline.findings import Action, Finding, Severity
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import make_object

Box = tuple[float, float, float, float]


def _repair(
    *objects: AnnotatedObject, size_px: tuple[int, int] = (500, 400), names: tuple[str, ...] | None = None
) -> tuple[list[Box], list[Finding]]:
    records, findings = repair_objects(ImageContext("a.xml", *size_px, names), objects)
    boxes = [item.box_xyxy_px for item in records]
    return [(b.x_min, b.y_min, b.x_max, b.y_max) for b in boxes], list(findings)


def test_good_boxes_are_kept_with_all_their_facts() -> None:
    good = make_object("dog", (0, 0, 500, 400), difficult=True, truncated=True, pose="Left")
    records, findings = repair_objects(ImageContext("a.xml", 500, 400, None), [make_object(box=(5, 5, 5, 5)), good])
    (record,) = records
    assert (record.object_index, record.label, record.box_xyxy_px) == (1, "dog", BoxXyxyPx(0, 0, 500, 400))
    assert (record.difficult, record.truncated, record.pose) == (True, True, "Left")
    assert [finding.object for finding in findings] == [0]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        pytest.param((50, 10, 50, 60), "xmax is not greater than xmin", id="no-width"),
        pytest.param((50, 60, 90, 10), "ymax is not greater than ymin", id="reversed"),
        pytest.param((math.nan, 1, 9, 9), "not a finite number", id="nan"),
        pytest.param((1, 1, math.inf, 9), "not a finite number", id="infinite"),
    ],
)
def test_degenerate_boxes_are_dropped(box: Box, message: str) -> None:
    kept, (finding,) = _repair(make_object(box=box))
    assert kept == []
    assert (finding.file, finding.object, finding.rule) == ("a.xml", 0, "box_degenerate")
    assert finding.action.value == "dropped_box"
    assert message in finding.message


@pytest.mark.parametrize(
    ("box", "kept", "message"),
    [
        pytest.param((-2, 5, 90, 60), [(0, 5, 90, 60)], "xmin -2 lies outside", id="2-px-left"),
        pytest.param(
            (5, 5, 502, 60), [(5, 5, 500, 60)], "xmax 502 lies outside the image (width 500)", id="2-px-right"
        ),
        pytest.param((-2.5, 5, 90, 60), [], "xmin -2.5 lies outside", id="more-left"),
        pytest.param((5, 5, 512, 60), [], "xmax 512 lies outside the image (width 500)", id="more-right"),
        pytest.param((5, 5, 60, 403), [], "ymax 403 lies outside the image (height 400)", id="more-below"),
        pytest.param((500, 5, 502, 60), [], "xmax 502 lies outside", id="nothing-left-after-clipping"),
    ],
)
def test_boxes_outside_are_clipped_or_dropped(box: Box, kept: list[Box], message: str) -> None:
    found, (finding,) = _repair(make_object(box=box))
    assert found == kept
    assert finding.rule == "box_outside_image"
    assert finding.action.value == ("fixed" if kept else "dropped_box")
    assert message in finding.message


def test_a_clipped_box_that_repeats_is_dropped() -> None:
    kept, findings = _repair(make_object(box=(0, 0, 9, 9)), make_object(box=(-1, 0, 9, 9)))
    assert kept == [(0, 0, 9, 9)]
    assert [finding.rule for finding in findings] == ["box_outside_image", "box_duplicate"]


def test_a_repeated_box_is_dropped_unless_its_label_differs() -> None:
    kept, (finding,) = _repair(make_object("cat"), make_object("dog"), make_object("cat"))
    assert len(kept) == 2
    assert (finding.object, finding.rule, finding.action.value) == (2, "box_duplicate", "dropped_box")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        pytest.param("Cat", "did you mean 'cat'?", id="case"),
        pytest.param("catt", "did you mean 'cat'?", id="typo"),
        pytest.param("submarine", "its classes are cat, dog", id="far"),
        pytest.param("", "has no <name>", id="empty"),
    ],
)
def test_an_unknown_label_is_dropped(label: str, message: str) -> None:
    kept, (finding,) = _repair(make_object(label), names=("cat", "dog"))
    assert kept == []
    assert finding.rule == "label_unknown"
    assert message in finding.message


def test_any_name_is_a_label_where_none_are_given() -> None:
    kept, findings = _repair(make_object("<script>"), make_object("mot composé", (9, 9, 20, 20)))
    assert (len(kept), findings) == (2, [])
    assert [finding.rule for finding in _repair(make_object(""))[1]] == ["label_unknown"]


@pytest.mark.parametrize("box", [(0, 5, 1, 50), (1, 5, 1, 50)], ids=["edges", "the-same-pixel"])
def test_the_only_box_of_a_thin_image_is_kept(box: Box) -> None:
    assert _repair(make_object(box=box), size_px=(1, 300)) == ([(0, 5, 1, 50)], [])
    turned = (box[1], box[0], box[3], box[2])
    assert _repair(make_object(box=turned), size_px=(300, 1)) == ([(5, 0, 50, 1)], [])


def test_thousands_of_boxes_are_kept() -> None:
    objects = [make_object(box=(x, y, x + 4, y + 4)) for x in range(0, 490, 6) for y in range(0, 390, 6)]
    kept, findings = _repair(*objects)
    assert len(kept) == len(objects) > 5000
    assert findings == []


@pytest.mark.parametrize(
    ("annotated", "reported"),
    [
        pytest.param((500, 400), False, id="right"),
        pytest.param((None, None), False, id="missing"),
        pytest.param((0, 0), True, id="0x0"),
        pytest.param((400, 500), True, id="swapped"),
    ],
)
def test_a_wrong_size_is_reported(annotated: tuple[int | None, int | None], reported: bool) -> None:
    _, findings = match_size("a.xml", Annotation("a.jpg", *annotated), (500, 400))
    assert [finding.rule for finding in findings] == ["size_mismatch"] * reported
    assert all("the image has 500 x 400 px" in f.message and f.action.value == "kept" for f in findings)


def test_a_line_break_in_a_label_is_repaired() -> None:
    image = ImageContext("a.xml", 500, 400, ("red cat",))
    records, findings = repair_objects(image, [make_object("red\n  cat"), make_object("red cat")])
    assert [record.label for record in records] == ["red cat"]
    assert [(f.rule, f.action) for f in findings] == [
        ("label_control_character", Action.FIXED),
        ("box_duplicate", Action.DROPPED_BOX),
    ]
    assert "'red\\n  cat' has a line break" in findings[0].message


@pytest.mark.parametrize(
    ("annotated", "box", "scaled"),
    [
        pytest.param((1000, 800), (200, 200, 1000, 800), (100, 100, 500, 400), id="shrunk"),
        pytest.param((250, 200), (10, 10, 250, 200), (20, 20, 500, 400), id="enlarged"),
        pytest.param((333, 267), (0, 0, 333, 267), (0, 0, 500, 400), id="rounded"),
        pytest.param((1000, 800), (200, 200, 1009, 800), None, id="box-outside-the-annotated-size"),
        pytest.param((1000, 700), (200, 200, 500, 400), None, id="another-aspect"),
        pytest.param((499, 399), (200, 200, 499, 399), None, id="off-by-one"),
    ],
)
def test_the_boxes_of_a_resized_image_are_scaled(annotated: tuple[int, int], box: Box, scaled: Box | None) -> None:
    objects, (finding,) = match_size("a.xml", Annotation("a.jpg", *annotated, (make_object(box=box),)), (500, 400))
    assert objects[0].box_xyxy_px == (scaled or box)
    assert finding.action.value == ("kept" if scaled is None else "fixed")
    assert ("its boxes are scaled with it" in finding.message) == (scaled is not None)


SIDES = st.integers(1, 3)
CONTEXTS = st.builds(ImageContext, st.just("a.xml"), SIDES, SIDES, st.sampled_from([None, ("cat", "dog")]))
# Good and bad in such numbers that boxes with a single fault are common.
EXTENTS = st.sampled_from(
    [(0, 1), (0, 3), (1, 2), (0.5, 2.5), (1, 1), (2, 1), (-1, 1), (-3, 1), (1, 4), (1, 9), (math.nan, 1), (1, math.inf)]
)
OBJECTS = st.lists(
    st.builds(
        lambda label, x, y: make_object(label, (x[0], y[0], x[1], y[1])),
        st.sampled_from(["cat", "dog", "emu", "", "c\nat"]),
        EXTENTS,
        EXTENTS,
    ),
    max_size=20,
)


@settings(max_examples=300)
@given(CONTEXTS, OBJECTS)
def test_no_rule_reports_an_unremarkable_box(image: ImageContext, objects: list[AnnotatedObject]) -> None:
    kept: set[tuple[str, BoxXyxyPx]] = set()
    for item in objects:
        if is_unremarkable(image, item, kept):
            assert [rule.name for rule in BOX_RULES if rule.skips_unremarkable and rule.check(image, item, kept)] == []
            kept.add((item.label, item.box_xyxy_px))


@settings(max_examples=300)
@given(CONTEXTS, OBJECTS)
def test_skipping_unremarkable_boxes_changes_nothing(image: ImageContext, objects: list[AnnotatedObject]) -> None:
    every_box_checked = [BoxRule(rule.name, rule.severity, rule.check) for rule in BOX_RULES]
    assert repair_objects(image, objects) == repair_objects(image, objects, every_box_checked)


def _check_dog(_: ImageContext, item: AnnotatedObject, kept: KeptBoxes) -> BoxOutcome | None:
    if item.label != "dog":
        return None
    return BoxOutcome(item.box_xyxy_px if not kept else BoxXyxyPx(1, 1, 2, 2), "a dog")


def test_a_new_rule_is_one_function_and_one_line() -> None:
    rules = [*BOX_RULES, BoxRule("dog", Severity.WARNING, _check_dog)]
    objects = [make_object("dog"), make_object("cat"), make_object("dog")]
    records, findings = repair_objects(ImageContext("a.xml", 500, 400, None), objects, rules)
    assert [record.object_index for record in records] == [0, 1]
    found = [(finding.object, finding.rule, finding.action) for finding in findings]
    assert found == [(0, "dog", Action.KEPT), (2, "box_duplicate", Action.DROPPED_BOX)]
    objects[2] = make_object("dog", (8, 8, 30, 30))
    records, findings = repair_objects(ImageContext("a.xml", 500, 400, None), objects, rules)
    assert records[2].box_xyxy_px == BoxXyxyPx(1, 1, 2, 2)
    assert findings[-1] == Finding("a.xml", 2, "dog", "a dog", Action.FIXED)
