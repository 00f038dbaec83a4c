"""`reefline review-labels`."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import JsonOption, LabelMapOption, OverwriteOption
from reefline.commands.usage_errors import START_AGAIN, advise_after_ctrl_c
from reefline.system.terminal import say, say_error, say_json, send_noise_to

if TYPE_CHECKING:
    from reefline.labelling.review import LabelReview

_SHOWN_PROBLEMS = 10


def review_labels(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="a folder of images with Pascal VOC annotations")],
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="a bundle (folder or s3://…), a .tflite detector, or the folder of a SavedModel"
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder for review.html, review.csv and links")] = Path(
        "label-review"
    ),
    label_map: LabelMapOption = None,
    min_score: Annotated[
        Optional[float],
        typer.Option(
            metavar="FRACTION",
            show_default=False,
            help="how sure the model must be, 0 to 1; default: what a bundle suggests for each class, or 0.3",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="pictures of each kind of doubt in review.html")] = 50,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the labels that a trained model disagrees with: missing boxes, wrong classes, loose boxes."""
    from reefline.curation.output_folder import choose_output_mode
    from reefline.labelling.review import ReviewRequest
    from reefline.labelling.review import review_labels as run

    # TensorFlow reads it when it is imported, for a SavedModel.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    mode = choose_output_mode(resume=False, overwrite=overwrite)
    # TensorFlow and the TFLite runtime write to standard error.
    with advise_after_ctrl_c(START_AGAIN), send_noise_to(Path(os.devnull)):
        review = run(ReviewRequest(data, out, model, label_map, min_score, limit, mode, is_quiet=as_json))
    if as_json:
        say_json(review.to_json())
    else:
        _show(review, out)


def _show(review: LabelReview, out: Path) -> None:
    from reefline.labelling.disagreement import DoubtKind

    say(f"model: {review.model}")
    counts = ", ".join(f"{review.count(kind)} {kind.value}" for kind in DoubtKind)
    say(f"compared: {review.boxes} boxes in {review.images} image(s)")
    say(f"to check: {len(review.doubts)} ({counts})")
    for label, count in review.unknown_labels.items():
        say(f"not compared: {count} box(es) of {label}, a class that the model does not know")
    for problem in review.problems[:_SHOWN_PROBLEMS]:
        say_error(problem)
    if len(review.problems) > _SHOWN_PROBLEMS:
        say_error(f"{len(review.problems) - _SHOWN_PROBLEMS} more problems")
    say(f"pictures: {out / 'review.html'}; list: {out / 'review.csv'}")
    # Without the third argument LabelImg reads and saves annotations where it did last time.
    folders = sorted({out / "to_review" / posixpath.dirname(doubt.image) for doubt in review.doubts})
    for folder in folders[:_SHOWN_PROBLEMS]:
        say(f"correct them: labelImg {folder} {out / 'classes.txt'} {folder}")
