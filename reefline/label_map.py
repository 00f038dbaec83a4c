"""The classes of a data set, and the StringIntLabelMap file (.pbtxt) that the OD API reads them from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import ConfigError
from reefline.whole_file import write_whole


@dataclass(frozen=True)
class LabelMap:
    """The class names in the order of their ids, which run from 1 to N without a gap.

    Raises:
        ConfigError: there is no class, or a name is empty or repeats.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        problems = _find_name_problems(self.names)
        if problems:
            raise ConfigError(*(f"label map: {problem}" for problem in problems))

    def id_of(self, name: str) -> int:
        """Return the 1-based id of a class.

        Raises:
            KeyError: the label map does not hold the name.
        """
        try:
            return self.names.index(name) + 1
        except ValueError:
            raise KeyError(f"the label map holds no class {name!r}") from None

    def ids_by_name(self) -> dict[str, int]:
        """Return a new mapping from each name to its 1-based id."""
        return {name: index for index, name in enumerate(self.names, start=1)}


def read_label_map(path: Path | str) -> LabelMap:
    """Read a StringIntLabelMap text file.

    Raises:
        ConfigError: the file cannot be read, is no label map, or its ids are not exactly 1..N; one problem each.
    """
    from reefline.od_api.label_map_proto import parse_label_map_items

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the label map cannot be read: {error}") from error
    try:
        items = parse_label_map_items(text)
    except ValueError as error:
        raise ConfigError(f"{path}: not a StringIntLabelMap text file: {error}") from error
    problems = _find_id_problems([item_id for item_id, _ in items])
    names = tuple(name for _, name in sorted(items))
    problems += _find_name_problems(names)
    if problems:
        raise ConfigError(*(f"{path}: {problem}" for problem in problems))
    return LabelMap(names)


def write_label_map(path: Path | str, label_map: LabelMap) -> None:
    """Write a StringIntLabelMap text file that the OD API and `read_label_map` read; it appears whole or not at all."""
    from reefline.od_api.label_map_proto import format_label_map_items

    write_whole(Path(path), format_label_map_items(label_map.names))


def _find_id_problems(ids: Sequence[int]) -> list[str]:
    problems = []
    if any(item_id == 0 for item_id in ids):
        problems.append("an item has id 0, which the OD API keeps for the background: number the items from 1")
    if any(item_id < 0 for item_id in ids):
        problems.append(f"an item has the negative id {min(ids)}: number the items from 1")
    repeated = sorted({item_id for item_id in ids if ids.count(item_id) > 1})
    if repeated:
        problems.append(f"id {', '.join(map(str, repeated))} repeats: give every item an id of its own")
    positive = {item_id for item_id in ids if item_id > 0}
    expected = set(range(1, len(positive) + 1))
    if positive != expected:
        found = ", ".join(map(str, sorted(positive)[:10])) + (", …" if len(positive) > 10 else "")
        problems.append(
            f"the ids have gaps: found {found}, expected 1 to {len(positive)}: number the items 1 to {len(ids)}"
        )
    return problems


def _find_name_problems(names: Sequence[str]) -> list[str]:
    problems = []
    if not names:
        problems.append("holds no class: expected at least one item with an id and a name")
    if any(not name.strip() for name in names):
        problems.append("an item has no name: give every item a name, as the annotations spell it")
    repeated = sorted({name for name in names if name.strip() and names.count(name) > 1})
    problems += [f"the name {name!r} repeats: keep one item of that name" for name in repeated]
    return problems
