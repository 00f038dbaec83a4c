"""A run as lines for the terminal: data, metrics, the gate's table, and the verdict last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from reefline.bundle.store import read_current
from reefline.data.span_report import SpanReport
from reefline.errors import UserError
from reefline.evaluation.scores import CocoMetrics
from reefline.findings import Finding
from reefline.report.rule_numbers import read_compared
from reefline.report.run_folder import PAGE_FILE, SUMMARY_FILE
from reefline.report.summary import MetricsSummary, Summary, Verdict
from reefline.system.terminal import Colour, format_duration

# The words that a terminal colours where they end a line.
VERDICT_COLOURS = {
    Verdict.BLESSED.value: Colour.GREEN,
    Verdict.NOT_BLESSED.value: Colour.YELLOW,
    Verdict.FAILED.value: Colour.RED,
    "passed": Colour.GREEN,
    "failed": Colour.RED,
}
_NONE = "-"
_LISTED_CLASSES = 20
_LISTED_ANOMALIES = 10
_LONGEST_EXAMPLE = 160
_HEADLINES = (("mAP", "map"), ("mAP_50", "map_50"), ("mAP_75", "map_75"), ("AR_100", "ar_100"))


def describe_run(
    summary: Summary,
    run_folder: Path,
    serving: Path,
    *,
    problems: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> list[str]:
    """Return what a run found, did and decided; the last lines are verdict, failed rules, bundle and report.

    `problems` are the messages of a run that stopped early, by default those of its summary. `notes` come before the
    verdict. `serving` is the push destination: one more note follows if another version than this run's is serving.
    """
    lines = describe_results(summary)
    if problems is None:
        problems = summary.failure.message.splitlines() if summary.failure else ()
    lines += [*_describe_problems(summary, problems), *(f"note: {note}" for note in notes)]
    return [*lines, *_describe_end(summary, run_folder, serving)]


def describe_results(summary: Summary) -> list[str]:
    """Return what a run found and measured."""
    return [
        *_describe_data(summary),
        *_describe_training(summary),
        *_describe_metrics(summary.metrics),
        *_describe_edge_tpu(summary),
        *_describe_gate(summary),
    ]


def _describe_problems(summary: Summary, problems: Sequence[str]) -> Iterator[str]:
    if problems and summary.failure and summary.failure.component:
        yield f"stopped at {summary.failure.component}:"
    yield from (f"error: {problem}" for problem in problems)


def _describe_end(summary: Summary, run_folder: Path, serving: Path) -> Iterator[str]:
    yield f"verdict: {summary.verdict.value}"
    yield from (f"failed: {result.rule}: {result.reason}" for result in summary.gate if not result.passed)
    yield f"bundle: {summary.pushed.path if summary.pushed else 'none (nothing was pushed)'}"
    if summary.pushed:
        yield from _describe_serving(serving, summary.model, summary.pushed.version)
    page = run_folder / PAGE_FILE
    yield f"report: {page if page.is_file() else run_folder / SUMMARY_FILE}"


def _describe_serving(serving: Path, model: str, version: int) -> list[str]:
    """Return a note if another version than this run's is serving, as after a rollback."""
    try:
        current = read_current(serving, model)
    except UserError as error:
        return [f"note: {problem}" for problem in error.problems]
    if current is None:
        return ["note: no version is serving (CURRENT is missing)"]
    if current == version:
        return []
    return [f"note: version {current} is serving, not version {version} of this run"]


