"""The class names of a detector of any maker: from a file, from inside the model, or COCO's."""

from __future__ import annotations

import re
from pathlib import Path

from reefline.errors import ConfigError, UsageError
from reefline.structures.coco_labels import COCO_LABELS

# The word for `--label-map` that means COCO's classes.
COCO = "coco"
# COCO's 90 ids, alone or with the background as class 0.
_COCO_COUNTS = frozenset({len(COCO_LABELS), len(COCO_LABELS) + 1})
# What labels files write for an id without a class.
_UNNAMED = frozenset({"", "???", "n/a", "background"})
_NUMBERED_LINE = re.compile(r"(\d+)(?:\s*:\s*|\s+)(.*\S)\s*")

# The name of each 0-based class, None for an id without one; () where the names are unknown.
ClassNames = tuple[str | None, ...]


def read_label_map(source: str) -> ClassNames:
    """Return the class names that `--label-map` gives: "coco", a .pbtxt file, or a text file with a name per line.

    Raises:
        ConfigError: the file cannot be read, or names no class.
    """
    if source == COCO:
        return COCO_LABELS
    path = Path(source)
    if path.suffix == ".pbtxt":
        from reefline.od_api.label_map_file import read_class_names

        return read_class_names(path)
    try:
        names = parse_label_lines(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"--label-map {source}: cannot read it ({reason}); expected a .pbtxt label map, a text file with one name "
            f"per line, or {COCO}"
        ) from error
    if not any(names):
        raise ConfigError(f"--label-map {source}: names no class; expected one name per line")
    return names


def parse_label_lines(text: str) -> ClassNames:
    """Return the names of a labels file: line n is class n, unless every line starts with its class's number."""
    lines = [line.strip() for line in text.removesuffix("\n").split("\n")]
    numbered = [_NUMBERED_LINE.fullmatch(line) for line in lines if line]
    if numbered and all(numbered):
        names = {int(match[1]): match[2] for match in numbered if match is not None}
        if max(names) < 10 * len(lines) + 100:
            lines = [names.get(number, "") for number in range(max(names) + 1)]
    return tuple(None if line.lower() in _UNNAMED else line for line in lines)


def fit_names(names: ClassNames, class_count: int | None, source: str) -> ClassNames:
    """Return one name per class of a model; many labels files name the background first.

    `class_count` is None where the model does not tell; `source` is for messages.

    Raises:
        UsageError: there are more names than classes.
    """
    if class_count is None:
        return names
    if len(names) == class_count + 1 and names[0] is None:
        names = names[1:]
    if len(names) > class_count:
        raise UsageError(
            f"{source}: names {len(names)} classes, but the model has {class_count}; pass the model's own --label-map"
        )
    return (*names, *[None] * (class_count - len(names)))


def guess_names(class_count: int | None) -> ClassNames:
    """Return COCO's names for a model with COCO's number of classes, () for any other."""
    return COCO_LABELS if class_count in _COCO_COUNTS else ()
