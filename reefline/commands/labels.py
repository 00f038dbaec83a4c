"""`reefline labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from reefline.commands.options import JsonOption, OverwriteOption
from reefline.commands.usage_errors import START_AGAIN, advise_after_ctrl_c
from reefline.errors import UsageError
from reefline.system.terminal import ProgressBar, say, say_json

_PLAIN_LINE_EVERY_S = 5.0


def labels(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="a folder of images with Pascal VOC annotations")],
    rename: Annotated[
        Optional[list[str]],
        typer.Option(metavar="OLD=NEW", help="rename a class, or merge it into another; may be repeated"),
    ] = None,
    drop: Annotated[
        Optional[list[str]], typer.Option(metavar="NAME", help="delete all boxes of a class; may be repeated")
    ] = None,
    out: Annotated[Optional[Path], typer.Option(metavar="DIR", help="the folder for the changed copy")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count the classes of a data set and point out names that look like mistakes; rename, merge or drop classes."""
    from reefline.curation.class_names import parse_renames, survey_class_names, write_renamed
    from reefline.curation.output_folder import (
        OutputMode,
        claim_output_folder,
        complete_output_folder,
        hold_output_folder,
    )

    changes = parse_renames(rename or (), drop or ())
    if bool(changes) != (out is not None):
        raise UsageError("--rename and --drop need --out DIR for the changed copy, and --out needs one of them")
    if out is None:
        _print_survey(data, as_json=as_json)
        return
    known = {each.name for each in survey_class_names(data).classes}
    with (
        advise_after_ctrl_c(START_AGAIN),
        hold_output_folder(out, inputs=[data]),
        ProgressBar(plain_line_every_s=_PLAIN_LINE_EVERY_S, quiet=as_json) as progress,
    ):
        if set(changes) <= known:
            mode = OutputMode.OVERWRITE if overwrite else OutputMode.NEW
            claim_output_folder(out, "labels", inputs=[data], mode=mode)
        boxes = write_renamed(
            data,
            out,
            changes,
            on_file=lambda done, total: progress.show(done, total, f"{done} of {total} files", now=done == total),
        )
        complete_output_folder(out, "labels")
    if as_json:
        say_json({"boxes_changed": boxes, "out": str(out)})
    else:
        say(f"changed {boxes} boxes; the copy is in {out}")


def _print_survey(data: Path, *, as_json: bool) -> None:
    from reefline.curation.class_names import survey_class_names

    survey = survey_class_names(data)
    if as_json:
        say_json(
            {
                "images": survey.images,
                "classes": [{"name": each.name, "boxes": each.boxes, "images": each.images} for each in survey.classes],
                "suspicious": list(survey.suspicions),
                "problems": list(survey.problems),
            }
        )
        return
    width = max([len(each.name) for each in survey.classes], default=0)
    say(f"{survey.images} annotated images, {len(survey.classes)} classes")
    for each in survey.classes:
        say(f"  {each.name:{width}}  {each.boxes:>7,} boxes in {each.images:>6,} images")
    for line in (*survey.suspicions, *survey.problems):
        say(f"  check: {line}")
    if survey.suspicions:
        say("to rename or merge: reefline labels DIR --rename OLD=NEW --out NEW_DIR")
