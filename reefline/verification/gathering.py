"""Problems from every part of a verification, gathered instead of stopping at the first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from reefline.errors import UserError
from reefline.findings import Severity
from reefline.verification.records import Problem


class ProblemGatherer:
    """Takes in problems in their order, each message once."""

    def __init__(self) -> None:
        self._problems: dict[str, Problem] = {}
        self._distrusted: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, errors first."""
        return tuple(sorted(self._problems.values(), key=lambda problem: problem.severity is not Severity.ERROR))

    def add(self, problems: Iterable[Problem]) -> None:
        """Take in problems."""
        for problem in problems:
            if not any(name in problem.message for name in self._distrusted):
                self._problems.setdefault(problem.message, problem)

    def distrust(self, names: Iterable[str]) -> None:
        """From now on pass over problems that name one of `names`: values whose own problem is known already."""
        self._distrusted = (*self._distrusted, *names)

    def add_errors(self, messages: Iterable[str]) -> None:
        """Take in the messages of errors."""
        self.add(Problem(Severity.ERROR, message) for message in messages)

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """Take in what a UserError says that ends the body."""
        try:
            yield
        except UserError as error:
            self.add_errors(error.problems)

    @contextlib.contextmanager
    def gathering_everything(self, stage: str) -> Iterator[None]:
        """Take in whatever ends the body; `stage` says what was being done.

        For what a config can get wrong the OD API and TensorFlow raise errors of every kind, and none of them is a
        surprise to somebody who asked whether the config works.
        """
        try:
            with self.gathering():
                yield
        except Exception as error:
            first_line = next(iter(str(error).splitlines()), "")
            self.add_errors([f"{stage}: {type(error).__name__}: {first_line}; this config cannot be trained"])
