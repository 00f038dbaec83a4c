"""Two runs at once in one workspace: one of them does the work, the other one says who does."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Iterator

from tests.faults.bench import CHANGE, Bench
from tests.faults.checks import find_torn, find_unfinished
from tests.faults.outcome import Round

RACE = "two runs at once"
_LONGEST_HEAD_START_S = 0.5


def race(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """In turn in a finished workspace, where both have work to do, and in a new one, whose winner is then killed."""
    for index in range(rounds):
        is_new = index % 2 == 1
        if is_new:
            bench.clear()
        else:
            bench.restore()
        runs = [bench.start(settings=CHANGE)]
        runs[0].read_until(seconds=generator.uniform(0.0, _LONGEST_HEAD_START_S))
        runs.append(bench.start(settings=CHANGE))
        # The loser ends at once; the winner prints on.
        losers = []
        for one in (runs[1], runs[0]):
            one.read_until(lambda line: "in use by another run" in line or line.endswith((": cached", ": started")))
            if "in use by another run" in one.text:
                losers.append(one)
                one.end()
        winners = [one for one in runs if one not in losers]
        for one in winners:
            if is_new:
                one.send(signal.SIGKILL)
            one.end()
        problems = find_torn(bench.workspace)
        if len(losers) != 1:
            problems.append(f"{len(losers)} of two runs were refused: {runs[0].text[-300:]} and {runs[1].text[-300:]}")
        for loser in losers:
            named = re.search(r"in use by another run \(process (\d+)\); wait until it ends", loser.text)
            if loser.exit_code != 2 or named is None or int(named[1]) != winners[0].pid:
                problems.append(f"exit code {loser.exit_code}: {loser.text[-400:]}")
        if not is_new:
            problems += [f"the winner: {p}" for p in bench.check_finished(winners[0], served_before=True)]
            problems += find_unfinished(bench.workspace)
        where = "in a new workspace" if is_new else "in a finished one"
        yield Round(RACE, f"one refused, {where}", tuple(problems))
