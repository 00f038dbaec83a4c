"""The images that a command line names, and the names of their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import UsageError
from reefline.images.codec import IMAGE_SUFFIXES

_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe"})


@dataclass(frozen=True)
class Source:
    """An image file as given, and the file name of its picture."""

    path: Path
    picture: str


@dataclass(frozen=True)
class FoundSources:
    """The images found, each once, and one problem for each argument without any."""

    sources: tuple[Source, ...]
    problems: tuple[str, ...]


def find_sources(arguments: Sequence[Path]) -> FoundSources:
    """Return the images that the arguments name; a folder means the images directly in it, sorted by name.

    A picture has its image's name: JPEG stays .jpg, anything else becomes .png. Where two images would have the same
    picture, the later one gets a number.
    """
    paths: dict[Path, Path] = {}
    problems = []
    for argument in arguments:
        if argument.is_dir():
            found = sorted(path for path in argument.iterdir() if _is_image_file(path))
            if not found:
                problems.append(
                    f"{argument}: no image found in this folder (subfolders are not searched); name another"
                )
        elif argument.is_file():
            found = [argument]
        else:
            found = []
            problems.append(f"{argument}: no such file or folder; name an image, or a folder of images")
        for path in found:
            paths.setdefault(path.resolve(), path)
    return FoundSources(_name_pictures(list(paths.values())), tuple(problems))


def check_out(out: Path, sources: Sequence[Source]) -> None:
    """Create the output folder if needed, and check that no picture would replace an image.

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
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write to it ({error.strerror}); name another folder") from error


def _is_image_file(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _name_pictures(paths: Sequence[Path]) -> tuple[Source, ...]:
    used: set[str] = set()
    sources = []
    for path in paths:
        suffix = ".jpg" if path.suffix.lower() in _JPEG_SUFFIXES else ".png"
        name, number = f"{path.stem}{suffix}", 1
        # Compared without case, as some file systems do.
        while name.lower() in used:
            number += 1
            name = f"{path.stem}-{number}{suffix}"
        used.add(name.lower())
        sources.append(Source(path, name))
    return tuple(sources)
