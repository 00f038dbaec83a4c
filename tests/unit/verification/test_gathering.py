"""Problems are gathered in their order, each once."""

from __future__ import annotations

import click
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


@pytest.mark.parametrize(
    ("replaced", "keys", "is_kept"),
    [
        pytest.param("trainer.num_steps", ("trainer.steps_per_eval", "trainer.num_steps"), False, id="the-value"),
        pytest.param("trainer", ("trainer.num_steps",), False, id="its-section"),
        pytest.param("trainer.num_steps", ("trainer.model",), True, id="another-value"),
        pytest.param("trainer.num", ("trainer.num_steps",), True, id="the-beginning-of-its-name"),
        pytest.param("trainer.num_steps", ("trainer",), True, id="the-section-around-it"),
        pytest.param("trainer.num_steps", (), True, id="no-value"),
    ],
)
def test_what_follows_from_a_replaced_value_is_skipped(replaced: str, keys: tuple[str, ...], is_kept: bool) -> None:
    gatherer = ProblemGatherer()
    gatherer.distrust([replaced])
    gatherer.add([Problem(Severity.WARNING, "trainer.num_steps: odd", keys)])
    assert bool(gatherer.problems) is is_kept


@pytest.mark.parametrize("error", [DataError("broken"), ValueError("broken")], ids=["ours", "a-library's"])
def test_errors_carry_the_values_that_they_follow_from(error: Exception) -> None:
    gatherer = ProblemGatherer()
    with gatherer.gathering_everything("a stage", "data.image_dir"):
        raise error
    (problem,) = gatherer.problems
    assert problem.keys == ("data.image_dir",)


def test_a_message_that_only_mentions_a_replaced_value_is_kept() -> None:
    gatherer = ProblemGatherer()
    gatherer.distrust(["edgetpu"])
    with gatherer.gathering():
        raise DataError("/data/edgetpu/cells: no such folder")
    assert [problem.message for problem in gatherer.problems] == ["/data/edgetpu/cells: no such folder"]


def test_unexpected_errors_are_not_swallowed_where_none_are_looked_for() -> None:
    with pytest.raises(ValueError, match="odd"), ProblemGatherer().gathering():
        raise ValueError("odd")


@pytest.mark.parametrize(
    "end", [pytest.param(click.exceptions.Exit(143), id="sigterm"), pytest.param(click.Abort("stop"), id="abort")]
)
def test_the_end_of_the_command_is_no_problem_of_the_config(end: Exception) -> None:
    gatherer = ProblemGatherer()
    with pytest.raises(type(end), match=r"143|stop"), gatherer.gathering_everything("the first steps"):
        raise end
    assert not gatherer.problems


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
