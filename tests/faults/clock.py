"""A clock that is set back, before a run and during one, with Debian's libfaketime.

The library has to be loaded before the process starts: the scenario runs in a harness of its own, whose clock is what a
file says.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.attempt import REPO_DIR
from tests.faults.bench import CHANGE, WHOLE, Bench
from tests.faults.checks import find_torn
from tests.faults.outcome import FaultCounts, Round

CLOCK = "clock set back"
_FILE_VARIABLE = "FAKETIME_TIMESTAMP_FILE"
_LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
_SHIFTS = ("-1h", "-2d", "-30y")


def set_clock_back(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """In turn between two runs and at a random moment of one; afterwards the clock is right again."""
    if not _LIBRARIES:
        yield Round(CLOCK, "libfaketime is missing; apt-get install faketime", skipped=True)
    elif _FILE_VARIABLE not in os.environ:
        yield from _play_apart(bench, generator, rounds)
    else:
        yield from _play(bench, generator, rounds)


def _play_apart(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """Run this scenario alone in a harness whose clock can be set."""
    clock, found = bench.folder / "clock.txt", bench.folder / "clock.json"
    _set(clock, "+0")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(_LIBRARIES[0]),
        _FILE_VARIABLE: str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "TMPDIR": tempfile.gettempdir(),
    }
    is_early = bench.settings != WHOLE
    command = [sys.executable, "-m", "tests.faults.run", "--only", CLOCK, "--rounds", str(rounds), "--processes", "1"]
    command += ["--json", str(found), "--seed", str(generator.randrange(1 << 31)), *(["--early"] if is_early else [])]
    run = subprocess.run(command, env=environment, cwd=REPO_DIR, capture_output=True, text=True)
    if not found.is_file():
        yield Round(CLOCK, "the harness", (run.stderr[-2000:],))
        return
    (counts,) = FaultCounts.read(found).scenarios
    problems = list(counts.problems)
    for answer, number in counts.answers.items():
        for _ in range(number):
            yield Round(CLOCK, answer, (problems.pop(),) if problems else ())


def _play(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    clock = Path(os.environ[_FILE_VARIABLE])
    phases = [phase for phase in bench.reference.phases if phase.seconds > 0]
    for index in range(rounds):
        shift, during = _SHIFTS[index // 2 % len(_SHIFTS)], index % 2 == 1
        if during:
            bench.clear()
            attempt = bench.start()
            attempt.read_until(seconds=generator.uniform(0.0, sum(phase.seconds for phase in phases)))
            _set(clock, shift)
        else:
            bench.restore()
            _set(clock, shift)
            attempt = bench.start(settings=CHANGE)
        attempt.end()
        problems = bench.check_finished(attempt) if during else find_torn(bench.workspace)
        if attempt.exit_code != bench.reference.exit_code:
            problems.append(f"exit code {attempt.exit_code}: {attempt.text[-500:]}")
        _set(clock, "+0")
        again = bench.run()
        problems += [f"the clock is right again: {problem}" for problem in bench.check_finished(again)]
        answer = f"{shift} {'during' if during else 'before'} a run: as undisturbed"
        yield Round(CLOCK, answer, tuple(f"{shift}, {'during' if during else 'before'}: {p}" for p in problems))


def _set(clock: Path, shift: str) -> None:
    """Shift the clock; the file is replaced in one step, as it is read at any time."""
    part = clock.with_suffix(".part")
    part.write_text(f"{shift}\n")
    part.replace(clock)
