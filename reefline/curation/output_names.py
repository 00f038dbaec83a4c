"""Names for the images of one output folder: unique there, on every file system, and safe in lists and XML."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

# What Windows forbids, or would take for a path.
_UNSAFE = re.compile(r'[\\/:*?"<>|]')
# A file system's 255, less room for a suffix and a number.
_MAX_BYTES = 200


def choose_stems(images: Sequence[str], earlier: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return a file name without suffix for each image, in their order.

    An image keeps its own name where no other has it; letter case, suffix and Unicode form do not tell names apart.
    Others get their folders in front: `cats/1.jpg` and `dogs/1.jpg` become `cats_1` and `dogs_1`. `earlier` has the
    names of an earlier call, which stay, and are not given to others.
    """
    earlier = earlier or {}
    own = {image: _clean(PurePosixPath(image).stem) for image in images if image not in earlier}
    reserved = {_fold(stem) for stem in earlier.values()}
    counts = Counter(map(_fold, own.values())) + Counter(reserved)
    used = reserved | {_fold(stem) for stem in own.values() if counts[_fold(stem)] == 1}
    chosen = []
    for image in images:
        stem = earlier.get(image) or own[image]
        if image not in earlier and counts[_fold(stem)] > 1:
            stem = next(name for name in _longer_names(image) if _fold(name) not in used)
            used.add(_fold(stem))
        chosen.append(stem)
    return tuple(chosen)


def choose_folders(labels: Iterable[str]) -> dict[str, str]:
    """Return the folder name of each label: the label itself, or a safe name that no other label has."""
    names: dict[str, str] = {}
    # Safe labels first: they keep their names.
    for label in sorted(set(labels), key=lambda label: (_clean(label) != label, label)):
        numbered = (_clean(label) if number == 1 else f"{_clean(label)}_{number}" for number in itertools.count(1))
        names[label] = next(name for name in numbered if name not in names.values())
    return names


def _longer_names(image: str) -> Iterator[str]:
    path = PurePosixPath(image)
    yield _clean("_".join((*path.parts[:-1], path.stem)))
    full = "_".join((*path.parts[:-1], path.stem, path.suffix.lstrip(".")))
    yield _clean(full)
    number = 1
    while True:
        number += 1
        yield _clean(f"{_clean(full)}_{number}")


def _clean(name: str) -> str:
    """Return a name in NFC, with _ for what is unsafe or unprintable, no space or dot around it, and not too long."""
    text = unicodedata.normalize("NFC", _UNSAFE.sub("_", name))
    text = "".join(c if c.isprintable() else "_" for c in text)
    return text.strip(" .").encode()[-_MAX_BYTES:].decode(errors="ignore").strip(" .") or "image"


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
