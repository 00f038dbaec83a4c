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
from reefline.commands.usage_errors import CommandGroup, needs
from reefline.commands.verify import verify
from reefline.commands.verify_bundle import verify_bundle
from reefline.system.extras import Extra

app = typer.Typer(
    name="reefline",
    cls=CommandGroup,
    help="Object detectors for the Coral Edge TPU. To train one, run local_runner.py.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# A command without `cls` runs on the base dependencies alone; any other names the extra that it needs.
app.command("doctor")(doctor)
app.command("verify", cls=needs(Extra.PIPELINE))(verify)
app.command("recommend", cls=needs(Extra.PIPELINE))(recommend)
app.command("dedupe", cls=needs(Extra.PIPELINE))(dedupe)
app.command("prepare", cls=needs(Extra.PIPELINE))(prepare)
app.command("detect")(detect)
app.command("serve", cls=needs(Extra.SERVE))(serve)
app.command("deploy")(deploy)
app.command("download", cls=needs(Extra.PIPELINE))(download)
app.command("convert", cls=needs(Extra.PIPELINE))(convert)
app.command("labels", cls=needs(Extra.PIPELINE))(labels)
app.command("autolabel", cls=needs(Extra.PIPELINE))(autolabel)
app.command("review-labels", cls=needs(Extra.PIPELINE))(review_labels)
app.command("coco-results", cls=needs(Extra.PIPELINE))(coco_results)
app.command("parse-log")(parse_log)
app.command("compile")(compile_model)
app.command("analyze")(analyze)
app.command("train-worker", cls=needs(Extra.PIPELINE))(train_worker)
app.command("rollback")(rollback)
app.command("report", cls=needs(Extra.PIPELINE))(report)
app.command("verify-bundle")(verify_bundle)
app.command("gc", cls=needs(Extra.PIPELINE))(gc)


def main() -> None:
    """Run the command line; the exit codes are those of local_runner.py."""
    # Like Ctrl-C, SIGTERM cleans up.
    signal.signal(signal.SIGTERM, _terminate)
    app()


def _terminate(*_: object) -> NoReturn:
    raise typer.Exit(128 + signal.SIGTERM)
