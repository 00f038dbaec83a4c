"""The classes of a data set."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from reefline.errors import ConfigError

# Those that end a line or steer a terminal; labels.txt has one name per line. XML allows most of them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_AND_SPACE = re.compile(rf"\s*{_CONTROL.pattern}[\s{_CONTROL.pattern[1:]}*")


@dataclass(frozen=True)
class LabelMap:
    """The class names in the order of their ids, which run from 1 to N without a gap.

    Raises:
        ConfigError: there is no class, or a name is empty, repeats or has a control character.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        problems = find_name_problems(self.names)
        if problems:
            raise ConfigError(*(f"label map: {problem}" for problem in problems))

    def ids_by_name(self) -> dict[str, int]:
        """Return a new mapping from each name to its 1-based id."""
        return {name: index for index, name in enumerate(self.names, start=1)}


def replace_control_characters(name: str) -> str:
    """Return a class name with a space for each line break or other control character and the space around it."""
    # Nearly every name is printable, which is faster to know.
    return name if name.isprintable() else _CONTROL_AND_SPACE.sub(" ", name).strip()


def fold_name(name: str) -> str:
    """Return what names that look alike share: without letter case, invisible characters and forms of encoding."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if c.isprintable())
    return " ".join(visible.casefold().split())


def find_name_problems(names: Sequence[str]) -> list[str]:
    """Return what is wrong with class names: none at all, an empty one, one that repeats, or a control character."""
    problems = []
    if not names:
        problems.append("holds no class: expected at least one item with an id and a name")
    if any(not name.strip() for name in names):
        problems.append("an item has no name: give every item a name, as the annotations spell it")
    repeated = sorted({name for name in names if name.strip() and names.count(name) > 1})
    problems += [f"the name {name!r} repeats: keep one item of that name" for name in repeated]
    problems += [
        f"the name {name!r} has a line break or another control character: write {replace_control_characters(name)!r}"
        for name in names
        if _CONTROL.search(name)
    ]
    return problems
