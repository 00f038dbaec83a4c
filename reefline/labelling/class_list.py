"""LabelImg's list of classes to choose from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reefline.curation.data_folder import DataFolder
from reefline.curation.output_folder import write_file
from reefline.structures.annotation import Annotation

CLASSES_FILE = "classes.txt"


def write_class_list(out: Path, folder: DataFolder, declared: Iterable[str], found: Iterable[str]) -> None:
    """Write classes.txt: the classes of an earlier list first, then the data set's, then those that a model `found`.

    Tools number classes by their line, so classes keep their places. `declared` are those of the data set's label map.

    Raises:
        OSError: it cannot be written.
    """
    annotations = map(folder.read_annotation, folder.images)
    annotated = {item.label for each in annotations if isinstance(each, Annotation) for item in each.objects}
    lists = (_read_lines(out / CLASSES_FILE), _read_lines(folder.root / CLASSES_FILE), declared)
    names = dict.fromkeys((*(name for names in lists for name in names), *sorted(annotated), *sorted(found)))
    write_file(out / CLASSES_FILE, "".join(f"{name}\n" for name in names).encode())


def _read_lines(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    return tuple(filter(None, map(str.strip, path.read_text(encoding="utf-8-sig", errors="replace").splitlines())))