def _describe_data(summary: Summary) -> Iterator[str]:
    for name, counts in summary.data.splits.items():
        classes = [f"{label} {boxes:,}" for label, boxes in counts.per_class.items()]
        more = ["…"] if len(classes) > _LISTED_CLASSES else []
        listed = ", ".join([*classes[:_LISTED_CLASSES], *more])
        yield f"{name}: {counts.images:,} images, {counts.boxes:,} boxes{f' ({listed})' if listed else ''}"
    by_rule: dict[str, list[Finding]] = {}
    for finding in summary.data.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    if summary.data.splits and not by_rule:
        yield "findings: none"
    for rule, findings in sorted(by_rule.items(), key=lambda item: (-len(item[1]), item[0])):
        actions = Counter(finding.action.value for finding in findings)
        counted = ", ".join(f"{count:,} {action}" for action, count in actions.items())
        yield f"findings: {rule}: {counted}; {_shorten(_describe_finding(findings[0]))}"
    yield from _describe_spans(summary.data.spans)
    anomalies = summary.data.anomalies
    for anomaly in anomalies[:_LISTED_ANOMALIES]:
        about = ": ".join(filter(None, (anomaly.split, anomaly.feature, anomaly.description)))
        yield f"anomaly: {_shorten(about)}"
    if len(anomalies) > _LISTED_ANOMALIES:
        yield f"anomalies: {len(anomalies) - _LISTED_ANOMALIES:,} more, see the report"


def _describe_spans(report: SpanReport | None) -> Iterator[str]:
    if report and report.measurements:
        largest = max(report.measurements, key=lambda each: each.distance - each.limit)
        yield (
            f"spans: {len(report.spans)}; span-{report.spans[-1].span} differs most in the {largest.feature}: distance "
            f"{largest.distance:.2f}, limit {largest.limit:g}"
        )


def _describe_finding(finding: Finding) -> str:
    about = f", object {finding.object}" if finding.object is not None else ""
    return f"{finding.file}{about}: {finding.message}" if finding.file else finding.message


def _describe_training(summary: Summary) -> Iterator[str]:
    done = summary.training
    if done:
        reason = done.stop_reason.value.replace("_", " ")
        yield (
            f"training: {done.steps:,} steps in {format_duration(done.seconds)}, best at step {done.best_step:,} "
            f"({reason})"
        )


def _describe_metrics(metrics: MetricsSummary) -> list[str]:
    columns = {"float": metrics.float_model, "int8": metrics.int8, "baseline": metrics.baseline}
    measured = {name: values for name, values in columns.items() if values is not None}
    if not measured:
        return []
    rows = [("metrics", *measured)]
    for title, field in _HEADLINES:
        rows.append((title, *(_number(getattr(values, field)) for values in measured.values())))
    labels = list(next(iter(measured.values())).per_class)
    for label in labels[:_LISTED_CLASSES]:
        rows.append((f"AP {_shorten(label)}", *(_number(_class_ap(values, label)) for values in measured.values())))
    lines = _align(rows)
    if len(labels) > _LISTED_CLASSES:
        lines.append(f"AP of {len(labels) - _LISTED_CLASSES:,} more classes: see the report")
    return lines


def _class_ap(metrics: CocoMetrics, label: str) -> float | None:
    return metrics.per_class[label].ap if label in metrics.per_class else None


def _describe_edge_tpu(summary: Summary) -> Iterator[str]:
    record = summary.edgetpu
    if record:
        uncertain = f", {record.ops_uncertain} uncertain" if record.ops_uncertain else ""
        # What to do about it, and the numbers in words, are on the page.
        reason = record.reason.partition("; ")[0]
        yield (
            f"Edge TPU: {record.ops_on_tpu} of {record.ops_total} operators{uncertain} ({record.source.value}); "
            f"{'compiled' if record.compiled else 'not compiled'}: {reason}"
        )


def _describe_gate(summary: Summary) -> list[str]:
    if not summary.gate:
        return []
    rows = [("rule", "value", "threshold", "baseline", "")]
    for result in summary.gate:
        baseline = _number(read_compared(result.rule, summary.metrics.baseline))
        outcome = "passed" if result.passed else "failed"
        rows.append((result.rule, _number(result.value), _number(result.threshold), baseline, outcome))
    return _align(rows)


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4f}"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_EXAMPLE else f"{text[:_LONGEST_EXAMPLE]}…"
