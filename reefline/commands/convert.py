"""`reefline convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import JsonOption, OverwriteOption, parse_choice
from reefline.commands.usage_errors import START_AGAIN, advise_after_ctrl_c
from reefline.system.terminal import ProgressBar, say, say_json

if TYPE_CHECKING:
    from reefline.curation.convert.reading import ReadData

_FORMATS = "voc|coco|yolo|cvat|label-studio"
_LISTED_PROBLEMS = 20
_PLAIN_LINE_EVERY_S = 5.0


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="DATA", help="a folder, or an annotation file of COCO, CVAT or Label Studio")
    ],
    to: Annotated[str, typer.Option("--to", metavar=_FORMATS, help="the format to write")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder to write, images included")],
    from_format: Annotated[
        Optional[str],
        typer.Option("--from", metavar=_FORMATS, help="the format to read; default: what the files look like"),
    ] = None,
    images: Annotated[
        Optional[Path], typer.Option(metavar="DIR", help="the folder of the images; default: where the annotations are")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a data set between Pascal VOC, COCO, YOLO, CVAT and Label Studio; splits and class order stay."""
    from reefline.curation.convert.kinds import DataFormat
    from reefline.curation.convert.reading import read_any_format
    from reefline.curation.convert.writing import describe_losses, write_format
    from reefline.curation.output_folder import (
        OutputMode,
        claim_output_folder,
        complete_output_folder,
        hold_output_folder,
    )

    target = parse_choice("--to", to, DataFormat)
    mode = OutputMode.OVERWRITE if overwrite else OutputMode.NEW
    known = None if from_format is None else parse_choice("--from", from_format, DataFormat)
    data = read_any_format(source, images=images, format=known)
    inputs = _find_inputs(source, data)
    with (
        advise_after_ctrl_c(START_AGAIN),
        hold_output_folder(out, inputs=inputs),
        ProgressBar(plain_line_every_s=_PLAIN_LINE_EVERY_S, quiet=as_json) as progress,
    ):
        claim_output_folder(out, "convert", inputs=inputs, mode=mode)
        write_format(
            data,
            target,
            out,
            on_image=lambda done, total: progress.show(done, total, f"{done} of {total} images", now=done == total),
        )
        complete_output_folder(out, "convert")
    problems = (*data.labelled.problems, *describe_losses(data.labelled.images, target))
    boxes = sum(len(image.annotation.objects) for image in data.labelled.images)
    if as_json:
        counts = {"images": len(data.paths), "boxes": boxes, "problems": list(problems)}
        say_json({"from": data.format.value, "to": target.value, "out": str(out), **counts})
        return
    for problem in problems[:_LISTED_PROBLEMS]:
        say(f"  {problem}")
    if len(problems) > _LISTED_PROBLEMS:
        say(f"  and {len(problems) - _LISTED_PROBLEMS} more")
    say(f"{data.format.value} to {target.value}: {len(data.paths)} images with {boxes} boxes are in {out}")


def _find_inputs(source: Path, data: ReadData) -> list[Path]:
    """Return the folders that the output must be apart from; an annotation file may lie in any folder, such as `.`."""
    if source.is_dir():
        return [source, data.root]
    return sorted({(data.root / path).parent for path in data.paths} - {data.root})
