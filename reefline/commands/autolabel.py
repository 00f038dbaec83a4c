"""`reefline autolabel`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import JsonOption, LabelMapOption, OverwriteOption, ResumeOption, parse_choice
from reefline.commands.usage_errors import advise_after_ctrl_c
from reefline.errors import DataError
from reefline.system.terminal import say, say_error, say_json, send_noise_to

if TYPE_CHECKING:
    from reefline.labelling.records import AutolabelReport
    from reefline.labelling.tiles import Tiling

_SHOWN_PROBLEMS = 10


def autolabel(
    data: Annotated[
        Path, typer.Argument(metavar="DIR", help="images: plain, one folder per label, or partly annotated")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder for the VOC data set")],
    model: Annotated[
        Optional[str],
        typer.Option(
            metavar="MODEL",
            show_default=False,
            help="a .tflite detector, the folder of a SavedModel, a bundle (folder or s3://…), or a model with "
            "published COCO weights; default: ssd_mobilenet_v1_300",
        ),
    ] = None,
    label_map: LabelMapOption = None,
    labels_from: Annotated[
        str,
        typer.Option(metavar="auto|folder|model", help="what gives the class; auto: the folder where there are some"),
    ] = "auto",
    detector_classes: Annotated[
        Optional[str], typer.Option(metavar="NAME,…", help="use boxes of these classes of the model only")
    ] = None,
    rename: Annotated[
        Optional[Path], typer.Option(metavar="CSV", help="lines `model's class,new name`; no new name drops the class")
    ] = None,
    boxes: Annotated[
        str, typer.Option(metavar="auto|best|all", help="auto: the best where the folder gives the class, else all")
    ] = "auto",
    min_score: Annotated[
        Optional[float],
        typer.Option(
            metavar="FRACTION",
            show_default=False,
            help="the lowest score of a box, 0 to 1; default: what a bundle suggests for each class, or 0.3",
        ),
    ] = None,
    review_below: Annotated[
        float, typer.Option(metavar="FRACTION", help="put images with a box below this score into review/")
    ] = 0.5,
    fallback: Annotated[
        str,
        typer.Option(metavar="none|whole-image", help="the box of images without one, where folders give the class"),
    ] = "none",
    tiles: Annotated[
        Optional[int],
        typer.Option(metavar="PX", help="detect in overlapping tiles of this size too, for small objects"),
    ] = None,
    overlap: Annotated[
        float, typer.Option(metavar="FRACTION", help="how much of a tile's side it shares with the next")
    ] = 0.2,
    tile_metric: Annotated[
        str,
        typer.Option(metavar="ios|iou", help="what tells one object in two tiles: share of the smaller box, or IoU"),
    ] = "ios",
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw boxes with a model and write a VOC data set for a person to check; images in doubt go to review/."""
    from reefline.curation.output_folder import choose_output_mode
    from reefline.labelling.autolabel import autolabel as run
    from reefline.labelling.choosing import BoxChoice, Fallback
    from reefline.labelling.records import AutolabelRequest, LabelsFrom

    # TensorFlow reads it when it is imported, for a SavedModel.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    request = AutolabelRequest(
        data=data,
        out=out,
        model=model,
        label_map=label_map,
        labels_from=parse_choice("--labels-from", labels_from, LabelsFrom),
        detector_classes=tuple(filter(None, map(str.strip, (detector_classes or "").split(",")))),
        rename=rename,
        boxes=parse_choice("--boxes", boxes, BoxChoice),
        min_score=min_score,
        review_below=review_below,
        fallback=parse_choice("--fallback", fallback, Fallback),
        tiling=_make_tiling(tiles, overlap, tile_metric),
        mode=choose_output_mode(resume=resume, overwrite=overwrite),
        is_quiet=as_json,
    )
    # TensorFlow and the TFLite runtime write to standard error.
    with advise_after_ctrl_c("run the same command with --resume to continue"), send_noise_to(Path(os.devnull)):
        report = run(request)
    if as_json:
        say_json(report.to_json())
    else:
        _show(report, out)
    if not report.boxes and not report.images["kept"]:
        raise DataError(
            f"{data}: nothing found in any image; lower --min-score, change --detector-classes, or pass another --model"
        )


def _make_tiling(size_px: int | None, overlap: float, metric: str) -> Tiling | None:
    from reefline.labelling.tiles import OverlapMetric, Tiling

    parsed = parse_choice("--tile-metric", metric, OverlapMetric)
    return None if size_px is None else Tiling(size_px, overlap, parsed)


def _show(report: AutolabelReport, out: Path) -> None:
    from reefline.data.walking import IGNORE_FILE

    images = report.images
    say(f"model: {report.model}")
    classes = ", ".join(f"{each.boxes} {label}" for label, each in report.per_class.items())
    say(f"boxes: {report.boxes}{f' ({classes})' if classes else ''}")
    say(f"images labelled: {images['labelled']}")
    doubtful, empty = images["review"], images["nothing_found"]
    say(f"images to review: {doubtful} in doubt, {empty} with nothing found")
    if images["kept"]:
        say(f"images with their own annotations: {images['kept']}, kept")
    for problem in report.problems[:_SHOWN_PROBLEMS]:
        say_error(problem)
    if len(report.problems) > _SHOWN_PROBLEMS:
        say_error(f"{len(report.problems) - _SHOWN_PROBLEMS} more problems: see {out / 'autolabel.json'}")
    say(f"pictures: {out / 'autolabel.html'}")
    if images["labelled"]:
        say(f"check the boxes: labelImg {out / 'JPEGImages'} {out / 'classes.txt'} {out / 'Annotations'}")
    if doubtful or empty:
        review = out / "review"
        say(f"check those in doubt: labelImg {review / 'JPEGImages'} {out / 'classes.txt'} {review / 'Annotations'}")
        say(f"then add them to the data set: rm {review / IGNORE_FILE}")
    say(f"train: python local_runner.py --data {out}")
