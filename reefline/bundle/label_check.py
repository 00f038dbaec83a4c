"""One class, five numberings: label map, TFRecords, TFLite model, the labels inside it and labels.txt have to agree.

Label map and TFRecords count from 1 (0 is the OD API's background), the TFLite model and the lines of both labels
files from 0. With an offset between them a detector works but gives the wrong names, which no metric on ids shows.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from reefline.bundle.layout import read_labels
from reefline.errors import BundleError, DataError
from reefline.formats.tf_example import IngestedExample
from reefline.structures.label_map import LabelMap
from reefline.tflite.labels import LABELS_FILE
from reefline.tflite.metadata import read_embedded_labels
from reefline.tflite.postprocess import read_postprocess_op


def check_labels(label_map: LabelMap, model: Path) -> None:
    """Check a written TFLite detector: the names inside it, those in labels.txt next to it, and its number of classes.

    Raises:
        BundleError: one of them differs from the label map or cannot be read; one problem each.
    """
    embedded, listed = _read_embedded_labels(model), read_labels(model.parent)
    _raise_all(
        _compare_names(f"{model}: labels inside it", embedded, label_map),
        _compare_names(f"{model}: {LABELS_FILE}", listed, label_map),
        _compare_count(str(model), read_postprocess_op(model).num_classes, label_map),
    )


def check_bundle_labels(label_map: LabelMap, labels: tuple[str, ...], num_classes: int) -> None:
    """Check the numberings of a candidate's bundle: labels.txt and the model's number of classes.

    Raises:
        BundleError: labels.txt or the TFLite model differs from the label map; one problem each.
    """
    _raise_all(_compare_names(LABELS_FILE, labels, label_map), _compare_count("TFLite model", num_classes, label_map))


def check_example_labels(label_map: LabelMap, examples: Iterable[IngestedExample]) -> None:
    """Check that each object's id in the TFRecords is its name's id in the label map.

    Raises:
        DataError: an id is outside the label map, or has another class's name; one problem per pair of id and name.
    """
    pairs = {(item.class_id, item.class_name) for example in examples for item in example.objects}
    problems = [problem for pair in sorted(pairs) if (problem := _find_label_problem(label_map, *pair))]
    if problems:
        raise DataError(*problems)


def _raise_all(*problems: str | None) -> None:
    found = [problem for problem in problems if problem is not None]
    if found:
        raise BundleError(*found)


def _compare_names(place: str, found: tuple[str, ...], label_map: LabelMap) -> str | None:
    if found == label_map.names:
        return None
    return (
        f"{place}: lines {list(found)} found, but the label map's names {list(label_map.names)} expected "
        "(line n is the 0-based class n, the label map's id n + 1); export the model again"
    )


def _compare_count(place: str, found: int, label_map: LabelMap) -> str | None:
    if found == len(label_map.names):
        return None
    return f"{place}: {found} classes found, but {len(label_map.names)} in the label map; train and export it again"


def _read_embedded_labels(model: Path) -> tuple[str, ...]:
    try:
        return read_embedded_labels(model.read_bytes())
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise BundleError(f"{model}: cannot read the {LABELS_FILE} inside it ({error}); export it again") from error


def _find_label_problem(label_map: LabelMap, class_id: int, name: str) -> str | None:
    count = len(label_map.names)
    if not 1 <= class_id <= count:
        return f"TFRecord: class id {class_id} ({name!r}) found, 1 to {count} expected; ingest the images again"
    expected = label_map.names[class_id - 1]
    if name != expected:
        return f"TFRecord: class id {class_id} is {name!r}, but {expected!r} in the label map; ingest the images again"
    return None
