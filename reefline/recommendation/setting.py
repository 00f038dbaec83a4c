"""What a recommendation is made for, and what was measured for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reefline.recommendation.candidates import Candidate
    from reefline.recommendation.facts import DataTraits
    from reefline.recommendation.machine import Machine
    from reefline.recommendation.schedule import Schedule
    from reefline.recommendation.wishes import Wishes
    from reefline.verification.records import Timings
    from reefline.verification.sample import DataSample


@dataclass(frozen=True)
class Setting:
    """What a recommendation is made for; `minutes` is the budget of the run."""

    wishes: Wishes
    sample: DataSample
    traits: DataTraits
    machine: Machine
    minutes: int

    @property
    def budget_s(self) -> float:
        """The budget in seconds."""
        return 60.0 * self.minutes

    @property
    def time(self) -> str:
        """The budget in words."""
        return "1 minute" if self.minutes == 1 else f"{self.minutes} minutes"


@dataclass(frozen=True)
class Measured:
    """The chosen template, its timings and its schedule."""

    candidate: Candidate
    timings: Timings
    schedule: Schedule
