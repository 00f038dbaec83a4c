"""The harness: `python -m tests.faults.run [--json FILE] [--only NAME ...]`; its exit code is 1 if a round failed.

Each process works in its own folder, and takes the next piece of work when it has finished one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.attempt import preload
from tests.faults.bench import EARLY, WHOLE, Bench
from tests.faults.by_hand import DELETED, MOVED, delete_parts, move_workspace
from tests.faults.changing_data import CHANGING, change_data
from tests.faults.clock import CLOCK, set_clock_back
from tests.faults.disks import FULL, READ_ONLY, fill_disks, lock_files
from tests.faults.downloads import DOWNLOADS, download
from tests.faults.kills import KILLED, STOPPED, kill_runs, stop_runs
from tests.faults.outcome import FaultCounts, Round, count, format_table
from tests.faults.races import RACE, race

SEED = 14
_TRACEBACK_CHARACTERS = 2000
_OWN_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


@dataclass(frozen=True)
class Scenario:
    """Faults of one kind: `rounds` in pieces of at most `piece`, and as many as `short` in the short part.

    `play` yields one Round per fault, given the bench, a seeded generator, and how many.
    """

    name: str
    play: Callable[[Bench, random.Random, int], Iterator[Round]]
    rounds: int
    piece: int
    short: int = 0


# The longest first, so that all processes are busy to the end.
SCENARIOS = (
    Scenario(KILLED, kill_runs, rounds=200, piece=50, short=3),
    Scenario(DELETED, delete_parts, rounds=29, piece=10, short=1),
    Scenario(FULL, fill_disks, rounds=30, piece=30, short=1),
    Scenario(STOPPED, stop_runs, rounds=40, piece=40, short=2),
    Scenario(CLOCK, set_clock_back, rounds=6, piece=6),
    Scenario(MOVED, move_workspace, rounds=3, piece=3),
    Scenario(RACE, race, rounds=20, piece=20, short=1),
    Scenario(CHANGING, change_data, rounds=24, piece=12, short=1),
    Scenario(DOWNLOADS, download, rounds=20, piece=10, short=1),
    Scenario(READ_ONLY, lock_files, rounds=9, piece=9, short=1),
)


@dataclass(frozen=True)
class Piece:
    """Rounds of a scenario for one process: those from `first` on."""

    scenario: Scenario
    first: int
    rounds: int

    def generator(self, seed: int) -> random.Random:
        """Return what chooses the moments: the same for one seed, whichever process plays the piece."""
        return random.Random(f"{seed} {self.scenario.name} {self.first}")


@dataclass(frozen=True)
class Played:
    """A piece of work that was done."""

    scenario: str
    rounds: tuple[Round, ...]
    seconds: float


def make_pieces(rounds: Mapping[str, int]) -> list[Piece]:
    """Return the work for so many rounds of each scenario."""
    return [
        Piece(scenario, first, min(scenario.piece, rounds[scenario.name] - first))
        for scenario in SCENARIOS
        for first in range(0, rounds.get(scenario.name, 0), scenario.piece)
    ]


def play_all(
    pieces: Sequence[Piece], settings: Mapping[str, Any], folder: Path, *, seed: int, processes: int
) -> list[Played]:
    """Do all pieces of work in forks of this process, which stays without threads."""
    context = multiprocessing.get_context("fork")
    tasks, results = context.SimpleQueue(), context.SimpleQueue()
    for index in [*range(len(pieces)), *[None] * processes]:
        tasks.put(index)

    def work(bench: Bench) -> None:
        while (index := tasks.get()) is not None:
            results.put(_play(pieces[index], bench, seed))

    workers = [
        context.Process(target=work, args=(Bench(folder / str(number), settings),)) for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = []
    for _ in pieces:
        found.append(results.get())
        _tell(f"{found[-1].scenario}: {len(found[-1].rounds)} rounds in {found[-1].seconds:.0f} s")
    for worker in workers:
        worker.join()
    return found


def _play(piece: Piece, bench: Bench, seed: int) -> Played:
    name, started_s, rounds = piece.scenario.name, time.monotonic(), []
    try:
        for one in piece.scenario.play(bench, piece.generator(seed), piece.rounds):
            rounds.append(one)
            for problem in one.problems:
                _tell(f"{name}: FAILED {problem}")
    except Exception:
        rounds.append(Round(name, "the harness", (traceback.format_exc()[-_TRACEBACK_CHARACTERS:],)))
        _tell(rounds[-1].problems[0])
    return Played(name, tuple(rounds), time.monotonic() - started_s)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def add_up(played: Sequence[Played], *, seed: int, seconds: float) -> FaultCounts:
    """Return the counts of all scenarios that were played."""
    names = [one.name for one in SCENARIOS if any(done.scenario == one.name for done in played)]
    scenarios = tuple(
        count(
            name,
            [one for done in played if done.scenario == name for one in done.rounds],
            sum(done.seconds for done in played if done.scenario == name),
        )
        for name in names
    )
    return FaultCounts(
        seed=seed,
        cores=os.cpu_count() or 1,
        seconds=round(seconds, 1),
        cpu_seconds=round(sum(sum(resource.getrusage(who)[:2]) for who in _OWN_PROCESSES), 1),
        rounds=sum(one.rounds for one in scenarios),
        failed=sum(one.failed for one in scenarios),
        scenarios=scenarios,
    )


def main() -> int:
    """Play the scenarios, print a table, and write the counts."""
    options = _parse()
    started_s = time.monotonic()
    is_early = options.early or options.short
    preload(training=not is_early)
    rounds = {one.name: one.short if options.short else min(one.rounds, options.rounds) for one in SCENARIOS}
    pieces = make_pieces({name: rounds[name] for name in options.only or rounds})
    with tempfile.TemporaryDirectory(prefix="reefline-faults-", ignore_cleanup_errors=True) as folder:
        processes = min(options.processes, len(pieces))
        settings = EARLY if is_early else WHOLE
        played = play_all(pieces, settings, Path(folder), seed=options.seed, processes=processes)
    counts = add_up(played, seed=options.seed, seconds=time.monotonic() - started_s)
    print(format_table(counts))
    if options.json is not None:
        counts.write(options.json)
    return int(counts.failed > 0)


def _parse() -> argparse.Namespace:
    names = [one.name for one in SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.run", description="Play faults and count the answers."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument(
        "--rounds", type=int, default=sys.maxsize, metavar="N", help="at most N rounds of each scenario"
    )
    parser.add_argument("--short", action="store_true", help="the part that `make test` plays, on early runs")
    parser.add_argument("--early", action="store_true", help="runs that end at AnnotationValidator, without training")
    parser.add_argument("--seed", type=int, default=SEED, help="what chooses the moments")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
