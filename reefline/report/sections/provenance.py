"""The section on provenance: data, sources, config, machine, durations, lineage, and the model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.config.run_config import RunConfig
from reefline.config.yaml_writer import format_yaml
from reefline.lineage.records import ExecutionState, RunRecord
from reefline.report.reviewed_run import ReviewedRun
from reefline.report.run_artifacts import find_result
from reefline.report.section import Section, render
from reefline.report.sections.model_card import read_card
from reefline.report.summary import RunRecords
from reefline.system.terminal import format_duration

_INGESTED = ("VocExampleGen.examples", "VocExampleGen.report")
_FINGERPRINT = "input_fingerprint"


@dataclass(frozen=True)
class Duration:
    """A component's wall-clock time in this run; `share` is the bar's length in percent of the longest."""

    component: str
    state: ExecutionState
    text: str
    share: float


@dataclass(frozen=True)
class LineageRow:
    """An artifact on the way from the bundle back to the images.

    `place` is its folder, a bundle's the one it was pushed to, relative to the workspace where it lies there.
    `is_reused` where an earlier run made it.
    """

    id: int
    output: str
    type: str
    place: str
    execution_id: int | None
    run_id: str
    is_reused: bool


def make_provenance_section(reviewed: ReviewedRun) -> Section:
    """Return the section of any run."""
    run = reviewed.run
    html = render(
        "provenance.html",
        fingerprint=find_fingerprint(run),
        environment=reviewed.environment,
        config=describe_config(reviewed.config),
        card=read_card(reviewed.config, reviewed.records),
        durations=list_durations(reviewed.records, run),
        total=format_duration(sum(reviewed.records.seconds.values())),
        lineage=list_lineage(run, reviewed.workspace) if run else (),
    )
    return Section("provenance", "Provenance", html)


def find_fingerprint(run: RunRecord | None) -> str:
    """Return the sha256 of the ingested data, "" if ingestion did not finish."""
    outputs = [run.outputs[name] for name in _INGESTED if name in run.outputs] if run else []
    return next((str(one.properties[_FINGERPRINT]) for one in outputs if _FINGERPRINT in one.properties), "")


def describe_config(config: str) -> str:
    """Return the effective config as YAML; `config` is a RunConfig as JSON, "" without one."""
    return format_yaml(RunConfig.from_json(config).model_dump(mode="json")) if config else ""


def list_durations(records: RunRecords, run: RunRecord | None) -> tuple[Duration, ...]:
    """Return one row per component of the run, in its order."""
    longest = max(records.seconds.values(), default=0.0) or 1.0
    return tuple(
        Duration(component, _find_state(component, run), _format_seconds(seconds), round(100 * seconds / longest, 1))
        for component, seconds in records.seconds.items()
    )


def list_lineage(run: RunRecord, workspace: Path) -> tuple[LineageRow, ...]:
    """Return the run's result and what it was made from, the last step first."""
    result = find_result(run)
    found = tuple(run.walk_back(result)) if result else ()
    names = {artifact.id: name for name, artifact in run.outputs.items()}
    order = {artifact.id: number for number, artifact in enumerate(run.outputs.values())}
    return tuple(
        LineageRow(
            id=artifact.id,
            output=names.get(artifact.id, ""),
            type=artifact.type,
            place=_shorten(str(artifact.properties.get("path") or artifact.uri), workspace),
            execution_id=artifact.maker.execution_id if artifact.maker else None,
            run_id=artifact.maker.run_id if artifact.maker else "",
            is_reused=artifact.maker is not None and artifact.maker.run_id != run.run_id,
        )
        for artifact in sorted(found, key=lambda artifact: order.get(artifact.id, -1), reverse=True)
    )


def _find_state(component: str, run: RunRecord | None) -> ExecutionState:
    """Return a component's state; one without an execution failed before it had any."""
    execution = run.find(component) if run else None
    return execution.state if execution else ExecutionState.FAILED


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else format_duration(seconds)


def _shorten(uri: str, workspace: Path) -> str:
    path = Path(uri)
    return path.relative_to(workspace).as_posix() if path.is_relative_to(workspace) else uri
