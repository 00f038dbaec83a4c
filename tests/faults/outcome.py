"""What the rounds of a scenario came to, as the table and the JSON file have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reefline.system.record import Record


@dataclass(frozen=True)
class Round:
    """One round: where the fault hit or what the answer was, and all that was wrong then or afterwards."""

    scenario: str
    answer: str
    problems: tuple[str, ...] = ()
    skipped: bool = False


@dataclass(frozen=True)
class ScenarioCounts(Record):
    """All rounds of a scenario; `answers` counts them, `skipped` is why it could not be run, "" where it was."""

    scenario: str
    rounds: int
    failed: int
    answers: Mapping[str, int]
    problems: tuple[str, ...]
    skipped: str
    seconds: float


@dataclass(frozen=True)
class FaultCounts(Record):
    """A run of the harness; `seed` chose the moments, `cpu_seconds` are those of all its processes."""

    seed: int
    cores: int
    seconds: float
    cpu_seconds: float
    rounds: int
    failed: int
    scenarios: tuple[ScenarioCounts, ...]


def count(scenario: str, rounds: Iterable[Round], seconds: float) -> ScenarioCounts:
    """Add up the rounds of one scenario."""
    own = [one for one in rounds if one.scenario == scenario]
    run = [one for one in own if not one.skipped]
    return ScenarioCounts(
        scenario=scenario,
        rounds=len(run),
        failed=sum(bool(one.problems) for one in run),
        answers=dict(sorted(Counter(one.answer for one in run).items())),
        problems=tuple(problem for one in run for problem in one.problems),
        skipped=next((one.answer for one in own if one.skipped), ""),
        seconds=round(seconds, 1),
    )


def format_table(counts: FaultCounts) -> str:
    """Return the counts as lines for the terminal."""
    lines = [f"{'scenario':<24}{'rounds':>7}{'failed':>7}{'seconds':>9}  answers"]
    for one in counts.scenarios:
        answers = f"skipped: {one.skipped}" if one.skipped else _join(one.answers)
        lines.append(f"{one.scenario:<24}{one.rounds:>7}{one.failed:>7}{one.seconds:>9.1f}  {answers}")
        lines += [f"  FAILED {problem}" for problem in one.problems]
    lines.append(f"{'total':<24}{counts.rounds:>7}{counts.failed:>7}{counts.seconds:>9.1f}")
    lines.append(f"seed {counts.seed}, {counts.cpu_seconds:.0f} s of CPU time on {counts.cores} cores")
    return "\n".join(lines)


def _join(answers: Mapping[str, int]) -> str:
    return ", ".join(f"{answer} {number}" for answer, number in answers.items())
