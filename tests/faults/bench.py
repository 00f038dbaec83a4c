"""Where a scenario works: a folder with a workspace, runs in it, and an undisturbed run to compare with."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.factories_runs import QUICK
from tests.faults.attempt import Attempt, Line
from tests.faults.checks import find_leftovers, find_torn, find_unfinished
from tests.faults.state import FinalState, find_differences, read_final_state, without_serving

START_UP, REPORT = "start-up", "report"
IMAGES = 24
# All components in the shortest time. A batch holds all training images: their order, which a resumed training
# changes, counts little then.
WHOLE = QUICK | {
    "demo.images": IMAGES,
    "trainer.num_steps": 2,
    "trainer.steps_per_eval": 1,
    "trainer.batch_size": 20,
    "trainer.warmup_steps": 1,
    "trainer.input_size": 96,
    "trainer.augmentations": [],
    "trainer.sample_images": 1,
    "exporter.calibration_images": 2,
}
# The run ends at AnnotationValidator with exit code 2: no component that needs TensorFlow's graphs is reached.
EARLY = WHOLE | {"validation.max_class_imbalance": 0.01, "validation.severities": {"class_imbalance": "error"}}
# What a finished workspace is asked to do again without another result, so that there is something to write.
CHANGE = {"gate.max_regression": 0.99, "validation.near_duplicate_bits": 3}
_MARKS = (": started", ": cached")


@dataclass(frozen=True)
class Phase:
    """A part of a run: a component from its start to that of the next one, or what comes before and after them."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Reference:
    """An undisturbed run; `snapshot` is a copy of its workspace, to be put back to the same path."""

    exit_code: int
    phases: tuple[Phase, ...]
    state: FinalState
    snapshot: Path

    def seconds_of(self, phase: str) -> float:
        """Return how long a phase took."""
        return next(one.seconds for one in self.phases if one.name == phase)


class Bench:
    """A folder of one process of the harness, and runs in it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] = WHOLE) -> None:
        """`settings` become --set options of each run."""
        self.folder, self.settings = folder, settings
        self.workspace = folder / "ws"
        self._reference: Reference | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a run sees: caches and temporary files in this folder."""
        places = {"XDG_CACHE_HOME": self.folder / "cache", "TMPDIR": self.folder / "tmp"}
        for place in places.values():
            place.mkdir(exist_ok=True)
        return {name: str(place) for name, place in places.items()}

    def start(
        self,
        *arguments: str | Path,
        settings: Mapping[str, Any] | None = None,
        workspace: Path | None = None,
        before: Callable[[], None] | None = None,
    ) -> Attempt:
        """Start a run; `settings` are added to the bench's own."""
        options = [
            part
            for name, value in {**self.settings, **(settings or {})}.items()
            for part in ("--set", f"{name}={json.dumps(value)}")
        ]
        return Attempt(
            [*map(str, arguments), "--workspace", str(workspace or self.workspace), *options],
            environment=self.environment,
            errors=self.folder / "errors.txt",
            before=before,
        )

    def run(self, *arguments: str | Path, **options: Any) -> Attempt:
        """Start a run and wait for its end."""
        attempt = self.start(*arguments, **options)
        attempt.end()
        return attempt

    def clear(self) -> None:
        """Begin without a workspace and without anything remembered."""
        for path in (self.workspace, self.folder / "cache", self.folder / "tmp"):
            shutil.rmtree(path, ignore_errors=True)

    def restore(self) -> Reference:
        """Put the workspace of the undisturbed run in place, and return that run."""
        reference = self.reference
        shutil.rmtree(self.workspace, ignore_errors=True)
        shutil.copytree(reference.snapshot, self.workspace, symlinks=True)
        return reference

    @property
    def reference(self) -> Reference:
        """The undisturbed run; the first access makes it, and leaves no workspace.

        Raises:
            RuntimeError: even without a fault, something is wrong with it.
        """
        if self._reference is None:
            self.clear()
            attempt = self.run()
            problems = [*find_torn(self.workspace), *find_unfinished(self.workspace), *find_leftovers(self.workspace)]
            if attempt.exit_code not in (0, 2) or problems:
                raise RuntimeError(f"the undisturbed run: {problems}\n{attempt.text[-2000:]}")
            snapshot = self.folder / "undisturbed"
            shutil.copytree(self.workspace, snapshot, symlinks=True)
            phases = tuple(measure_phases(attempt.lines))
            self._reference = Reference(attempt.exit_code, phases, read_final_state(self.workspace), snapshot)
            self.clear()
        return self._reference

    def reached_end(self, attempt: Attempt) -> bool:
        """Return whether a run came as far as the undisturbed one."""
        last = self.reference.phases[-2].name
        ends = tuple(f"{last}: {state}" for state in ("done", "cached", "failed"))
        reported = any(line.text.startswith(ends) for line in attempt.lines)
        return reported and attempt.exit_code == self.reference.exit_code

    def check_finished(self, attempt: Attempt, *, served_before: bool = False, at: Path | None = None) -> list[str]:
        """Return how what a run has left at its own end differs from what the undisturbed run left.

        A retrained model is another version where one `served_before`. `at` is another workspace.
        """
        workspace, reference = at or self.workspace, self.reference
        if not self.reached_end(attempt):
            return [f"exit code {attempt.exit_code}, expected {reference.exit_code}: {attempt.text[-600:]}"]
        found, expected = read_final_state(workspace), reference.state
        if served_before:
            found, expected = without_serving(found), without_serving(expected)
        # A moved workspace keeps the artifacts that its metadata know under the old path.
        leftovers = find_leftovers(workspace) if at is None else []
        return [
            *find_torn(workspace),
            *find_unfinished(workspace),
            *leftovers,
            *find_differences(found, expected),
        ]

    def check_refused(self, attempt: Attempt, message: str) -> list[str]:
        """Return what is wrong with a run that had to end with exit code 2 and a message, and to tear nothing."""
        problems = find_torn(self.workspace)
        if attempt.exit_code != 2:
            problems.append(f"exit code {attempt.exit_code}, expected 2")
        if not re.search(message, attempt.text):
            problems.append(f"no message has {message!r}")
        if "Traceback" in attempt.text:
            problems.append("a traceback")
        return [f"{problem}: {attempt.text[-600:]}" for problem in problems]


def measure_phases(lines: list[Line]) -> Iterator[Phase]:
    """Yield the phases of a run that ended by itself, from what it printed."""
    starts = [(START_UP, 0.0)]
    starts += [(line.text.partition(":")[0], line.seconds) for line in lines if line.text.endswith(_MARKS)]
    last = starts[-1][0]
    ended_s = next((line.seconds for line in lines if line.text.startswith(f"{last}: ") and " in " in line.text), None)
    starts.append((REPORT, lines[-1].seconds if ended_s is None else ended_s))
    ends = [*(seconds for _, seconds in starts[1:]), lines[-1].seconds]
    for (name, started_s), phase_end_s in zip(starts, ends, strict=True):
        yield Phase(name, phase_end_s - started_s)
