"""labels.txt: line n is the name of the 0-based class n, whose id in the label map is n + 1."""

from __future__ import annotations

from collections.abc import Iterable

LABELS_FILE = "labels.txt"


def format_labels(names: Iterable[str]) -> str:
    """Return the text of a labels file."""
    return "".join(f"{name}\n" for name in names)


def parse_labels(text: str) -> tuple[str, ...]:
    """Read back what `format_labels` made."""
    # Not splitlines: a name may hold a character that Unicode treats as the end of a line.
    return tuple(text.removesuffix("\n").split("\n"))
