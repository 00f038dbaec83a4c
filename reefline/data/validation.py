"""The verdict on the data: every rule runs and every finding is collected before the decision."""

from __future__ import annotations

from collections.abc import Iterable

from reefline.data.image_record import ImageRecord
from reefline.data.planning import sort_findings
from reefline.data.reports import Anomaly, IngestionReport, ValidationReport
from reefline.data.rules.dataset_rules import DatasetContext
from reefline.data.rules.severity import describe_finding, drop_silenced, resolve_severities, select_errors
from reefline.data.rules.table import DATASET_RULES
from reefline.data.span_drift import compare_spans, find_drift
from reefline.errors import DataError
from reefline.settings import ValidationSettings


def validate_data_set(
    records: Iterable[ImageRecord],
    report: IngestionReport,
    anomalies: Iterable[Anomaly],
    settings: ValidationSettings,
) -> ValidationReport:
    """Return ingestion's findings and those of the data-set rules, without rules that are off.

    Raises:
        ConfigError: `settings.severities` names an unknown rule.
        DataError: a finding is an error, or ExampleValidator found an anomaly; it carries all findings.
    """
    severities = resolve_severities(settings.severities)
    context = DatasetContext(tuple(records), report, settings)
    found = [finding for rule in DATASET_RULES for finding in rule.find(context)]
    spans = compare_spans(context.records, settings)
    found += find_drift(spans) if spans else []
    findings = drop_silenced(sort_findings([*report.findings, *found]), severities)
    anomalies = tuple(anomalies)
    problems = [describe_finding(finding) for finding in select_errors(findings, severities)]
    problems += [f"split {a.split}, feature {a.feature}: {a.description} [anomaly]" for a in anomalies]
    if problems:
        raise DataError(*problems, findings=findings)
    return ValidationReport(findings=findings, anomalies=anomalies, spans=spans)
