"""`reefline coco-results`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reefline.errors import UsageError
from reefline.system.terminal import say

GROUND_TRUTH_FILE = "ground_truth.json"


def coco_results(
    detections: Annotated[
        Path,
        typer.Argument(
            metavar="DETECTIONS", help="a run's <workspace>/artifacts/ModelScorer/scores/<number>/detections.npz"
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder for the JSON files")] = Path("coco"),
) -> None:
    """Write the evaluation split's objects and each model's detections as COCO's JSON, for other evaluation tools."""
    from reefline.evaluation.coco_files import write_coco_ground_truth, write_coco_results
    from reefline.structures.split_detections import SplitDetections

    split = SplitDetections.read(detections)
    files = [GROUND_TRUTH_FILE, *(f"{model}.json" for model in split.detections)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_coco_ground_truth(split, out / GROUND_TRUTH_FILE)
        for model in split.detections:
            write_coco_results(split, model, out / f"{model}.json")
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write to it ({error.strerror}); name another folder") from error
    say(f"{', '.join(files)} are in {out}")
