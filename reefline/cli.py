"""The command `reefline`: its commands, and errors as exit codes. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import signal
from typing import NoReturn

import typer

from reefline.commands.analyze import analyze
from reefline.commands.autolabel import autolabel
from reefline.commands.coco_results import coco_results
from reefline.commands.compile import compile_model
from reefline.commands.convert import convert
from reefline.commands.dedupe import dedupe
from reefline.commands.deploy import deploy
from reefline.commands.detect import detect
from reefline.commands.doctor import doctor
from reefline.commands.download import download
from reefline.commands.gc import gc
from reefline.commands.labels import labels
from reefline.commands.parse_log import parse_log
from reefline.commands.prepare import prepare
from reefline.commands.recommend import recommend
from reefline.commands.report import report
from reefline.commands.review_labels import review_labels
from reefline.commands.rollback import rollback
from reefline.commands.serve import serve
from reefline.commands.train_worker import train_worker
from reefline.commands.usage_errors import CommandGroup
from reefline.commands.verify import verify
from reefline.commands.verify_bundle import verify_bundle

app = typer.Typer(
    name="reefline",
    cls=CommandGroup,
    help="Object detectors for the Coral Edge TPU. To train one, run local_runner.py.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("doctor")(doctor)
app.command("verify")(verify)
app.command("recommend")(recommend)
app.command("dedupe")(dedupe)
app.command("prepare")(prepare)
app.command("detect")(detect)
app.command("serve")(serve)
app.command("deploy")(deploy)
app.command("download")(download)
app.command("convert")(convert)
app.command("labels")(labels)
app.command("autolabel")(autolabel)
app.command("review-labels")(review_labels)
app.command("coco-results")(coco_results)
app.command("parse-log")(parse_log)
app.command("compile")(compile_model)
app.command("analyze")(analyze)
app.command("train-worker")(train_worker)
app.command("rollback")(rollback)
app.command("report")(report)
app.command("verify-bundle")(verify_bundle)
app.command("gc")(gc)


def main() -> None:
    """Run the command line; the exit codes are those of local_runner.py."""
    # Like Ctrl-C, SIGTERM cleans up.
    signal.signal(signal.SIGTERM, _terminate)
    app()


def _terminate(*_: object) -> NoReturn:
    raise typer.Exit(128 + signal.SIGTERM)
