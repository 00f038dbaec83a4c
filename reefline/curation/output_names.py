"""Names for the images of one output folder: unique there, on every file system, and safe in lists and XML."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

# What Windows forbids, or would take for a path.
_UNSAFE = re.compile(r'[\\/:*?"<>|]')
# A file system's 255, less room for a suffix and a number.
_MAX_BYTES = 200


def choose_stems(images: Sequence[str]) -> tuple[str, ...]:
    """Return a file name without suffix for each image, in their order.

    An image keeps its own name where no other has it; letter case, suffix and Unicode form do not tell names apart.
    Others get their folders in front: `cats/1.jpg` and `dogs/1.jpg` become `cats_1` and `dogs_1`.
    """
    stems = [_clean(PurePosixPath(image).stem) for image in images]
    counts = Counter(map(_fold, stems))
    used = {_fold(stem) for stem in stems if counts[_fold(stem)] == 1}
    chosen = []
    for image, stem in zip(images, stems, strict=True):
        if counts[_fold(stem)] > 1:
            stem = next(name for name in _longer_names(image) if _fold(name) not in used)
            used.add(_fold(stem))
        chosen.append(stem)
    return tuple(chosen)


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
