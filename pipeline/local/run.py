"""One run on this machine: from the command line's options to a report, whatever happens."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.local.recommended import recommend_config, warn_of_long_run
from pipeline.local.run_report import write_page, write_summary
from pipeline.local.start_check import check_start
from pipeline.local.stop import Stop, Terminated
from pipeline.local.workspace import (
    Workspace,
    check_metadata,
    check_writable,
    hold_lock,
    place_by_content,
    point_source_at,
)
from reefline.bundle.signature import load_signer
from reefline.config.overrides import parse_override
from reefline.config.run_config import CONFIG_DIR, RunConfig, choose_config_file, load_config
from reefline.config.run_request import RunRequest, check_minutes
from reefline.config.yaml_writer import format_yaml
from reefline.data.source import check_reach, provide_data
from reefline.lineage.store import read_run
from reefline.recommendation.wishes import read_wishes
from reefline.report.collect import collect
from reefline.report.run_folder import CONFIG_FILE
from reefline.report.summary import RunRecords, Summary, Verdict, decide_verdict
from reefline.report.text import describe_run
from reefline.system.files import write_whole
from reefline.system.leftovers import remove_leftovers
from reefline.system.temporary_files import own_temporary_folder
from reefline.system.terminal import say, send_noise_to

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeRun

SCHEMA_FILE = CONFIG_DIR / "schema.pbtxt"

# After the push: whether it works says nothing about the model.
REVIEW_COMPONENT = "ReviewReport"

EXIT_CODES = {Verdict.BLESSED: 0, Verdict.NOT_BLESSED: 3, Verdict.FAILED: 1}


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended; `problems` are the messages for the terminal, one each, `notes` what the page lacks."""

    exit_code: int
    verdict: Verdict
    records: RunRecords
    run_folder: Path
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Progress:
    """How far a run has come, for the report of one that stops early.

    `shown_as` maps <workspace>/source, which is what the pipeline sees of the data, to what the user calls it. A
    recommended config has already told how long it takes. `config` is the effective one as JSON.
    """

    stage: str = "config"
    model: str = ""
    config: str = ""
    shown_as: dict[Path, str] = field(default_factory=dict)
    is_recommended: bool = False
    node_runs: list[NodeRun] = field(default_factory=list)


def run_pipeline(request: RunRequest, workspace: Workspace, run_folder: Path) -> RunOutcome:
    """Run the pipeline; never raises, and always leaves summary.json and index.html if the disk allows it.

    The name of the folder is the run's id.
    """
    # Held until the page is written: `reefline report` would take this run for one that was killed.
    with contextlib.ExitStack() as held:
        return _run_and_report(request, workspace, run_folder, held)


def _run_and_report(
    request: RunRequest, workspace: Workspace, run_folder: Path, held: contextlib.ExitStack
) -> RunOutcome:
    progress, stop = _Progress(), None
    try:
        with _terminable():
            _run_stages(request, workspace, run_folder, progress, held)
    except BaseException as error:
        stop = Stop.from_error(error, progress.stage, run_folder, progress.shown_as)
    notes: tuple[str, ...] = ()
    if stop is not None and stop.component == REVIEW_COMPONENT and not stop.is_by_signal:
        notes, stop = tuple(f"{REVIEW_COMPONENT} failed: {problem}" for problem in stop.problems), None
    records, stop = _make_records(workspace, run_folder, progress, stop)
    verdict = decide_verdict(records)
    problems = (*(stop.problems if stop else ()), *write_summary(records, workspace, run_folder))
    notes += write_page(records, progress.config, workspace, run_folder)
    return RunOutcome(stop.exit_code if stop else EXIT_CODES[verdict], verdict, records, run_folder, problems, notes)


