"""The state of a run under way, read from what the run itself leaves in its workspace.

The workspace's lock tells whether a run is under way, ML Metadata which component runs, and the Trainer's unfinished
folder how far it has come. Nothing is kept for this reader, and it takes no lock that a run could meet.
"""

from __future__ import annotations

import datetime
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import RecordError
from reefline.lineage.records import ExecutionRecord, ExecutionState, RunRecord
from reefline.lineage.store import read_run
from reefline.report.run_artifacts import find_unfinished_training
from reefline.report.run_folder import SUMMARY_FILE, list_run_folders, run_order
from reefline.structures.artifacts import ModelRunFolder
from reefline.system.record import Record
from reefline.training.history import TrainingPoint, read_history
from reefline.training.job import TrainingJob
from reefline.training.report import EvaluationPoint, TrainingState

_TRAINER = "Trainer"
# The speed is that of the last minutes: it changes with what else the machine does.
_SAMPLES = 20


@dataclass(frozen=True)
class ComponentTime(Record):
    """A component of the run under way: its state, and its seconds so far."""

    component: str
    state: ExecutionState
    seconds: float


@dataclass(frozen=True)
class LiveTraining(Record):
    """How far the training has come; a number is None while it is unknown.

    `loss` and `learning_rate` are those of `step`, the last step that was logged.
    """

    step: int
    total_steps: int
    loss: float | None
    learning_rate: float | None
    steps_per_s: float | None
    eta_s: float | None
    last_evaluation: EvaluationPoint | None
    best: EvaluationPoint | None


@dataclass(frozen=True)
class LiveState(Record):
    """live.json: `run_id`, `component` and `since` (ISO 8601, UTC) are "" while they are unknown.

    `problem` tells why a part could not be read; it may be readable a moment later.
    """

    is_running: bool
    run_id: str = ""
    component: str = ""
    since: str = ""
    components: tuple[ComponentTime, ...] = ()
    training: LiveTraining | None = None
    problem: str = ""


class LiveReader:
    """Reads a workspace again and again; it remembers only when which step was seen, for the speed."""

    def __init__(self, workspace: Path) -> None:
        """Read the runs of `workspace`."""
        self._workspace = workspace
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)
        self._sampled: Path | None = None

    def read(self) -> LiveState:
        """Return the state of the run under way; never fails, as what is being written may be incomplete."""
        run_id = find_run_under_way(self._workspace)
        if run_id is None:
            return LiveState(is_running=False)
        try:
            run = read_run(self._workspace / "metadata.db", run_id) if run_id else None
        except RecordError as error:
            return LiveState(is_running=True, run_id=run_id, problem=error.problems[0])
        executions = run.executions if run else ()
        running = next((one for one in reversed(executions) if one.state is ExecutionState.RUNNING), None)
        training, problem = self._read_training(run, running)
        return LiveState(
            is_running=True,
            run_id=run_id,
            component=running.component if running else "",
            since=running.started.isoformat(timespec="seconds") if running else "",
            components=_list_times(executions),
            training=training,
            problem=problem,
        )

    def _read_training(self, run: RunRecord | None, running: ExecutionRecord | None) -> tuple[LiveTraining | None, str]:
        folder = find_unfinished_training(run) if running and running.component == _TRAINER else None
        if folder is None or not folder.job.is_file():
            return None, ""
        try:
            job, state = TrainingJob.read(folder.job), TrainingState.read(folder.state)
            points = read_history(folder.history)
            seen_s = folder.history.stat().st_mtime if points else 0.0
        except RecordError as error:
            return None, error.problems[0]
        except OSError:  # the file has just been replaced
            return None, ""
        return self._describe(folder, job, state, points, seen_s), ""

    def _describe(
        self,
        folder: ModelRunFolder,
        job: TrainingJob,
        state: TrainingState,
        points: Sequence[TrainingPoint],
        seen_s: float,
    ) -> LiveTraining:
        last = points[-1] if points else None
        step = last.step if last else state.step
        measured = self._measure_speed(folder.root, step, seen_s) if points else None
        speed = measured or _mean_speed(state)
        total = job.settings.num_steps
        return LiveTraining(
            step=step,
            total_steps=total,
            loss=_finite(last.loss) if last else None,
            learning_rate=_finite(last.learning_rate) if last else None,
            steps_per_s=round(speed, 3) if speed else None,
            eta_s=round((total - step) / speed, 1) if speed else None,
            last_evaluation=state.evaluations[-1] if state.evaluations else None,
            best=state.best,
        )

    def _measure_speed(self, folder: Path, step: int, seen_s: float) -> float | None:
        """Return steps per second between the times at which the history grew; None before it has grown."""
        if folder != self._sampled or (self._samples and step < self._samples[-1][1]):
            self._samples.clear()
            self._sampled = folder
        if not self._samples or step > self._samples[-1][1]:
            self._samples.append((seen_s, step))
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s and last > first else None


def find_run_under_way(workspace: Path) -> str | None:
    """Return the run under way, "" while its id is unknown; None if no run holds the workspace."""
    if not is_locked(workspace / ".lock"):
        return None
    reports = workspace / "reports"
    folders = list_run_folders(reports) if reports.is_dir() else []
    # The summary is written last.
    unfinished = [folder.name for folder in folders if not (folder / SUMMARY_FILE).exists()]
    return max(unfinished, key=run_order, default="")


def is_locked(lock_file: Path) -> bool:
    """Return whether a run holds the workspace's lock.

    The kernel's list is read instead of trying the lock: a run that starts at that moment would find it taken. Without
    the list, the lock counts as held while the process that wrote its id into it lives.
    """
    try:
        holder, inode = lock_file.read_text(encoding="ascii", errors="replace").strip(), lock_file.stat().st_ino
    except OSError:
        return False
    if not (holder.isascii() and holder.isdigit()):
        return False
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return Path(f"/proc/{holder}").exists()
    # 1: FLOCK  ADVISORY  WRITE 4711 fe:00:2148293 0 EOF; see proc_locks(5).
    fields = (line.split() for line in locks)
    return any(
        len(field) > 5 and field[1] == "FLOCK" and field[4] == holder and field[5].rpartition(":")[2] == str(inode)
        for field in fields
    )


def _list_times(executions: Sequence[ExecutionRecord]) -> tuple[ComponentTime, ...]:
    now = datetime.datetime.fromtimestamp(time.time(), tz=datetime.timezone.utc)
    return tuple(
        ComponentTime(one.component, one.state, round(max(0.0, ((one.ended or now) - one.started).total_seconds()), 1))
        for one in executions
    )


def _mean_speed(state: TrainingState) -> float | None:
    """Return steps per second until the newest checkpoint, evaluations included."""
    return state.step / state.seconds if state.step and state.seconds > 0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
