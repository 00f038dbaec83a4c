"""The rules on one annotated image: each is a function that returns what it found; `repair_objects` applies them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reefline.data.image_record import ObjectRecord
from reefline.findings import Action, Finding
from reefline.formats.voc import describe_voc_box
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx

# LabelImg and its like round outwards: a box that hangs over by less is their doing, more is somebody's mistake.
MAX_CLIPPED_PX = 2.0


@dataclass(frozen=True)
class ImageContext:
    """What the rules on boxes need to know: the file that findings name, and the size that boxes are drawn on.

    `label_names` is the given label map's, None where the label map is made from what is found.
    """

    file: str
    width_px: int
    height_px: int
    label_names: tuple[str, ...] | None


@dataclass(frozen=True)
class BoxOutcome:
    """What a rule makes of a box: the box to go on with, None where it is dropped, and what there is to report."""

    box_xyxy_px: BoxXyxyPx | None
    finding: Finding | None = None


def check_label(context: ImageContext, index: int, item: AnnotatedObject) -> BoxOutcome:
    """Rule label_unknown: drop a box without a name, or whose name a given label map lacks."""
    names = context.label_names
    if item.label and (names is None or item.label in names):
        return BoxOutcome(item.box_xyxy_px)
    if not item.label:
        message = "the object has no <name>: name its class"
    else:
        message = f"the label map holds no class {item.label!r}: {_suggest_label(item.label, names or ())}"
    return BoxOutcome(None, Finding(context.file, index, "label_unknown", message, Action.DROPPED_BOX))


def check_degenerate(context: ImageContext, index: int, box_xyxy_px: BoxXyxyPx) -> BoxOutcome:
    """Rule box_degenerate: drop a box without an area, or with a coordinate that is missing or not a number."""
    box = _fill_thin_image(context, box_xyxy_px)
    if not box.is_finite:
        message = f"a coordinate is missing or not a finite number ({describe_voc_box(box)}): draw the box again"
    elif box.width_px <= 0 or box.height_px <= 0:
        axis = "x" if box.width_px <= 0 else "y"
        message = f"{axis}max is not greater than {axis}min ({describe_voc_box(box)}): draw the box again"
    else:
        return BoxOutcome(box)
    return BoxOutcome(None, Finding(context.file, index, "box_degenerate", message, Action.DROPPED_BOX))


def check_outside(context: ImageContext, index: int, box_xyxy_px: BoxXyxyPx) -> BoxOutcome:
    """Rule box_outside_image: clip a box that hangs over by up to MAX_CLIPPED_PX, drop one that hangs over by more."""
    overhang_px = box_xyxy_px.overhang_px(context.width_px, context.height_px)
    if overhang_px == 0:
        return BoxOutcome(box_xyxy_px)
    clipped = box_xyxy_px.clipped(context.width_px, context.height_px)
    keeps_area = clipped.width_px > 0 and clipped.height_px > 0
    is_dropped = overhang_px > MAX_CLIPPED_PX or not keeps_area
    message = _describe_overhang(context, box_xyxy_px) + ("" if is_dropped else "; clipped to the image")
    action = Action.DROPPED_BOX if is_dropped else Action.FIXED
    finding = Finding(context.file, index, "box_outside_image", message, action)
    return BoxOutcome(None if is_dropped else clipped, finding)


def check_duplicate(
    context: ImageContext, index: int, label: str, box_xyxy_px: BoxXyxyPx, seen: Collection[tuple[str, BoxXyxyPx]]
) -> BoxOutcome:
    """Rule box_duplicate: drop a box that repeats an earlier one of `seen` with the same label and coordinates."""
    if (label, box_xyxy_px) not in seen:
        return BoxOutcome(box_xyxy_px)
    message = f"the same {label!r} box is there already ({describe_voc_box(box_xyxy_px)})"
    return BoxOutcome(None, Finding(context.file, index, "box_duplicate", message, Action.DROPPED_BOX))


def check_size(file: str, annotation: Annotation, size_px: tuple[int, int]) -> tuple[Finding, ...]:
    """Rule size_mismatch: report a <size> that is not the image's; the decoded size wins."""
    annotated = (annotation.width_px, annotation.height_px)
    if None in annotated or annotated == size_px:
        return ()
    message = (
        f"<size> says {annotated[0]} x {annotated[1]}, the image has {size_px[0]} x {size_px[1]} px, which is used: "
        "check that the boxes were drawn on this image"
    )
    return (Finding(file, None, "size_mismatch", message, Action.FIXED),)


