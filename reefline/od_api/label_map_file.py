"""The label map file (.pbtxt, a StringIntLabelMap message) that the OD API reads; no TensorFlow needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reefline.errors import ConfigError
from reefline.structures.label_map import LabelMap, find_name_problems
from reefline.system.files import write_whole

_HIGHEST_ID = 9999


def read_label_map(path: Path | str) -> LabelMap:
    """Read a StringIntLabelMap text file.

    Raises:
        ConfigError: the file cannot be read, is not a label map, or its ids are not exactly 1..N; one problem each.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the label map: {error}") from error
    try:
        items = _parse_items(text)
    except ValueError as error:
        raise ConfigError(f"{path}: not a StringIntLabelMap text file: {error}") from error
    problems = _find_id_problems([item_id for item_id, _ in items])
    names = tuple(name for _, name in sorted(items))
    problems += find_name_problems(names)
    if problems:
        raise ConfigError(*(f"{path}: {problem}" for problem in problems))
    return LabelMap(names)


def read_class_names(path: Path) -> tuple[str | None, ...]:
    """Return the class names of a label map whose ids may have gaps: item n is id n + 1, None where no item has it.

    An item's `display_name` comes before its `name`: the OD API's COCO label map has codes as names.

    Raises:
        ConfigError: the file cannot be read or is not a label map, or its ids are not 1 to 9,999.
    """
    try:
        items = _parse_message(path.read_text(encoding="utf-8")).item
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot read the label map: {error}") from error
    names = {int(item.id): str(item.display_name or item.name) for item in items}
    if not names or not all(0 < number <= _HIGHEST_ID for number in names):
        raise ConfigError(f"{path}: expected at least one item, with ids from 1 to {_HIGHEST_ID}")
    return tuple(names.get(number) or None for number in range(1, max(names) + 1))


def write_label_map(path: Path | str, label_map: LabelMap) -> None:
    """Write a StringIntLabelMap text file for the OD API and `read_label_map`, completely or not at all."""
    write_whole(Path(path), _format_items(label_map.names))


def _parse_items(text: str) -> list[tuple[int, str]]:
    """Return the (id, name) pairs of a StringIntLabelMap text in file order.

    Raises:
        ValueError: the text does not match the schema; the message names line and column.
    """
    return [(item.id, item.name) for item in _parse_message(text).item]


def _parse_message(text: str) -> Any:
    from google.protobuf import text_format
    from object_detection.protos import string_int_label_map_pb2

    try:
        return text_format.Parse(text, string_int_label_map_pb2.StringIntLabelMap())
    except text_format.ParseError as error:
        raise ValueError(str(error)) from error


def _format_items(names: Sequence[str]) -> str:
    """Return the names as a StringIntLabelMap text with ids from 1; Unicode stays readable."""
    from google.protobuf import text_format
    from object_detection.protos import string_int_label_map_pb2

    message = string_int_label_map_pb2.StringIntLabelMap()
    for item_id, name in enumerate(names, start=1):
        message.item.add(id=item_id, name=name)
    return text_format.MessageToString(message, as_utf8=True)


def _find_id_problems(ids: Sequence[int]) -> list[str]:
    problems = []
    if any(item_id == 0 for item_id in ids):
        problems.append("an item has id 0, which the OD API reserves for the background: number the items from 1")
    if any(item_id < 0 for item_id in ids):
        problems.append(f"an item has the negative id {min(ids)}: number the items from 1")
    repeated = sorted({item_id for item_id in ids if ids.count(item_id) > 1})
    if repeated:
        problems.append(f"id {', '.join(map(str, repeated))} repeats: give every item its own id")
    positive = {item_id for item_id in ids if item_id > 0}
    expected = set(range(1, len(positive) + 1))
    if positive != expected:
        found = ", ".join(map(str, sorted(positive)[:10])) + (", …" if len(positive) > 10 else "")
        problems.append(
            f"the ids have gaps: found {found}, expected 1 to {len(positive)}: number the items 1 to {len(ids)}"
        )
    return problems
