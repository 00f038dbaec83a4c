"""The command `reefline`: its commands, and errors as exit codes. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import signal
from typing import Any, NoReturn

import typer

from reefline.commands.analyze import analyze
from reefline.commands.coco_results import coco_results
from reefline.commands.compile import compile_model
from reefline.commands.convert import convert
from reefline.commands.detect import detect
from reefline.commands.doctor import doctor
from reefline.commands.download import download
from reefline.commands.labels import labels
from reefline.commands.parse_log import parse_log
from reefline.commands.recommend import recommend
from reefline.commands.report import report
from reefline.commands.rollback import rollback
from reefline.commands.train_worker import train_worker
from reefline.commands.usage_errors import EscapingGroup
from reefline.commands.verify import verify
from reefline.commands.verify_bundle import verify_bundle
from reefline.errors import UserError
from reefline.system.terminal import say_error


class _Commands(EscapingGroup):
    """Turns an error that the user can fix into one line per problem and the error's exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            for problem in error.problems:
                say_error(problem)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    name="reefline",
    cls=_Commands,
    help="Object detectors for the Coral Edge TPU. To train one, run local_runner.py.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("doctor")(doctor)
app.command("verify")(verify)
app.command("recommend")(recommend)
app.command("detect")(detect)
app.command("download")(download)
app.command("convert")(convert)
app.command("labels")(labels)
app.command("coco-results")(coco_results)
app.command("parse-log")(parse_log)
app.command("compile")(compile_model)
app.command("analyze")(analyze)
app.command("train-worker")(train_worker)
app.command("rollback")(rollback)
app.command("report")(report)
app.command("verify-bundle")(verify_bundle)


def main() -> None:
    """Run the command line; the exit codes are those of local_runner.py."""
    # Like Ctrl-C, SIGTERM cleans up.
    signal.signal(signal.SIGTERM, _terminate)
    app()


def _terminate(*_: object) -> NoReturn:
    raise typer.Exit(128 + signal.SIGTERM)