def repair_objects(
    context: ImageContext, objects: Sequence[AnnotatedObject]
) -> tuple[tuple[ObjectRecord, ...], tuple[Finding, ...]]:
    """Apply the rules on boxes, in order, and return the boxes that are kept and every finding."""
    records: list[ObjectRecord] = []
    findings: list[Finding] = []
    seen: set[tuple[str, BoxXyxyPx]] = set()
    for index, item in enumerate(objects):
        box: BoxXyxyPx | None = item.box_xyxy_px
        if not _is_unremarkable(context, item, seen):
            box, found = _check_object(context, index, item, seen)
            findings += found
        if box is not None:
            seen.add((item.label, box))
            records.append(ObjectRecord(index, item.label, box, item.difficult, item.truncated, item.pose))
    return tuple(records), tuple(findings)


def _is_unremarkable(context: ImageContext, item: AnnotatedObject, seen: Collection[tuple[str, BoxXyxyPx]]) -> bool:
    """Return whether no rule has anything to say: true of nearly every box, and quicker to tell than to ask each rule.

    A NaN is neither less than nor equal to anything, so it never passes.
    """
    box, names = item.box_xyxy_px, context.label_names
    return (
        0 <= box.x_min < box.x_max <= context.width_px
        and 0 <= box.y_min < box.y_max <= context.height_px
        and item.label != ""
        and (names is None or item.label in names)
        and (item.label, box) not in seen
    )


def _check_object(
    context: ImageContext, index: int, item: AnnotatedObject, seen: Collection[tuple[str, BoxXyxyPx]]
) -> tuple[BoxXyxyPx | None, list[Finding]]:
    findings = []
    outcome = check_label(context, index, item)
    for check in (check_degenerate, check_outside):
        findings += [outcome.finding] if outcome.finding else []
        if outcome.box_xyxy_px is None:
            return None, findings
        outcome = check(context, index, outcome.box_xyxy_px)
    findings += [outcome.finding] if outcome.finding else []
    if outcome.box_xyxy_px is not None:
        outcome = check_duplicate(context, index, item.label, outcome.box_xyxy_px, seen)
        findings += [outcome.finding] if outcome.finding else []
    return outcome.box_xyxy_px, findings


def _suggest_label(label: str, names: Sequence[str]) -> str:
    by_folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(label.casefold(), by_folded, n=1)
    return f"did you mean {by_folded[close[0]]!r}?" if close else f"its classes are {', '.join(names)}"


def _fill_thin_image(context: ImageContext, box: BoxXyxyPx) -> BoxXyxyPx:
    """In an image of one pixel's width (or height) the only box there is starts and ends in the same pixel."""
    if context.width_px == 1 and box.x_min == box.x_max and 0 <= box.x_min <= 1:
        box = BoxXyxyPx(0.0, box.y_min, 1.0, box.y_max)
    if context.height_px == 1 and box.y_min == box.y_max and 0 <= box.y_min <= 1:
        box = BoxXyxyPx(box.x_min, 0.0, box.x_max, 1.0)
    return box


def _describe_overhang(context: ImageContext, box: BoxXyxyPx) -> str:
    sides = []
    for name, low, high, extent_name, extent_px in (
        ("x", box.x_min, box.x_max, "width", context.width_px),
        ("y", box.y_min, box.y_max, "height", context.height_px),
    ):
        if low < 0:
            sides.append(f"{name}min {low:g} lies outside the image")
        if high > extent_px:
            sides.append(f"{name}max {high:g} lies outside the image ({extent_name} {extent_px})")
    return ", ".join(sides)
