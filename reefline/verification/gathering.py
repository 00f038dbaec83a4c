"""Problems from every part of a verification, gathered instead of stopping at the first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import click

from reefline.config.keys import any_within
from reefline.errors import UserError
from reefline.findings import Severity
from reefline.verification.records import Problem


class ProblemGatherer:
    """Gathers problems in order, each message once."""

    def __init__(self) -> None:
        self._problems: dict[str, Problem] = {}
        self._replaced: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, errors first."""
        return tuple(sorted(self._problems.values(), key=lambda problem: problem.severity is not Severity.ERROR))

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems, except those that follow from a replaced value."""
        for problem in problems:
            if not any_within(problem.keys, self._replaced):
                self._problems.setdefault(problem.message, problem)

    def distrust(self, replaced: Iterable[str]) -> None:
        """Skip problems that follow from these config values: each is invalid, reported, and replaced by a default."""
        self._replaced = (*self._replaced, *replaced)

    def add_errors(self, messages: Iterable[str], *keys: str) -> None:
        """Add error messages; `keys` are the config values that they follow from."""
        self.add(Problem(Severity.ERROR, message, keys) for message in messages)

    @contextlib.contextmanager
    def gathering(self, *keys: str) -> Iterator[None]:
        """Add the problems of a UserError that ends the body; `keys` are the config values that it follows from."""
        try:
            yield
        except UserError as error:
            self.add_errors(error.problems, *keys)

    @contextlib.contextmanager
    def gathering_everything(self, stage: str, *keys: str) -> Iterator[None]:
        """Add any exception that ends the body as a problem of `stage`, except one that ends the command.

        The OD API and TensorFlow raise exceptions of every kind for a wrong config, and all of them answer the
        question whether the config works.
        """
        try:
            with self.gathering(*keys):
                yield
        except (click.exceptions.Exit, click.Abort):
            # SIGTERM or Ctrl-C.
            raise
        except Exception as error:
            first_line = next(iter(str(error).splitlines()), "")
            self.add_errors([f"{stage}: {type(error).__name__}: {first_line}; this config cannot be trained"], *keys)
