"""Problems are gathered in their order, each once."""

from __future__ import annotations

import pytest

from reefline.errors import DataError
from reefline.findings import Severity
from reefline.verification.gathering import ProblemGatherer
from reefline.verification.records import Problem


def test_errors_come_first_and_nothing_is_told_twice() -> None:
    gatherer = ProblemGatherer()
    gatherer.add([Problem(Severity.WARNING, "odd")])
    with gatherer.gathering():
        raise DataError("one", "two")
    gatherer.add_errors(["two", "three"])
    assert [problem.message for problem in gatherer.problems] == ["one", "two", "three", "odd"]


def test_what_follows_from_a_known_problem_is_passed_over() -> None:
    gatherer = ProblemGatherer()
    gatherer.add_errors(["trainer.num_steps: found 'x'"])
    gatherer.distrust(["trainer.num_steps"])
    gatherer.add_errors(["trainer.steps_per_eval is more than trainer.num_steps", "trainer.model: none"])
    assert len(gatherer.problems) == 2


def test_unexpected_errors_are_not_swallowed_where_none_are_looked_for() -> None:
    with pytest.raises(ValueError, match="odd"), ProblemGatherer().gathering():
        raise ValueError("odd")


def test_whatever_a_library_raises_is_a_problem_where_one_is_looked_for() -> None:
    gatherer = ProblemGatherer()
    with gatherer.gathering_everything("the first steps"):
        raise ValueError("odd\nmore")
    with gatherer.gathering_everything("the first steps"):
        raise DataError("broken")
    assert [problem.message for problem in gatherer.problems] == [
        "the first steps: ValueError: odd; this config cannot be trained",
        "broken",
    ]
