"""Errors as a command line prints them: one line per problem, with what a user typed escaped as everywhere else."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from reefline.errors import MissingExtraError, ReeflineError, UserError
from reefline.system.extras import Extra, require_extra
from reefline.system.terminal import escape_control, say_error

# What `advise_after_ctrl_c` says where a command cannot resume.
START_AGAIN = "run the same command with --overwrite to start again"


class EscapingCommand(TyperCommand):
    """A command whose usage errors print no control or direction characters."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        with _escape_usage_errors():
            return super().make_context(*arguments, **named)


def needs(extra: Extra) -> type[EscapingCommand]:
    """Return the class of a command that needs an extra: without it, the command says so and exits with 2.

    Its `--help` always works. Usage: `app.command("serve", cls=needs(Extra.SERVE))(serve)`.
    """

    class NeedingCommand(EscapingCommand):
        needed_extra = extra

        def make_context(self, info_name: Any, args: list[str], parent: Any = None, **named: Any) -> Any:
            # Before parsing: without the extra, nobody should have to complete the command line first.
            if "--help" not in args:
                _require_or_exit(extra, f"{parent.command_path} {info_name}" if parent else info_name)
            return super().make_context(info_name, args, parent, **named)

    return NeedingCommand


def _require_or_exit(extra: Extra, command: str) -> None:
    try:
        require_extra(extra, f"`{command}`")
    except MissingExtraError as error:
        say_error(str(error))
        raise typer.Exit(error.exit_code) from error


class EscapingGroup(TyperGroup):
    """A group of commands whose usage errors print no control or direction characters."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        with _escape_usage_errors():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        with _escape_usage_errors():
            return super().invoke(ctx)


class CommandGroup(EscapingGroup):
    """A group that turns an error that the user can fix into one line per problem and the error's exit code.

    `explained` is the errors that need no traceback. Ctrl-C ends with exit code 130.
    """

    explained: ClassVar[type[ReeflineError]] = UserError

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except self.explained as error:
            for problem in error.problems if isinstance(error, UserError) else (str(error),):
                say_error(problem)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            say_error("stopped by Ctrl-C")
            raise typer.Exit(128 + signal.SIGINT) from error


@contextlib.contextmanager
def advise_after_ctrl_c(advice: str) -> Iterator[None]:
    """End with exit code 130 at Ctrl-C, and say how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        say_error(f"stopped by Ctrl-C; {advice}")
        raise typer.Exit(128 + signal.SIGINT) from None


@contextlib.contextmanager
def _escape_usage_errors() -> Iterator[None]:
    # The one public subclass of the class that all of typer's usage errors share.
    usage_error: Any = typer.BadParameter.__mro__[1]
    try:
        yield
    except usage_error as error:
        error.message = escape_control(error.message)
        raise
