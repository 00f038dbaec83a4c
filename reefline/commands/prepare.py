"""`reefline prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import JsonOption, OverwriteOption, ResumeOption, WorkersOption
from reefline.commands.usage_errors import advise_after_ctrl_c
from reefline.errors import UsageError
from reefline.system.terminal import ProgressBar, say, say_json

if TYPE_CHECKING:
    from reefline.curation.prepare_report import PrepareReport

_PROGRESS_EVERY_S = 5.0
_PROBLEMS_SHOWN = 20


def prepare(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="a VOC data set, a folder of images per label, or images alone")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder to write")],
    min_dimension: Annotated[
        Optional[int],
        typer.Option(metavar="N", min=1, help="shrink to N px on the shorter side, boxes too; never enlarges"),
    ] = None,
    max_per_label: Annotated[
        Optional[int], typer.Option(metavar="N", min=1, help="keep at most N images of each label")
    ] = None,
    equal_counts: Annotated[
        bool, typer.Option("--equal-counts", help="keep as many images of each label as the rarest has")
    ] = False,
    eval_fraction: Annotated[
        Optional[float],
        typer.Option(
            metavar="FRACTION",
            min=0.0,
            max=1.0,
            show_default=False,
            help="split anew, with this share of each label in val; default: keep the splits of DIR",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="chooses images and splits")] = 0,
    tfrecords: Annotated[
        bool, typer.Option("--tfrecords", help="also write TFRecords for the Object Detection API")
    ] = False,
    shards: Annotated[int, typer.Option(metavar="N", min=1, max=99_999, help="files per split with --tfrecords")] = 1,
    workers: WorkersOption = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write images as a VOC data set: RGB JPEGs, upright, shrunk, balanced and split. DIR is only read."""
    from reefline.curation import prepare as preparing
    from reefline.curation.output_folder import choose_output_mode
    from reefline.curation.prepare_report import PrepareOptions
    from reefline.system.cores import count_cores

    if eval_fraction is not None and not 0 < eval_fraction < 1:
        raise UsageError(f"--eval-fraction {eval_fraction:g}: expected more than 0 and less than 1")
    if shards != 1 and not tfrecords:
        raise UsageError("--shards is for TFRecords: pass --tfrecords, too")
    request = preparing.PrepareRequest(
        folder=folder,
        out=out,
        options=PrepareOptions(min_dimension, max_per_label, equal_counts, eval_fraction, seed, tfrecords, shards),
        mode=choose_output_mode(resume=resume, overwrite=overwrite),
        workers=workers or count_cores(),
    )
    with (
        advise_after_ctrl_c("run the same command with --resume to continue"),
        ProgressBar(plain_line_every_s=_PROGRESS_EVERY_S, quiet=as_json) as bar,
    ):
        report = preparing.prepare(
            request,
            lambda verb, done, total: bar.show(done, total, f"{done:,} of {total:,} images {verb}", now=done == total),
        )
    if as_json:
        say_json(report.to_json())
    else:
        _print(report, out)


def _print(report: PrepareReport, out: Path) -> None:
    from reefline.curation.prepare_report import REPORT_FILE
    from reefline.data.rules.severity import describe_finding
    from reefline.findings import Action

    left_out = [finding for finding in report.findings if finding.action is Action.DROPPED_IMAGE]
    for finding in left_out[:_PROBLEMS_SHOWN]:
        say(f"left out: {describe_finding(finding)}")
    if len(left_out) > _PROBLEMS_SHOWN:
        say(f"… and {len(left_out) - _PROBLEMS_SHOWN} more")
    for label, counts in report.labels.items():
        say(f"{label}: {counts.images:,} images" + (f", {counts.boxes:,} boxes" if counts.boxes else ""))
    for warning in report.warnings:
        say(f"warning: {warning}")
    others = len(report.findings) - len(left_out)
    if others:
        say(f"{others:,} boxes or files were repaired, dropped or deserve a look: see {out / REPORT_FILE}")
    say(_summarize(report, out))


def _summarize(report: PrepareReport, out: Path) -> str:
    splits = ", ".join(f"{count:,} in {name}" for name, count in report.splits.items())
    changes = [f"{report.unchanged:,} unchanged"] if report.unchanged else []
    changes += [f"{report.removed:,} removed"] if report.removed else []
    done = f" ({', '.join(changes)})" if changes else ""
    return f"{report.images:,} of {report.images_found:,} images are in {out}{done}: {splits}"
