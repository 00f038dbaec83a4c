"""Builders of folders of images as people have them, and of copies of an image."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from reefline.curation.choosing import Choosable
from tests.factories import make_jpeg

LARGE_PX = (160, 120)


def make_picture(seed: int, *, size_px: tuple[int, int] = LARGE_PX) -> Image.Image:
    """Return a picture that differs from that of any other seed, to a perceptual hash too."""
    return Image.open(io.BytesIO(make_jpeg(seed, width_px=LARGE_PX[0], height_px=LARGE_PX[1]))).resize(size_px)


def save_picture(path: Path, picture: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def make_label_folders(root: Path, *, images: int = 4, labels: Sequence[str] = ("cat", "dog")) -> Path:
    """Write one folder per label, with images of the same names in each."""
    for number, label in enumerate(labels):
        for index in range(images):
            save_picture(root / label / f"{index}.png", make_picture(100 * number + index))
    return root


def make_choosable(name: str, *labels: str, group: int | None = None) -> Choosable:
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return Choosable(name, sha256, frozenset(labels), int(sha256[:8], 16) if group is None else group)


def snapshot(root: Path) -> dict[str, bytes]:
    """Return the content of every file of a folder, hidden ones included."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
