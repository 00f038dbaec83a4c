"""The folder of one keyword: its images, where each comes from, and what could not be downloaded."""

from __future__ import annotations

import contextlib
import datetime
import enum
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reefline.acquisition.image_content import CheckedImage
from reefline.acquisition.query import ImageHit
from reefline.errors import DownloadError, UsageError
from reefline.structures.image_origin import ORIGINS_FILE, ImageOrigin, append_origins, read_origins
from reefline.structures.output_marker import MARKER_FILE, OutputMarker
from reefline.system.files import write_whole
from reefline.system.lock_file import hold_folder
from reefline.system.record import Record

FAILURES_FILE = "failures.jsonl"
COMMAND = "download"
# An image that has no line yet: ".<name>.pending".
_PENDING_FILE = re.compile(r"\.([0-9a-f]+\.\w+)\.pending")
# What `write_whole` leaves of a pending image, manifest.jsonl or failures.jsonl when it is killed.
_PARTIAL_FILE = re.compile(r"\.(\.[0-9a-f]+\.\w+\.pending|manifest\.jsonl|failures\.jsonl)\.\d+\.part")


class Existing(enum.Enum):
    """What to do with a folder that has files: by default, only continue a download."""

    CONTINUE = "continue"
    RESUME = "resume"
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class FailedDownload(Record):
    """One line of failures.jsonl; a later run tries the address again unless the failure is permanent."""

    url: str
    reason: str
    time: str
    is_permanent: bool