def _run_stages(
    request: RunRequest, workspace: Workspace, run_folder: Path, progress: _Progress, held: contextlib.ExitStack
) -> None:
    """Run all stages; the workspace's lock is put on `held`, for the report."""
    check_minutes(request)
    overrides = [parse_override(text) for text in request.overrides]
    if request.asks_for_recommendation:
        config = read_wishes(overrides).config
    else:
        config = load_config(choose_config_file(request.config_file, request.data_dir), overrides)
    progress.model, progress.is_recommended = config.model_name, request.asks_for_recommendation
    progress.stage = "workspace"
    check_writable(workspace)
    held.enter_context(hold_lock(workspace, run_folder.name))
    remove_leftovers(workspace.root)
    held.enter_context(own_temporary_folder())
    check_metadata(workspace)
    progress.stage = "data"
    data_dir = provide_data(request.data_dir, config.demo, workspace.demo_data, say)
    check_reach(config.data.beam_options, str(data_dir))
    point_source_at(workspace, data_dir)
    progress.shown_as = {workspace.source: str(data_dir)}
    with send_noise_to(run_folder / "run.log"):
        if request.asks_for_recommendation:
            progress.stage = "recommendation"
            config = recommend_config(data_dir, request.minutes, overrides, workspace, run_folder)
        progress.stage = "push.signing_key"
        if config.push.signing_key is not None:
            # Before the training: a push that fails for its key comes after it.
            load_signer(config.push.signing_key, outside_of=workspace.root)
        progress.stage = "trainer.start"
        check_start(config.trainer, config.model_name, workspace)
        progress.stage = "pipeline"
        _keep_config(config, run_folder, progress)
        _run_dag(config, workspace, run_folder.name, progress)


def _keep_config(config: RunConfig, run_folder: Path, progress: _Progress) -> None:
    progress.config = config.to_json()
    write_whole(run_folder / CONFIG_FILE, format_yaml(config.model_dump(mode="json")))


def _run_dag(config: RunConfig, workspace: Workspace, run_id: str, progress: _Progress) -> None:
    pipeline = _compile_pipeline(config, workspace)
    from pipeline.local.dag_runner import DagRunner, NodeState

    def report(run: NodeRun) -> None:
        if run.state is NodeState.STARTED:
            progress.stage = run.component
        else:
            progress.node_runs.append(run)
        duration = "" if run.state in (NodeState.STARTED, NodeState.CACHED) else f" in {run.seconds:.1f} s"
        say(f"{run.component}: {run.state.value}{duration}")
        if run.component == "Trainer" and run.state is NodeState.STARTED and not progress.is_recommended:
            for line in warn_of_long_run(config.trainer):
                say(line)

    runner = DagRunner(run_id, report)
    try:
        runner.run_with_ir(pipeline)
    finally:
        progress.stage = runner.broken_off_component or progress.stage


def _compile_pipeline(config: RunConfig, workspace: Workspace) -> Any:
    """Return the pipeline in TFX's intermediate representation, without importing what only executors need."""
    from reefline.od_api import compat

    # Before anything imports TensorFlow, which decides then whether Keras is the legacy one.
    compat.select_legacy_keras()
    from pipeline.local.light_imports import TFX_IMPORTS, delay

    with delay(TFX_IMPORTS):
        from tfx.dsl.compiler.compiler import Compiler

        from pipeline.local.dag_runner import read_local_files_directly
        from pipeline.pipeline import Places, create_pipeline

        read_local_files_directly()
        places = Places(
            data_dir=str(workspace.source),
            hash_memory=str(workspace.hash_memory),
            schema_file=str(place_by_content(workspace, SCHEMA_FILE)),
            serving=str(workspace.serving),
            artifacts=str(workspace.artifacts),
            metadata_db=str(workspace.metadata_db),
            start_memory=str(workspace.start_memory),
        )
        return Compiler().compile(create_pipeline(config, places))


def _make_records(
    workspace: Workspace, run_folder: Path, progress: _Progress, stop: Stop | None
) -> tuple[RunRecords, Stop | None]:
    """Return the run's records and why it stopped: unreadable artifacts stop a run that reached its end."""
    run_id, model = run_folder.name, progress.model
    seconds = {run.component: run.seconds for run in progress.node_runs}
    end = stop.end if stop else None
    try:
        run = read_run(workspace.metadata_db, run_id)
        return collect(run_id, model, seconds, run.outputs if run else {}, end), stop
    except Exception as error:
        stop = stop or Stop.from_error(error, "report", run_folder, progress.shown_as)
        return collect(run_id, model, seconds, {}, stop.end), stop


def describe_outcome(outcome: RunOutcome, workspace: Workspace) -> list[str]:
    """Return the last lines of a run: what it found and decided, the bundle's path, the report's path."""
    summary = Summary.from_records(outcome.records)
    return describe_run(summary, outcome.run_folder, workspace.serving, problems=outcome.problems, notes=outcome.notes)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end the run like Ctrl-C; only the main thread can handle signals."""
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
