"""From options to the rules by which detections become labels."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from reefline.curation.data_folder import DataFolder, FolderImage
from reefline.errors import ConfigError, UsageError
from reefline.labelling.box_source import BoxSource
from reefline.labelling.choosing import Fallback, LabelRules
from reefline.labelling.records import AutolabelRequest, LabelsFrom
from reefline.structures.detections import DEFAULT_MIN_SCORE
from reefline.structures.label_map import replace_control_characters

_RENAME_COLUMNS = 2


def check_scores(request: AutolabelRequest) -> None:
    """Check that the scores are fractions.

    Raises:
        UsageError: one is not.
    """
    for option, score in (("--min-score", request.min_score), ("--review-below", request.review_below)):
        if score is not None and not 0 <= score <= 1:
            raise UsageError(f"{option} {score}: expected a number from 0 to 1")


def make_rules(request: AutolabelRequest, source: BoxSource, folder: DataFolder) -> LabelRules:
    """Return the rules for a folder's images and a model's classes.

    Raises:
        UsageError: an option does not fit the folder or the model.
        ConfigError: the file of --rename cannot be read.
    """
    folder_gives = uses_folders(request, folder)
    _check_options(request, folder, folder_gives=folder_gives)
    if not source.class_names and (not folder_gives or request.detector_classes):
        raise UsageError(
            f"--model {request.model}: does not name its classes; pass --label-map FILE, or --label-map coco for a "
            "model trained on COCO"
        )
    _check_known(request.detector_classes, source, "--detector-classes")
    new_names = {} if request.rename is None else _read_renames(request.rename)
    _check_known(new_names, source, f"--rename {request.rename}")
    return LabelRules(
        labels=source.labels,
        min_scores=tuple(
            source.min_score_of(label) if request.min_score is None else request.min_score for label in source.labels
        ),
        default_min_score=DEFAULT_MIN_SCORE if request.min_score is None else request.min_score,
        wanted=frozenset(request.detector_classes) or None,
        new_names=new_names,
        boxes=request.boxes,
        fallback=request.fallback,
    )


def uses_folders(request: AutolabelRequest, folder: DataFolder) -> bool:
    """Return whether folders give the classes."""
    has_labels = any(image.label is not None for image in folder.images)
    return request.labels_from is LabelsFrom.FOLDER or (request.labels_from is LabelsFrom.AUTO and has_labels)


def label_of(request: AutolabelRequest, image: FolderImage) -> str | None:
    """Return the class that an image's folder gives, None where the model does."""
    if request.labels_from is LabelsFrom.MODEL or image.label is None:
        return None
    return replace_control_characters(image.label)


def describe_settings(request: AutolabelRequest, source: BoxSource) -> dict[str, str]:
    """Return what decides an image's labels, by the names of the options."""
    tiling = request.tiling
    return {
        "--model": f"{source.name} ({source.identity[:12]})",
        "--label-map": request.label_map or "",
        "--labels-from": request.labels_from.value,
        "--detector-classes": ",".join(request.detector_classes),
        "--rename": "" if request.rename is None else json.dumps(_read_renames(request.rename), ensure_ascii=False),
        "--boxes": request.boxes.value,
        "--min-score": "" if request.min_score is None else str(request.min_score),
        "--review-below": str(request.review_below),
        "--fallback": request.fallback.value,
        "--tiles": "" if tiling is None else f"{tiling.size_px} px, {tiling.overlap} overlap, {tiling.metric.value}",
    }


def _check_options(request: AutolabelRequest, folder: DataFolder, *, folder_gives: bool) -> None:
    if folder_gives and all(image.label is None for image in folder.images):
        raise UsageError(f"--labels-from folder: {folder.root} does not have one folder of images per label")
    if folder_gives and request.rename is not None:
        raise UsageError("--rename: names the model's classes, but here folders give the class; rename the folders")
    if not folder_gives and request.fallback is Fallback.WHOLE_IMAGE:
        raise UsageError("--fallback whole-image: needs a class for the box, so one folder of images per label")


def _check_known(names: Iterable[str], source: BoxSource, option: str) -> None:
    for name in names:
        if name not in source.class_names:
            close = difflib.get_close_matches(name, source.class_names, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(source.class_names)}"
            raise UsageError(f"{option}: the model has no class {name!r}; {hint}")


def _read_renames(path: Path) -> Mapping[str, str | None]:
    """Return the new name of each class of a CSV file `model's name,new name`; None where the new name is empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(reader.line_num, row) for reader in [csv.reader(file)] for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a CSV file in UTF-8"
        raise ConfigError(f"--rename {path}: cannot read it ({reason})") from error
    names: dict[str, str | None] = {}
    for line, row in rows:
        if len(row) != _RENAME_COLUMNS:
            raise ConfigError(
                f"--rename {path}, line {line}: expected `model's class,new name`, found {len(row)} columns"
            )
        old, new = (cell.strip() for cell in row)
        if old in names:
            raise ConfigError(f"--rename {path}, line {line}: {old!r} repeats; keep one line")
        names[old] = replace_control_characters(new) or None
    return names
