"""TFX's artifacts with one folder per split."""

from __future__ import annotations

from pathlib import Path

from reefline.errors import RecordError

_PREFIX = "Split-"
_ORDER = ("train", "eval", "test")


def find_split_files(folder: Path, name: str) -> dict[str, Path]:
    """Return each split's file of that name by split: train, eval, test, then others by name.

    Raises:
        RecordError: there are none.
    """
    found = {path.parent.name.removeprefix(_PREFIX): path for path in folder.glob(f"{_PREFIX}*/{name}")}
    if not found:
        raise RecordError(f"{folder}: no {_PREFIX}*/{name}; run the pipeline again")
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(split: str) -> tuple[int, str]:
    return (_ORDER.index(split) if split in _ORDER else len(_ORDER), split)
