"""The class names of a data set: how often each occurs, which look like mistakes, and a copy with other names."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reefline.curation.data_folder import LABEL_MAP_FILE, read_data_folder
from reefline.curation.output_folder import copy_file, explain_write_errors, write_file
from reefline.data.walking import walk_data_folder
from reefline.errors import DataError, UsageError
from reefline.findings import Finding
from reefline.formats.voc import AnnotationSyntaxError, rename_objects
from reefline.structures.label_map import LabelMap, find_name_problems, fold_name

_MIN_SIMILARITY = 0.85
# Shorter names, such as cat and car, differ in one letter by nature.
_MIN_COMPARED_LENGTH = 5
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class ClassCount:
    """How many boxes of a class there are, in how many images."""

    name: str
    boxes: int
    images: int


@dataclass(frozen=True)
class ClassSurvey:
    """The classes by falling number of boxes, and one line for each name that looks like a mistake.

    `problems` are annotations that cannot be read; `images` counts those that can.
    """

    classes: tuple[ClassCount, ...]
    images: int
    suspicions: tuple[str, ...]
    problems: tuple[str, ...]


def survey_class_names(root: Path) -> ClassSurvey:
    """Count the classes of a VOC data set.

    Raises:
        DataError: the folder holds no images or no annotations.
    """
    folder = read_data_folder(root)
    boxes: Counter[str] = Counter()
    images: Counter[str] = Counter()
    problems, read = [], 0
    for image in folder.images:
        annotation = folder.read_annotation(image)
        if isinstance(annotation, Finding):
            problems.append(f"{annotation.file}: {annotation.message}")
        elif annotation is not None:
            read += 1
            labels = [item.label for item in annotation.objects]
            boxes.update(labels)
            images.update(set(labels))
    if not read and not problems:
        raise DataError(f"{root}: holds {len(folder.images)} images and no VOC annotation")
    classes = tuple(ClassCount(name, count, images[name]) for name, count in boxes.most_common())
    return ClassSurvey(classes, read, tuple(find_suspicious_names([each.name for each in classes])), tuple(problems))


def find_suspicious_names(names: Iterable[str]) -> list[str]:
    """Return one line for each name that looks like a mistake, or like another name."""
    names = sorted(names)
    found = []
    for name in names:
        if not name:
            found.append("a name is empty")
        elif hidden := sorted({unicodedata.name(c, f"U+{ord(c):04X}") for c in name if not c.isprintable()}):
            found.append(f"{name!a} contains invisible characters ({', '.join(hidden)})")
        elif name != " ".join(name.split()):
            found.append(f"{name!r} has several spaces in a row")
    for one, other in itertools.combinations(names, 2):
        if fold_name(one) == fold_name(other):
            found.append(f"{one!a} and {other!a} look alike")
        elif _are_close(fold_name(one), fold_name(other)):
            found.append(f"{one!r} and {other!r} are spelled nearly alike")
    return found


def parse_renames(renames: Iterable[str], drops: Iterable[str]) -> dict[str, str | None]:
    """Return the new name of each class to rename, None for those to drop; `renames` are OLD=NEW.

    Raises:
        UsageError: one is not of that form, names a class twice, or its new name cannot be used.
    """
    changes: dict[str, str | None] = {}
    pairs: list[tuple[str, str | None]] = [(drop, None) for drop in drops]
    for text in renames:
        old, equals, new = text.partition("=")
        if not equals or not old or find_name_problems([new]):
            raise UsageError(f"--rename {text}: expected OLD=NEW, such as --rename Kat=cat")
        pairs.append((old, new))
    for old, new_name in pairs:
        if old in changes:
            raise UsageError(f"the class {old!r} is renamed or dropped twice; name it once")
        changes[old] = new_name
    return changes


def write_renamed(
    root: Path,
    out: Path,
    changes: Mapping[str, str | None],
    *,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Copy a VOC data set with other class names and return the number of boxes that changed.

    Several classes with one new name become one class. `on_file` gets the number of files written, and of all.

    Raises:
        DataError: a class does not occur, an annotation cannot be read, or a file cannot be written.
    """
    survey = survey_class_names(root)
    known = {each.name: each.boxes for each in survey.classes}
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise DataError(
            *(f"{root}: no box has the class {name!r}; the classes are {', '.join(sorted(known))}" for name in unknown)
        )
    files = sorted(walk_data_folder(root).files)
    with explain_write_errors(out, advice="run the command again with --overwrite"):
        for number, path in enumerate(files, start=1):
            if path.lower().endswith(".xml"):
                write_file(out / path, _rename_in(root / path, changes))
            elif path == LABEL_MAP_FILE:
                _write_label_map(root / path, out / path, changes)
            else:
                copy_file(root / path, out / path)
            on_file(number, len(files))
    return sum(known[name] for name in changes)


def _rename_in(path: Path, changes: Mapping[str, str | None]) -> bytes:
    content = path.read_bytes()
    try:
        return rename_objects(content, lambda name: changes.get(name, name))
    except AnnotationSyntaxError:
        return content  # as it is: ingestion reports it


def _write_label_map(source: Path, target: Path, changes: Mapping[str, str | None]) -> None:
    from reefline.od_api.label_map_file import read_label_map, write_label_map

    renamed = (changes.get(name, name) for name in read_label_map(source).names)
    kept = tuple(dict.fromkeys(name for name in renamed if name is not None))
    if kept:
        write_label_map(target, LabelMap(kept))


def _are_close(one: str, other: str) -> bool:
    if min(len(one), len(other)) < _MIN_COMPARED_LENGTH:
        return False
    # card_1 and card_2 are meant to differ.
    if _DIGITS.sub("", one) == _DIGITS.sub("", other):
        return False
    are_swapped = sorted(one) == sorted(other) and one[0] == other[0]
    return are_swapped or difflib.SequenceMatcher(None, one, other).ratio() >= _MIN_SIMILARITY
