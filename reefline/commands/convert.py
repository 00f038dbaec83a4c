"""`reefline convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import OverwriteOption
from reefline.errors import UsageError
from reefline.system.terminal import ProgressBar, say

if TYPE_CHECKING:
    from reefline.curation.convert.kinds import DataFormat
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
) -> None:
    """Convert a data set between Pascal VOC, COCO, YOLO, CVAT and Label Studio; splits and class order stay."""
    from reefline.curation.convert.reading import read_any_format
    from reefline.curation.convert.writing import describe_losses, write_format
    from reefline.curation.output_folder import OutputMode, claim_output_folder, complete_output_folder

    target = _parse_format("--to", to)
    mode = OutputMode.OVERWRITE if overwrite else OutputMode.NEW
    data = read_any_format(
        source, images=images, format=None if from_format is None else _parse_format("--from", from_format)
    )
    claim_output_folder(out, "convert", inputs=_find_inputs(source, data), mode=mode)
    with ProgressBar(plain_line_every_s=_PLAIN_LINE_EVERY_S) as progress:
        write_format(
            data,
            target,
            out,
            on_image=lambda done, total: progress.show(done, total, f"{done} of {total} images", now=done == total),
        )
    complete_output_folder(out, "convert")
    problems = (*data.labelled.problems, *describe_losses(data.labelled.images, target))
    for problem in problems[:_LISTED_PROBLEMS]:
        say(f"  {problem}")
    if len(problems) > _LISTED_PROBLEMS:
        say(f"  and {len(problems) - _LISTED_PROBLEMS} more")
    boxes = sum(len(image.annotation.objects) for image in data.labelled.images)
    say(f"{data.format.value} to {target.value}: {len(data.paths)} images with {boxes} boxes are in {out}")


def _find_inputs(source: Path, data: ReadData) -> list[Path]:
    """Return the folders that the output must be apart from; an annotation file may lie in any folder, such as `.`."""
    if source.is_dir():
        return [source, data.root]
    return sorted({(data.root / path).parent for path in data.paths} - {data.root})


def _parse_format(option: str, name: str) -> DataFormat:
    from reefline.curation.convert.kinds import DataFormat

    try:
        return DataFormat(name.lower())
    except ValueError:
        raise UsageError(f"{option} {name}: unknown; expected {_FORMATS.replace('|', ', ')}") from None
