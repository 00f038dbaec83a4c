"""Where downloaded images come from: one line of `manifest.jsonl` per image, kept by every later step.

A step that writes images to another folder passes the origins on with `copy_origins`. A step that only moves or deletes
images may leave the file as it is: a line without its image counts for nothing.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from reefline.system.files import write_whole
from reefline.system.record import Record

ORIGINS_FILE = "manifest.jsonl"
UNKNOWN_LICENSE = "unknown"
# Far above any line that `append_origins` writes.
_MAX_LINE_BYTES = 100_000


@dataclass(frozen=True)
class ImageOrigin(Record):
    """The origin of one image; None where its source does not state something.

    `file` is the image's path relative to the folder of manifest.jsonl, with slashes. `sha256`, `bytes` and the size
    in px (before EXIF) are those of the file as downloaded: a later step may have converted it. `source` is the service
    that found it, `page` the page that shows it, `time` that of the download (ISO 8601, UTC).
    """

    file: str
    url: str
    source: str
    sha256: str
    bytes: int
    width_px: int
    height_px: int
    time: str
    page: str | None = None
    license: str | None = None
    license_url: str | None = None
    author: str | None = None


def read_origins(folder: Path) -> tuple[ImageOrigin, ...]:
    """Return the origins in a folder's manifest.jsonl, none if it has no such file.

    Lines that are no origin are skipped: another program uses the same name, or a crash cut the last line.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        with (folder / ORIGINS_FILE).open("rb") as file:
            return tuple(_parse_lines(file))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _parse_lines(lines: Iterable[bytes]) -> Iterator[ImageOrigin]:
    for line in lines:
        if len(line) > _MAX_LINE_BYTES:
            continue
        try:
            origin = ImageOrigin.from_json(json.loads(line))
        except (ValueError, RecursionError):
            continue
        path = PurePosixPath(origin.file)
        if path.parts and not path.is_absolute() and ".." not in path.parts:
            yield origin


def find_origins(root: Path) -> dict[str, ImageOrigin]:
    """Return the origins in all manifest.jsonl of a folder and the folders below it.

    The keys are the paths of the images relative to `root`, with slashes, and so is `file`. Of two lines about one
    image the later counts, and the one in the folder nearest to the image.

    Raises:
        OSError: a manifest.jsonl cannot be read.
    """
    found = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        if ORIGINS_FILE in files:
            place = Path(folder)
            for origin in read_origins(place):
                name = (place.relative_to(root) / origin.file).as_posix()
                found[name] = replace(origin, file=name)
    return found


def append_origins(folder: Path, origins: Iterable[ImageOrigin]) -> None:
    """Add lines to a folder's manifest.jsonl; afterwards they are on the disk.

    A last line that a crash cut is ended first, so that it spoils no other.

    Raises:
        OSError: the file cannot be written; the lines that it had stay.
    """
    # Unbuffered: what does not fit on the disk would otherwise be tried again at closing.
    with (folder / ORIGINS_FILE).open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        is_cut = file.read(1) not in (b"", b"\n")
        rest = memoryview(b"\n" * is_cut + _format_lines(origins))
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:
            os.truncate(file.fileno(), end)
            raise


def write_origins(folder: Path, origins: Iterable[ImageOrigin]) -> None:
    """Write a folder's manifest.jsonl, completely or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(folder / ORIGINS_FILE, _format_lines(origins))


def _format_lines(origins: Iterable[ImageOrigin]) -> bytes:
    lines = [json.dumps(origin.to_json(), ensure_ascii=False) for origin in origins]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def copy_origins(source: Path, target: Path, names: Mapping[str, str]) -> None:
    """Write the origins of the images that a step kept to the manifest.jsonl of its output folder.

    `names` maps the path of each image relative to `source` to its new path relative to `target`, both with slashes.
    Images without an origin get no line; if none has one, no file is written.

    Raises:
        OSError: a manifest.jsonl cannot be read or written.
    """
    found = find_origins(source)
    kept = [replace(found[old], file=new) for old, new in names.items() if old in found]
    if kept:
        write_origins(target, kept)


def count_licenses(origins: Mapping[str, ImageOrigin], images: Iterable[str]) -> dict[str, int]:
    """Return how many of `images` are under each license, the most frequent first.

    An image without an origin or a license counts as "unknown". The result is empty if no image has an origin: the
    data set was not downloaded.
    """
    names = list(images)
    if not any(name in origins for name in names):
        return {}
    licenses = (origins[name].license if name in origins else None for name in names)
    counts = Counter(license_name or UNKNOWN_LICENSE for license_name in licenses)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
