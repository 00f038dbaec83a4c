"""One run on this machine: from the command line's wishes to a report, whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pipeline.local.workspace import (
    Workspace,
    hold_lock,
    is_out_of_space,
    place_by_content,
    point_latest_at,
    point_source_at,
)
from reefline.config.overrides import parse_override
from reefline.config.run_config import CONFIG_DIR, RunConfig, choose_config_file, load_config
from reefline.data.source import provide_data
from reefline.edgetpu.record import EdgeTpuRecord, PreflightError
from reefline.errors import DataError, UserError
from reefline.findings import Finding
from reefline.report.summary import Failure, RunRecords, Verdict, decide_verdict, summarize
from reefline.system.files import write_whole
from reefline.system.terminal import escape_control, send_noise_to

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeRun

SCHEMA_FILE = CONFIG_DIR / "schema.pbtxt"

EXIT_CODES = {Verdict.BLESSED: 0, Verdict.NOT_BLESSED: 3, Verdict.FAILED: 1}


@dataclass(frozen=True)
class RunRequest:
    """What the command line asks for; None where it does not say."""

    config_file: Optional[Path]
    data_dir: Optional[Path]
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended; `problems` are the messages for the terminal, one each."""

    exit_code: int
    verdict: Verdict
    records: RunRecords
    run_folder: Path
    problems: tuple[str, ...] = ()


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a run as Ctrl-C does, with a report."""


@dataclass
class _Progress:
    """How far a run has come, kept for the report of one that stops early."""

    stage: str = "config"
    model: str = ""
    # What the user calls <workspace>/source, which is all that the pipeline sees of it.
    data_dir: str = ""
    node_runs: list[NodeRun] = field(default_factory=list)


def run_pipeline(request: RunRequest, workspace: Workspace, run_folder: Path, say: Callable[[str], None]) -> RunOutcome:
    """Run the pipeline; never raises, and always leaves <run_folder>/summary.json where the disk lets it.

    The folder's name is the run's id; `say` takes one line for the terminal.
    """
    progress = _Progress()
    exit_code: Optional[int] = None
    failure: Optional[Failure] = None
    problems: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    edgetpu: Optional[EdgeTpuRecord] = None
    try:
        with _terminable():
            _run_stages(request, workspace, run_folder, progress, say)
    except BaseException as error:
        exit_code, problems = explain_error(error, run_folder)
        problems = tuple(problem.replace(str(workspace.source), progress.data_dir) for problem in problems)
        failure = Failure(progress.stage, "\n".join(problems))
        findings = error.findings if isinstance(error, DataError) else ()
        edgetpu = error.edgetpu if isinstance(error, PreflightError) else None
    records = RunRecords(run_id=run_folder.name, model=progress.model, failure=failure)
    records = replace(records, seconds={run.component: run.seconds for run in progress.node_runs})
    records = _collect(records, workspace, progress, run_folder)
    known = set(records.findings)
    records = replace(records, findings=(*records.findings, *(f for f in findings if f not in known)))
    records = replace(records, edgetpu=records.edgetpu or edgetpu)
    verdict = decide_verdict(records)
    problems += _write_report(records, workspace, run_folder)
    return RunOutcome(EXIT_CODES[verdict] if exit_code is None else exit_code, verdict, records, run_folder, problems)


def explain_error(error: BaseException, run_folder: Path) -> tuple[int, tuple[str, ...]]:
    """Return the exit code and the messages of an error; the traceback of an unexpected one goes to error.log."""
    if isinstance(error, UserError):
        return error.exit_code, error.problems
    if is_out_of_space(error):
        place = run_folder.parents[1]
        return 2, (f"{place}: no space left on the device; free some, or name another folder with --workspace DIR",)
    if isinstance(error, KeyboardInterrupt):
        terminated = isinstance(error, Terminated)
        return (143, ("stopped by SIGTERM",)) if terminated else (130, ("stopped by Ctrl-C",))
    log_file = run_folder / "error.log"
    with contextlib.suppress(OSError):
        log_file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    first_line = next(iter(str(error).splitlines()), "")
    return 1, (f"unexpected {type(error).__name__}: {first_line} (the traceback is in {log_file})",)


def _run_stages(
    request: RunRequest, workspace: Workspace, run_folder: Path, progress: _Progress, say: Callable[[str], None]
) -> None:
    overrides = [parse_override(text) for text in request.overrides]
    config = load_config(choose_config_file(request.config_file, request.data_dir), overrides)
    progress.model, progress.stage = config.model_name, "workspace"
    with hold_lock(workspace):
        progress.stage = "data"
        data_dir = provide_data(request.data_dir, config.demo, workspace.demo_data, say)
        progress.data_dir = str(data_dir)
        point_source_at(workspace, data_dir)
        progress.stage = "pipeline"
        with send_noise_to(run_folder / "run.log"):
            _run_dag(config, workspace, run_folder.name, progress, say)


def _run_dag(
    config: RunConfig, workspace: Workspace, run_id: str, progress: _Progress, say: Callable[[str], None]
) -> None:
    from reefline.od_api import compat

    # Before anything imports TensorFlow: legacy Keras is chosen by then or never.
    compat.apply()
    from pipeline.local.light_imports import defer_package

    defer_package("tfx.components")
    from pipeline.local.dag_runner import DagRunner, NodeState
    from pipeline.pipeline import Places, create_pipeline

    def report(run: NodeRun) -> None:
        if run.state is NodeState.STARTED:
            progress.stage = run.component
        else:
            progress.node_runs.append(run)
        took = "" if run.state in (NodeState.STARTED, NodeState.CACHED) else f" in {run.seconds:.1f} s"
        say(f"{run.component}: {run.state.value}{took}")

    places = Places(
        data_dir=str(workspace.source),
        hash_memory=str(workspace.hash_memory),
        schema_file=str(place_by_content(workspace, SCHEMA_FILE)),
        serving=str(workspace.serving),
        artifacts=str(workspace.artifacts),
        metadata_db=str(workspace.metadata_db),
    )
    runner = DagRunner(run_id, report)
    try:
        runner.run(create_pipeline(config, places))
    finally:
        progress.stage = runner.broken_off_component or progress.stage


def _collect(records: RunRecords, workspace: Workspace, progress: _Progress, run_folder: Path) -> RunRecords:
    """Add what the artifacts tell; artifacts that cannot be read are one more failure, not the end of the report."""
    if not progress.node_runs:
        return records
    from pipeline.local.collect import collect, read_outputs

    try:
        return collect(records, read_outputs(workspace.metadata_db, progress.node_runs))
    except Exception as error:
        _, problems = explain_error(error, run_folder)
        return replace(records, failure=records.failure or Failure("report", "\n".join(problems)))


def _write_report(records: RunRecords, workspace: Workspace, run_folder: Path) -> tuple[str, ...]:
    """Write summary.json, whole or not at all; return a message where that fails."""
    target = run_folder / "summary.json"
    try:
        write_whole(target, json.dumps(summarize(records), indent=2, ensure_ascii=False) + "\n")
        point_latest_at(workspace, run_folder)
    except OSError as error:
        return (f"{target}: the report could not be written ({error.strerror})",)
    return ()


def describe_outcome(outcome: RunOutcome, workspace: Workspace) -> list[str]:
    """Return the last lines of a run: problems, verdict, failed rules, the bundle's path, the report's path."""
    records = outcome.records
    lines = [f"error: {escape_control(problem)}" for problem in outcome.problems]
    if outcome.problems and records.failure and records.failure.component:
        lines = [f"stopped at {records.failure.component}:", *lines]
    lines.append(f"verdict: {outcome.verdict.value}")
    if records.evaluation:
        lines += [f"failed: {r.rule}: {escape_control(r.reason)}" for r in records.evaluation.gate if not r.passed]
    lines.append(f"bundle: {records.pushed.path if records.pushed else 'none (nothing was pushed)'}")
    if records.pushed:
        lines += _describe_serving(workspace, records.model, records.pushed.version)
    lines.append(f"report: {outcome.run_folder / 'summary.json'}")
    return lines


def _describe_serving(workspace: Workspace, model: str, version: int) -> list[str]:
    """Say so where another version than this run's serves, as after a rollback."""
    try:
        current = (workspace.serving / model / "CURRENT").read_text().strip()
    except OSError:
        return ["note: no version serves (CURRENT is missing)"]
    if current == str(version):
        return []
    return [f"note: version {current} serves, not this run's {version}"]


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does; only the main thread may listen for signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(_signal: int, _frame: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