class ImageFolder:
    """One folder that images are downloaded to; `failures` are the permanent ones of earlier runs.

    An image is written under a hidden name and gets its own after its line: if a run is killed between the two, the
    next run completes it. No image lacks a line, and a line without an image is one that was removed on purpose, which
    is not downloaded again.
    """

    def __init__(self, path: Path, origins: tuple[ImageOrigin, ...], failures: tuple[FailedDownload, ...]) -> None:
        self.path = path
        self._origins = {origin.sha256: origin for origin in origins if (path / origin.file).is_file()}
        self._removed = {origin.sha256: origin for origin in origins if origin.sha256 not in self._origins}
        self._known_urls = {origin.url for origin in origins} | {one.url for one in failures}
        self.earlier_failures = len(failures)
        self.new_failures: list[FailedDownload] = []
        self.new_images = 0

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self._origins)

    @property
    def removed(self) -> int:
        """The number of images that were downloaded and then deleted or moved."""
        return len(self._removed)

    @property
    def origins(self) -> tuple[ImageOrigin, ...]:
        """Where the images come from, without those that were removed."""
        return tuple(self._origins.values())

    def knows(self, url: str) -> bool:
        """Return whether a URL was downloaded, or failed for good."""
        return url in self._known_urls

    def save(self, hit: ImageHit, image: CheckedImage) -> None:
        """Write an image and its line; content that the folder has or had is noted as a failure.

        Raises:
            DownloadError: it cannot be written; nothing partial is left.
        """
        same = self._origins.get(image.sha256)
        if same is not None:
            self.fail(hit, f"same content as {same.file}", is_permanent=True)
            return
        removed = self._removed.get(image.sha256)
        if removed is not None:
            self.fail(hit, f"same content as {removed.file}, which was removed", is_permanent=True)
            return
        origin = ImageOrigin(
            file=image.file_name,
            url=hit.url,
            source=hit.source,
            sha256=image.sha256,
            bytes=len(image.content),
            width_px=image.width_px,
            height_px=image.height_px,
            time=_now(),
            page=hit.page,
            license=hit.license,
            license_url=hit.license_url,
            author=hit.author,
        )
        with explain_disk_errors(self.path):
            self._mark()
            pending = self.path / f".{origin.file}.pending"
            write_whole(pending, image.content)
            try:
                append_origins(self.path, [origin])
            except OSError:
                pending.unlink(missing_ok=True)
                raise
            pending.replace(self.path / origin.file)
        self._origins[origin.sha256] = origin
        self._known_urls.add(hit.url)
        self.new_images += 1

    def fail(self, hit: ImageHit, reason: str, *, is_permanent: bool) -> None:
        """Note that an image could not be downloaded.

        Raises:
            DownloadError: the note cannot be written.
        """
        failure = FailedDownload(hit.url, reason, _now(), is_permanent)
        self._known_urls.add(hit.url)
        self.new_failures.append(failure)
        with explain_disk_errors(self.path):
            self._mark()
            with (self.path / FAILURES_FILE).open("a", encoding="utf-8") as file:
                file.write(_format_failure(failure))

    def _mark(self) -> None:
        """Mark the folder as one of downloads, with its first file: a folder that stays empty gets no marker."""
        if not (self.path / MARKER_FILE).exists():
            OutputMarker(COMMAND).write(self.path / MARKER_FILE)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_image_folder(path: Path, existing: Existing) -> None:
    """Check that images may be downloaded to a folder.

    Raises:
        UsageError: it is a file, the output of another command, or has files of other origin.
        RecordError: its marker is damaged.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path}: a file, where a folder is expected; choose another --out")
    check_owner(path)
    if _is_marked(path):
        return
    # A run that was killed early leaves no more than a hidden partial file. Folders may be those of labels.
    others = (entry for entry in path.iterdir() if not entry.name.startswith(".") and not entry.is_dir())
    if existing is not Existing.RESUME and any(others):
        raise UsageError(
            f"{path}: has files that `reefline download` did not write; choose another --out, "
            "or pass --resume to add images to them"
        )


def check_owner(path: Path) -> None:
    """Check that a folder is not the output of another command.

    Raises:
        UsageError: it is.
        RecordError: its marker is damaged.
    """
    if not _is_marked(path):
        return
    owner = OutputMarker.read(path / MARKER_FILE).command
    if owner != COMMAND:
        raise UsageError(f"{path}: holds what `reefline {owner}` wrote; choose another --out")


def _is_marked(path: Path) -> bool:
    return (path / MARKER_FILE).exists()


@contextlib.contextmanager
def open_image_folder(path: Path, existing: Existing) -> Iterator[ImageFolder]:
    """Create or continue a folder; no other run can open it meanwhile.

    Raises:
        UsageError: it is a file, the output of another command, has files of other origin, or another run is using it.
        DownloadError: it cannot be created or read.
    """
    with explain_disk_errors(path):
        check_image_folder(path, existing)
        path.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        with explain_disk_errors(path):
            held.enter_context(hold_folder(path))
            folder = _read_folder(path, existing)
        yield folder


def _read_folder(path: Path, existing: Existing) -> ImageFolder:
    if _is_marked(path):
        _settle_pending(path)
        _clean(path, existing)
    return ImageFolder(path, _read_own_origins(path), _read_failures(path))


def _settle_pending(path: Path) -> None:
    """Complete the image that a killed run left with a line, and remove one without."""
    files = {origin.file for origin in _read_own_origins(path)}
    for entry in list(path.iterdir()):
        pending = _PENDING_FILE.fullmatch(entry.name)
        if pending is not None and pending[1] in files:
            entry.replace(path / pending[1])
        elif pending is not None:
            entry.unlink()


def _clean(path: Path, existing: Existing) -> None:
    """Remove what a killed run left, and with OVERWRITE what all runs left."""
    for entry in list(path.iterdir()):
        if _PARTIAL_FILE.fullmatch(entry.name):
            entry.unlink()
    if existing is Existing.OVERWRITE:
        for origin in _read_own_origins(path):
            (path / origin.file).unlink(missing_ok=True)
        for name in (ORIGINS_FILE, FAILURES_FILE):
            (path / name).unlink(missing_ok=True)
    elif (path / FAILURES_FILE).exists():
        # Failures that are tried again would otherwise repeat with every run.
        write_whole(path / FAILURES_FILE, "".join(_format_failure(one) for one in _read_failures(path)))


def _read_own_origins(path: Path) -> tuple[ImageOrigin, ...]:
    """Return the origins of images in the folder itself: downloads have no others."""
    return tuple(origin for origin in read_origins(path) if "/" not in origin.file)


def _read_failures(path: Path) -> tuple[FailedDownload, ...]:
    """Return the permanent failures."""
    try:
        lines = (path / FAILURES_FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            found.append(FailedDownload.from_json(json.loads(line)))
    return tuple(one for one in found if one.is_permanent)


def _format_failure(failure: FailedDownload) -> str:
    return json.dumps(failure.to_json()) + "\n"


@contextlib.contextmanager
def explain_disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that names the folder and how to continue."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{path}: cannot write to it ({error.strerror}); free space or fix permissions, "
            "then run the same command to resume"
        ) from error
