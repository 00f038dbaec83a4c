"""Every rule on data: its name, its default severity and, where one function makes the rule, that function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reefline.data.rules import annotation_rules, dataset_rules
from reefline.data.rules.annotation_rules import BoxOutcome, ImageContext, KeptBoxes
from reefline.data.rules.dataset_rules import DatasetContext, Observation
from reefline.findings import Action, Finding, Severity
from reefline.structures.annotation import AnnotatedObject


@dataclass(frozen=True)
class Rule:
    """A rule that matching, decoding or inspection applies where it reads the file."""

    name: str
    severity: Severity


@dataclass(frozen=True)
class BoxRule(Rule):
    """A rule on one box; `check` returns None where it leaves the box alone.

    `skips_unremarkable` is True where `is_unremarkable` rules out any other answer: such boxes are not checked at all.
    """

    check: Callable[[ImageContext, AnnotatedObject, KeptBoxes], BoxOutcome | None]
    skips_unremarkable: bool = False


@dataclass(frozen=True)
class DatasetRule(Rule):
    """A rule on the complete data set, which only reports."""

    check: Callable[[DatasetContext], Iterator[Observation]]

    def find(self, context: DatasetContext) -> Iterator[Finding]:
        """Yield the rule's findings."""
        for file, object_index, message in self.check(context):
            yield Finding(file, object_index, self.name, message, Action.KEPT)


# An error stops the run before training. A warning is reported; what it drops still counts towards
# data.max_rejected_fraction. `validation.severities` overrides both. docs/data.md describes each rule.
RULES: tuple[Rule, ...] = (
    # Box rules run in this order.
    BoxRule(
        "label_control_character", Severity.WARNING, annotation_rules.check_label_characters, skips_unremarkable=True
    ),
    BoxRule("label_unknown", Severity.WARNING, annotation_rules.check_label, skips_unremarkable=True),
    BoxRule("box_degenerate", Severity.WARNING, annotation_rules.check_degenerate, skips_unremarkable=True),
    BoxRule("box_outside_image", Severity.WARNING, annotation_rules.check_outside, skips_unremarkable=True),
    BoxRule("box_duplicate", Severity.WARNING, annotation_rules.check_duplicate, skips_unremarkable=True),
    DatasetRule("box_tiny", Severity.WARNING, dataset_rules.check_box_tiny),
    DatasetRule("label_outside_label_map", Severity.ERROR, dataset_rules.check_label_outside_label_map),
    DatasetRule("classes_alike", Severity.WARNING, dataset_rules.check_classes_alike),
    DatasetRule("class_absent", Severity.WARNING, dataset_rules.check_class_absent),
    DatasetRule("class_imbalance", Severity.WARNING, dataset_rules.check_class_imbalance),
    DatasetRule("duplicate_across_splits", Severity.ERROR, dataset_rules.check_duplicate_across_splits),
    DatasetRule("duplicate_in_split", Severity.WARNING, dataset_rules.check_duplicate_in_split),
    DatasetRule("near_duplicate_across_splits", Severity.WARNING, dataset_rules.check_near_duplicate_across_splits),
    Rule("annotation_duplicate", Severity.WARNING),
    Rule("exif_rotated", Severity.WARNING),
    Rule("file_unusable", Severity.WARNING),
    Rule("filename_unsafe", Severity.ERROR),
    Rule("folder_unreadable", Severity.ERROR),
    Rule("image_animated", Severity.WARNING),
    Rule("image_missing", Severity.WARNING),
    Rule("image_not_annotated", Severity.WARNING),
    Rule("image_not_listed", Severity.WARNING),
    Rule("image_range", Severity.WARNING),
    Rule("image_too_large", Severity.WARNING),
    Rule("image_truncated", Severity.WARNING),
    Rule("image_unreadable", Severity.WARNING),
    Rule("listed_twice", Severity.WARNING),
    Rule("match_doubtful", Severity.WARNING),
    Rule("size_mismatch", Severity.WARNING),
    Rule("span_drift", Severity.WARNING),
    Rule("split_by_folder", Severity.WARNING),
    Rule("xml_forbidden", Severity.ERROR),
    Rule("xml_unreadable", Severity.WARNING),
)
BOX_RULES: tuple[BoxRule, ...] = tuple(rule for rule in RULES if isinstance(rule, BoxRule))
DATASET_RULES: tuple[DatasetRule, ...] = tuple(rule for rule in RULES if isinstance(rule, DatasetRule))
