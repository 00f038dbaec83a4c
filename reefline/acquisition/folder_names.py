"""Folder names from keywords: whatever is typed, the folder stays inside the output folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from reefline.errors import UsageError
from reefline.structures.label_map import replace_control_characters

# Separators of paths on any system, and what Windows does not allow.
_NOT_IN_NAMES = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))
# The limit of common file systems is 255.
_MAX_BYTES = 200
# Invisible, but they change how letters of some scripts join.
_JOINERS = "\u200c\u200d"
# Later steps read these folders as parts of a data set, not as labels: layouts, splits, and what commands write.
_RESERVED = re.compile(
    r"jpegimages|images|annotations|imagesets|train|valid|val|validation|eval|test|duplicates|review|span-\d+"
)


def name_folder(keyword: str) -> str:
    """Return the name of a keyword's folder, which is also the label that later steps read from it.

    Letters of any script and spaces stay. Separators become "_", control and direction characters go.

    Raises:
        UsageError: nothing visible is left, or the name has another meaning in a data set.
    """
    text = replace_control_characters(unicodedata.normalize("NFC", keyword))
    visible = "".join(c for c in text if c in _JOINERS or unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn"))
    name = visible.translate(_NOT_IN_NAMES).strip(" .")
    name = name.encode("utf-8")[:_MAX_BYTES].decode("utf-8", "ignore").rstrip(" .")
    if not any(c.isalnum() for c in name):
        raise UsageError(f"keyword {keyword!r}: has no letter and no digit to name a folder; use other words")
    if _RESERVED.fullmatch(name.casefold()):
        raise UsageError(
            f"keyword {keyword!r}: a folder {name!r} is part of a data set and no label; "
            f"use other words, such as '{name} photo'"
        )
    return name


def name_folders(keywords: Iterable[str]) -> dict[str, str]:
    """Return the folder of each keyword, in their order; a keyword that repeats counts once.

    Raises:
        UsageError: two keywords would share a folder, or one has no usable name.
    """
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for keyword in dict.fromkeys(keywords):
        name = name_folder(keyword)
        # Some file systems do not tell upper from lower case.
        owner = owners.setdefault(name.casefold(), keyword)
        if owner != keyword:
            raise UsageError(f"keywords {owner!r} and {keyword!r} would share the folder {name!r}; use one of them")
        names[keyword] = name
    return names
