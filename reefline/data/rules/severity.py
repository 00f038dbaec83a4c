"""What a rule's findings weigh in this run: the severities of the table, with the config's overrides."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from reefline.data.rules.table import RULES
from reefline.errors import ConfigError
from reefline.findings import Finding, Severity


def resolve_severities(overrides: Mapping[str, Severity]) -> dict[str, Severity]:
    """Return the severity of every rule: the config's where it sets one, else the default.

    Raises:
        ConfigError: the config names an unknown rule; one problem each.
    """
    defaults = {rule.name: rule.severity for rule in RULES}
    problems = []
    for name in sorted(set(overrides) - set(defaults)):
        close = difflib.get_close_matches(name, defaults, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(sorted(defaults))}"
        problems.append(f"validation.severities: unknown rule {name!r}: {hint}")
    if problems:
        raise ConfigError(*problems)
    return {**defaults, **overrides}


def drop_silenced(findings: Iterable[Finding], severities: Mapping[str, Severity]) -> tuple[Finding, ...]:
    """Return the findings whose rule is not off."""
    return tuple(finding for finding in findings if severities[finding.rule] is not Severity.OFF)


def select_errors(findings: Iterable[Finding], severities: Mapping[str, Severity]) -> tuple[Finding, ...]:
    """Return the findings whose rule is an error."""
    return tuple(finding for finding in findings if severities[finding.rule] is Severity.ERROR)


def describe_finding(finding: Finding) -> str:
    """Return the finding as one line: where, what, and the rule's name."""
    where = finding.file or "the data set"
    if finding.object is not None:
        where += f", object {finding.object}"
    return f"{where}: {finding.message} [{finding.rule}]"
