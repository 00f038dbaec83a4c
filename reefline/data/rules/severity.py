"""Every rule on data, and how much it weighs unless the config says otherwise (`validation.severities`)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from reefline.errors import ConfigError
from reefline.findings import Finding, Severity

# An error stops the run before training. A warning is reported; what it dropped still counts towards
# data.max_rejected_fraction. docs/data.md says what each rule looks at.
DEFAULT_SEVERITIES: Mapping[str, Severity] = MappingProxyType(
    {
        "annotation_duplicate": Severity.WARNING,
        "box_degenerate": Severity.WARNING,
        "box_duplicate": Severity.WARNING,
        "box_outside_image": Severity.WARNING,
        "box_tiny": Severity.WARNING,
        "class_absent": Severity.WARNING,
        "class_imbalance": Severity.WARNING,
        "duplicate_across_splits": Severity.ERROR,
        "duplicate_in_split": Severity.WARNING,
        "exif_rotated": Severity.WARNING,
        "filename_unsafe": Severity.ERROR,
        "image_animated": Severity.WARNING,
        "image_missing": Severity.WARNING,
        "image_not_annotated": Severity.WARNING,
        "image_not_listed": Severity.WARNING,
        "image_too_large": Severity.WARNING,
        "image_truncated": Severity.WARNING,
        "image_unreadable": Severity.WARNING,
        "label_outside_label_map": Severity.ERROR,
        "label_unknown": Severity.WARNING,
        "listed_twice": Severity.WARNING,
        "near_duplicate_across_splits": Severity.WARNING,
        "size_mismatch": Severity.WARNING,
        "xml_forbidden": Severity.ERROR,
        "xml_unreadable": Severity.WARNING,
    }
)


def resolve_severities(overrides: Mapping[str, Severity]) -> dict[str, Severity]:
    """Return the severity of every rule, with the config's own where it has one.

    Raises:
        ConfigError: the config names a rule that does not exist; one problem each.
    """
    problems = []
    for rule in sorted(set(overrides) - set(DEFAULT_SEVERITIES)):
        close = difflib.get_close_matches(rule, DEFAULT_SEVERITIES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the rules are {', '.join(DEFAULT_SEVERITIES)}"
        problems.append(f"validation.severities: there is no rule {rule!r}: {hint}")
    if problems:
        raise ConfigError(*problems)
    return {**DEFAULT_SEVERITIES, **overrides}


def drop_silenced(findings: Iterable[Finding], severities: Mapping[str, Severity]) -> tuple[Finding, ...]:
    """Return the findings whose rule is not off."""
    return tuple(finding for finding in findings if severities[finding.rule] is not Severity.OFF)


def select_errors(findings: Iterable[Finding], severities: Mapping[str, Severity]) -> tuple[Finding, ...]:
    """Return the findings whose rule is an error."""
    return tuple(finding for finding in findings if severities[finding.rule] is Severity.ERROR)


def describe_finding(finding: Finding) -> str:
    """Return the finding as one line: where, what, and the rule's id."""
    where = finding.file or "the data set"
    if finding.object is not None:
        where += f", object {finding.object}"
    return f"{where}: {finding.message} [{finding.rule}]"
