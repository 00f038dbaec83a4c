"""The images that a command line names, and the names of their pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import DataError, UsageError
from reefline.images.codec import IMAGE_SUFFIXES
from reefline.system.files import show_path

_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe"})


@dataclass(frozen=True)
class Source:
    """An image file as given, and the file name of its picture."""

    path: Path
    picture: str

    @property
    def name(self) -> str:
        """The path as text for messages and detections.json."""
        return show_path(self.path)


@dataclass(frozen=True)
class FoundSources:
    """The images found, each once, and one problem for each argument without any."""

    sources: tuple[Source, ...]
    problems: tuple[str, ...]


def find_sources(arguments: Sequence[Path]) -> FoundSources:
    """Return the images that the arguments name; a folder means the images directly in it, sorted by name.

    A picture has its image's name: JPEG stays .jpg, anything else becomes .png, and bytes that are not UTF-8
    U+FFFD. Where two images would have the same picture, the later one gets a number.
    """
    paths: dict[Path, Path] = {}
    problems = []
    for argument in arguments:
        try:
            found = _list_images(argument)
        except OSError as error:
            problems.append(f"{show_path(argument)}: cannot read it ({error.strerror}); name another")
            continue
        except DataError as error:
            problems.extend(error.problems)
            continue
        for path in found:
            paths.setdefault(path.resolve(), path)
    return FoundSources(_name_pictures(list(paths.values())), tuple(problems))


def _list_images(argument: Path) -> Sequence[Path]:
    """Return the image that an argument names, or those in the folder.

    Raises:
        OSError: it cannot be read.
        DataError: it names no image.
    """
    if argument.is_dir():
        found = sorted(path for path in argument.iterdir() if _is_image_file(path))
        if not found:
            raise DataError(
                f"{show_path(argument)}: no image found in this folder (subfolders are not searched); name another"
            )
        return found
    if argument.is_file():
        return [argument]
    raise DataError(f"{show_path(argument)}: no such file or folder; name an image, or a folder of images")


def prepare_out(out: Path, sources: Sequence[Source], result_file: str) -> None:
    """Create the output folder if needed, check that no picture would replace an image, and remove an old result file.

    A run that stops early leaves no result file, so none is mistaken for its own.

    Raises:
        UsageError: one would, or the folder cannot be created or written to.
    """
    images = {source.path.resolve() for source in sources}
    replaced = [source for source in sources if (out / source.picture).resolve() in images]
    if replaced:
        raise UsageError(f"--out {out}: {replaced[0].picture} would replace the image itself; name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".reefline-detect.part"
        probe.touch()
        probe.unlink()
        (out / result_file).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write to it ({error.strerror}); name another folder") from error


def _is_image_file(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _name_pictures(paths: Sequence[Path]) -> tuple[Source, ...]:
    used: set[str] = set()
    sources = []
    for path in paths:
        suffix = ".jpg" if path.suffix.lower() in _JPEG_SUFFIXES else ".png"
        stem = os.fsencode(path.stem).decode("utf-8", "replace")
        name, number = f"{stem}{suffix}", 1
        # Compared without case, as some file systems do.
        while name.lower() in used:
            number += 1
            name = f"{stem}-{number}{suffix}"
        used.add(name.lower())
        sources.append(Source(path, name))
    return tuple(sources)
