"""Runs that are killed, terminated or stopped by Ctrl-C at random moments, and run again each time."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.attempt import Attempt
from tests.faults.bench import REPORT, START_UP, Bench
from tests.faults.checks import find_torn, find_unfinished
from tests.faults.outcome import Round

KILLED, STOPPED = "SIGKILL", "SIGTERM, Ctrl-C"
# A moment may lie just behind the phase, where ML Metadata records it.
_LATEST = 1.05
_ENDED = ("done", "cached", "failed", "stopped")
# Shells report a process that a signal ended as 128 + its number.
_EXIT_CODES = {
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGTERM: {143, -signal.SIGTERM},
    signal.SIGINT: {130},
}


@dataclass
class _Chain:
    """A workspace whose runs are all cut short: `done` are the components that a run has reported as done."""

    bench: Bench
    generator: random.Random
    done: set[str]


def kill_runs(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """SIGKILL: what was done stays done, nothing is torn, and in the end all is as after an undisturbed run."""
    yield from _disturb(bench, generator, rounds, KILLED, (signal.SIGKILL,))


def stop_runs(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """SIGTERM and Ctrl-C in turn: the same, with the documented exit code and a report."""
    yield from _disturb(bench, generator, rounds, STOPPED, (signal.SIGTERM, signal.SIGINT))


def _disturb(
    bench: Bench, generator: random.Random, rounds: int, scenario: str, signals: tuple[signal.Signals, ...]
) -> Iterator[Round]:
    phases = [phase.name for phase in bench.reference.phases]
    bench.clear()
    chain = _Chain(bench, generator, set())
    for index in range(rounds):
        # In the order of the run, so that the phases before the aimed one are cached.
        phase = phases[index * len(phases) // rounds]
        yield _disturb_once(chain, scenario, phase, signals[index % len(signals)])
    attempt = bench.run()
    problems = [*bench.check_finished(attempt), *_find_lost(attempt, chain.done)]
    again = bench.run()
    fresh = set(again.components("started")) - set(again.components("failed"))
    problems += [f"not cached afterwards: {name}" for name in sorted(fresh)]
    problems += [f"and again: {problem}" for problem in bench.check_finished(again)]
    if problems:
        yield Round(scenario, "the last run", tuple(f"after {rounds} rounds: {problem}" for problem in problems))


def _disturb_once(chain: _Chain, scenario: str, aimed: str, number: signal.Signals) -> Round:
    attempt = chain.bench.start()
    share = chain.generator.uniform(0.0, _LATEST)
    last = chain.bench.reference.phases[-2].name
    phase = _wait_for(attempt, aimed, last)
    attempt.read_until(seconds=share * chain.bench.reference.seconds_of(phase))
    hit = _last_phase(attempt, last)
    attempt.send(number)
    problems = []
    try:
        code = attempt.end()
    except TimeoutError as error:
        return Round(scenario, f"in {hit}", (f"{number.name} in {hit}: {error}",))
    orphans = attempt.wait_for_children()
    ended_before = code == chain.bench.reference.exit_code
    if not ended_before and code not in _EXIT_CODES[number]:
        problems.append(f"exit code {code}: {attempt.text[-400:]}")
    if number is not signal.SIGKILL and not ended_before:
        problems += _check_stopped(chain.bench, attempt, hit)
    problems += _find_lost(attempt, chain.done)
    problems += find_torn(chain.bench.workspace) if chain.bench.workspace.exists() else []
    problems += [f"still running: {command}" for command in orphans]
    chain.done |= {*attempt.components("done"), *attempt.components("cached")}
    named = f"{number.name} in {hit} at {share:.2f}"
    return Round(scenario, f"in {hit}", tuple(f"{named}: {problem}" for problem in problems))


def _wait_for(attempt: Attempt, aimed: str, last: str) -> str:
    """Wait until a phase begins and return it; where its component is cached by now, the next one that starts."""
    if aimed == START_UP:
        return aimed
    if aimed == REPORT:
        attempt.read_until(lambda line: line.startswith((*(f"{last}: {state}" for state in _ENDED), "verdict: ")))
        return aimed
    passed: list[str] = []

    def begins(line: str) -> bool:
        name, _, state = line.partition(": ")
        if name == aimed and state == "cached":
            passed.append(name)
        return (state == "started" and (name == aimed or bool(passed))) or line.startswith("verdict: ")

    attempt.read_until(begins)
    started = attempt.components("started")
    return started[-1] if started else REPORT


def _last_phase(attempt: Attempt, last: str) -> str:
    """Return the phase in which a run is now, by what it has printed."""
    names = [(line.text.partition(": ")[0], line.text.partition(": ")[2]) for line in attempt.lines]
    states = [(name, state) for name, state in names if state.startswith(("started", *_ENDED))]
    if not states:
        return START_UP
    name, state = states[-1]
    return REPORT if name == last and not state.startswith("started") else name


def _check_stopped(bench: Bench, attempt: Attempt, hit: str) -> Iterator[str]:
    """A stop by a signal leaves a report, and no execution that seems to run."""
    if hit not in (START_UP, REPORT):
        if "verdict: FAILED" not in attempt.text:
            yield f"no report: {attempt.text[-400:]}"
        yield from find_unfinished(bench.workspace)


def _find_lost(attempt: Attempt, done: set[str]) -> list[str]:
    return [
        f"{name} ran again, though an earlier run had done it" for name in attempt.components("started") if name in done
    ]
