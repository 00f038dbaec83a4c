"""The rules on one annotated image: a function each; `table` lists them, `box_repair` applies those on boxes."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reefline.findings import Action, Finding
from reefline.formats.voc import describe_voc_box
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.label_map import replace_control_characters

# LabelImg and similar tools round outwards: up to this much is rounding, more is a mistake.
MAX_CLIPPED_PX = 2.0
_PIXEL_DECIMALS = 6


@dataclass(frozen=True)
class ImageContext:
    """What the box rules know about the image: the file that findings name, and the size that boxes are drawn on.

    `label_names` are those of the given label map; None where the label map is built from the labels found.
    """

    file: str
    width_px: int
    height_px: int
    label_names: tuple[str, ...] | None


class BoxOutcome(NamedTuple):
    """What a box rule decided: the box to keep, None to drop it; `message` is its finding, None to report nothing.

    `label` is the label to use, None for the one it has.
    """

    box_xyxy_px: BoxXyxyPx | None
    message: str | None = None
    label: str | None = None


KeptBoxes = Collection[tuple[str, BoxXyxyPx]]


def is_unremarkable(image: ImageContext, item: AnnotatedObject, kept: KeptBoxes) -> bool:
    """Return whether the box is obviously good: inside the image, with an area, a known printable label and no twin.

    True for nearly every box, and faster than calling the rules. Rules with `skips_unremarkable` return None where
    this is true (a property test checks it). NaN never passes: every comparison with it is false.
    """
    box, names = item.box_xyxy_px, image.label_names
    return (
        0 <= box.x_min < box.x_max <= image.width_px
        and 0 <= box.y_min < box.y_max <= image.height_px
        and item.label != ""
        and item.label.isprintable()
        and (names is None or item.label in names)
        and (item.label, box) not in kept
    )


def check_label_characters(_: ImageContext, item: AnnotatedObject, __: KeptBoxes) -> BoxOutcome | None:
    """Rule label_control_character: write a space for line breaks and other control characters in a label."""
    label = replace_control_characters(item.label)
    if label == item.label:
        return None
    message = f"the <name> {item.label!r} has a line break or another control character: it is read as {label!r}"
    return BoxOutcome(item.box_xyxy_px, message, label)


def check_label(image: ImageContext, item: AnnotatedObject, _: KeptBoxes) -> BoxOutcome | None:
    """Rule label_unknown: drop a box without a name, or with a name that the given label map lacks."""
    names = image.label_names
    if not item.label:
        return BoxOutcome(None, "the object has no <name>: add its class")
    if names is None or item.label in names:
        return None
    return BoxOutcome(None, f"the label map has no class {item.label!r}: {_suggest_label(item.label, names)}")


def check_degenerate(image: ImageContext, item: AnnotatedObject, _: KeptBoxes) -> BoxOutcome | None:
    """Rule box_degenerate: drop a box without an area, or with a coordinate that is missing or not a number."""
    box = _fill_thin_image(image, item.box_xyxy_px)
    if not box.is_finite:
        problem = "a coordinate is missing or not a finite number"
    elif box.width_px <= 0 or box.height_px <= 0:
        axis = "x" if box.width_px <= 0 else "y"
        problem = f"{axis}max is not greater than {axis}min"
    else:
        return None if box == item.box_xyxy_px else BoxOutcome(box)
    return BoxOutcome(None, f"{problem} ({describe_voc_box(box)}): draw the box again")


def check_outside(image: ImageContext, item: AnnotatedObject, _: KeptBoxes) -> BoxOutcome | None:
    """Rule box_outside_image: clip a box that hangs over by up to MAX_CLIPPED_PX, drop one that hangs over by more."""
    box = item.box_xyxy_px
    overhang_px = box.overhang_px(image.width_px, image.height_px)
    if overhang_px == 0:
        return None
    clipped = box.clipped(image.width_px, image.height_px)
    keeps_area = clipped.width_px > 0 and clipped.height_px > 0
    message = _describe_overhang(image, box)
    if overhang_px > MAX_CLIPPED_PX or not keeps_area:
        return BoxOutcome(None, message)
    return BoxOutcome(clipped, f"{message}; clipped to the image")


def check_duplicate(_: ImageContext, item: AnnotatedObject, kept: KeptBoxes) -> BoxOutcome | None:
    """Rule box_duplicate: drop a box that repeats a kept one, with the same label and coordinates."""
    if (item.label, item.box_xyxy_px) not in kept:
        return None
    return BoxOutcome(None, f"repeats an earlier {item.label!r} box ({describe_voc_box(item.box_xyxy_px)})")


def match_size(
    file: str, annotation: Annotation, size_px: tuple[int, int]
) -> tuple[tuple[AnnotatedObject, ...], tuple[Finding, ...]]:
    """Rule size_mismatch: report a <size> that differs from the decoded image's, and return the objects to use.

    Where the image is the annotated one, resized, the boxes are scaled with it.
    """
    annotated = (annotation.width_px, annotation.height_px)
    if None in annotated or annotated == size_px:
        return annotation.objects, ()
    differ = f"<size> is {annotated[0]} x {annotated[1]}, but the image has {size_px[0]} x {size_px[1]} px"
    if not is_resized(annotated, size_px) or not _all_inside(annotation):
        message = f"{differ}, which is used: check that the boxes were drawn on this image"
        return annotation.objects, (Finding(file, None, "size_mismatch", message, Action.KEPT),)
    factors = [new / (old or 1) for new, old in zip(size_px, annotated, strict=True)]
    objects = tuple(item._replace(box_xyxy_px=_scale(item.box_xyxy_px, *factors)) for item in annotation.objects)
    message = f"{differ}: it was resized, and its boxes are scaled with it"
    return objects, (Finding(file, None, "size_mismatch", message, Action.FIXED),)


def is_resized(annotated: tuple[int | None, int | None], size_px: tuple[int, int]) -> bool:
    """Return whether two sizes differ, by more than a careless tool's pixel or two, but not in their aspect.

    The aspect may differ by the rounding of the smaller one to a pixel.
    """
    width_px, height_px = annotated
    if not width_px or not height_px:
        return False
    if max(abs(width_px - size_px[0]), abs(height_px - size_px[1])) <= MAX_CLIPPED_PX:
        return False
    (small_width, small_height), (large_width, large_height) = sorted([(width_px, height_px), size_px])
    return abs(small_width * large_height / large_width - small_height) <= 1


def _all_inside(annotation: Annotation) -> bool:
    size_px = (annotation.width_px or 0, annotation.height_px or 0)
    boxes = (item.box_xyxy_px for item in annotation.objects)
    return all(box.overhang_px(*size_px) <= MAX_CLIPPED_PX for box in boxes if box.is_finite)


def _scale(box: BoxXyxyPx, x_factor: float, y_factor: float) -> BoxXyxyPx:
    # A product of floats may exceed the image by a tiny amount.
    return BoxXyxyPx(*(round(value, _PIXEL_DECIMALS) for value in box.scaled(x_factor, y_factor)))


def _suggest_label(label: str, names: Sequence[str]) -> str:
    by_folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(label.casefold(), by_folded, n=1)
    return f"did you mean {by_folded[close[0]]!r}?" if close else f"its classes are {', '.join(names)}"


def _fill_thin_image(image: ImageContext, box: BoxXyxyPx) -> BoxXyxyPx:
    """In an image 1 px wide (or high), the only possible box starts and ends in the same pixel: give it that pixel."""
    if image.width_px == 1 and box.x_min == box.x_max and 0 <= box.x_min <= 1:
        box = BoxXyxyPx(0.0, box.y_min, 1.0, box.y_max)
    if image.height_px == 1 and box.y_min == box.y_max and 0 <= box.y_min <= 1:
        box = BoxXyxyPx(box.x_min, 0.0, box.x_max, 1.0)
    return box


def _describe_overhang(image: ImageContext, box: BoxXyxyPx) -> str:
    sides = []
    for name, low, high, extent_name, extent_px in (
        ("x", box.x_min, box.x_max, "width", image.width_px),
        ("y", box.y_min, box.y_max, "height", image.height_px),
    ):
        if low < 0:
            sides.append(f"{name}min {low:g} lies outside the image")
        if high > extent_px:
            sides.append(f"{name}max {high:g} lies outside the image ({extent_name} {extent_px})")
    return ", ".join(sides)
