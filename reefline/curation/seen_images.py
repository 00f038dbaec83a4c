"""Images as the search for duplicates sees them: content hash, size and look. Worker processes import this module."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reefline.curation.data_folder import DataFolder, FolderImage
from reefline.curation.parallel import map_in_processes
from reefline.images.codec import ImageProblemError, decode_small
from reefline.images.look_alikes import Look, Turns, make_look

# More than the hashes sample, so that small images lose nothing before.
_DECODED_SIDE_PX = 64


@dataclass(frozen=True)
class SeenImage:
    """An image that could be read; its size in px is that after EXIF rotation, `image` is relative to its folder."""

    image: str
    xml: str | None
    label: str | None
    sha256: str
    bytes: int
    width_px: int
    height_px: int
    is_link: bool
    look: Look


@dataclass(frozen=True)
class UnreadableImage:
    """An image that could not be read, and why."""

    image: str
    problem: str


def see_images(
    folder: DataFolder, turns: Turns, workers: int, on_done: Callable[[int], None]
) -> tuple[list[SeenImage], tuple[UnreadableImage, ...]]:
    """Read all images of a folder, in several processes; `on_done` gets the number of images read so far."""
    from reefline.settings import IngestionSettings

    limit = IngestionSettings().max_image_pixels
    see = partial(see_image, folder.root, turns=turns, max_image_pixels=limit)
    seen, unreadable = [], []
    for done, result in enumerate(map_in_processes(see, folder.images, workers=workers), start=1):
        if isinstance(result, SeenImage):
            seen.append(result)
        else:
            unreadable.append(result)
        on_done(done)
    return seen, tuple(unreadable)


def see_image(root: Path, image: FolderImage, *, turns: Turns, max_image_pixels: int) -> SeenImage | UnreadableImage:
    """Read one image of a folder; a JPEG is decoded at a fraction of its size."""
    path = root / image.image
    try:
        content = path.read_bytes()
        small, (width_px, height_px) = decode_small(
            content, apply_exif=True, max_image_pixels=max_image_pixels, side_px=_DECODED_SIDE_PX
        )
        look = make_look(small, turns)
    except OSError as error:
        return UnreadableImage(image.image, f"cannot open the image ({error.strerror})")
    except ImageProblemError as error:
        return UnreadableImage(image.image, str(error))
    return SeenImage(
        image=image.image,
        xml=image.xml,
        label=image.label,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        width_px=width_px,
        height_px=height_px,
        is_link=path.is_symlink(),
        look=look,
    )
