"""The boxes of one image: the rules applied, bad boxes dropped or clipped, and every finding collected."""

from __future__ import annotations

from collections.abc import Sequence

from reefline.data.image_record import ObjectRecord
from reefline.data.rules.annotation_rules import BoxOutcome, ImageContext, KeptBoxes, is_unremarkable
from reefline.data.rules.table import BOX_RULES, BoxRule
from reefline.findings import Action, Finding
from reefline.structures.annotation import AnnotatedObject
from reefline.structures.boxes import BoxXyxyPx


def repair_objects(
    image: ImageContext, objects: Sequence[AnnotatedObject], rules: Sequence[BoxRule] = BOX_RULES
) -> tuple[tuple[ObjectRecord, ...], tuple[Finding, ...]]:
    """Apply the box rules in their order and return the boxes that are kept and every finding."""
    records: list[ObjectRecord] = []
    findings: list[Finding] = []
    kept: set[tuple[str, BoxXyxyPx]] = set()
    always = [rule for rule in rules if not rule.skips_unremarkable]
    for index, item in enumerate(objects):
        left: AnnotatedObject | None = item
        if not is_unremarkable(image, item, kept) or (always and _any_objects(always, image, item, kept)):
            left, found = _apply(rules, image, index, item, kept)
            findings += found
        if left is not None:
            kept.add((left.label, left.box_xyxy_px))
            # Without the score, which the tf.Examples have no place for.
            records.append(ObjectRecord(index, *left[:-1]))
    return tuple(records), tuple(findings)


def _any_objects(rules: Sequence[BoxRule], image: ImageContext, item: AnnotatedObject, kept: KeptBoxes) -> bool:
    return any(rule.check(image, item, kept) is not None for rule in rules)


def _apply(
    rules: Sequence[BoxRule], image: ImageContext, index: int, item: AnnotatedObject, kept: KeptBoxes
) -> tuple[AnnotatedObject | None, list[Finding]]:
    """Return what the rules leave of an object; each rule sees it as the one before left it."""
    findings = []
    for rule in rules:
        outcome = rule.check(image, item, kept)
        if outcome is None:
            continue
        if outcome.message is not None:
            findings.append(Finding(image.file, index, rule.name, outcome.message, _action(item, outcome)))
        if outcome.box_xyxy_px is None:
            return None, findings
        label = item.label if outcome.label is None else outcome.label
        item = item._replace(box_xyxy_px=outcome.box_xyxy_px, label=label)
    return item, findings


def _action(item: AnnotatedObject, outcome: BoxOutcome) -> Action:
    if outcome.box_xyxy_px is None:
        return Action.DROPPED_BOX
    return Action.KEPT if outcome.box_xyxy_px == item.box_xyxy_px and outcome.label is None else Action.FIXED
