"""Errors of the command line itself, which typer prints: what a user typed is escaped as everywhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from reefline.system.terminal import escape_control


class EscapingCommand(TyperCommand):
    """A command whose usage errors print no control or direction characters."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        with _escape_usage_errors():
            return super().make_context(*arguments, **named)


class EscapingGroup(TyperGroup):
    """A group of commands whose usage errors print no control or direction characters."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        with _escape_usage_errors():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        with _escape_usage_errors():
            return super().invoke(ctx)


@contextlib.contextmanager
def _escape_usage_errors() -> Iterator[None]:
    # The one public subclass of the class that all of typer's usage errors share.
    usage_error: Any = typer.BadParameter.__mro__[1]
    try:
        yield
    except usage_error as error:
        error.message = escape_control(error.message)
        raise
