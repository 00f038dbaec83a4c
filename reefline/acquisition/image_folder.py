"""The folder of one keyword: its images, where each comes from, and what could not be downloaded."""

from __future__ import annotations

import contextlib
import datetime
import enum
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reefline.acquisition.image_content import CheckedImage
from reefline.acquisition.query import ImageHit
from reefline.errors import DownloadError, UsageError
from reefline.structures.image_origin import ORIGINS_FILE, ImageOrigin, append_origins, read_origins, write_origins
from reefline.system.files import write_whole
from reefline.system.record import Record

FAILURES_FILE = "failures.jsonl"


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
    """One folder that images are downloaded to.

    `failures` are the permanent ones of earlier runs, `missing` the origins whose image no longer exists. A line is
    written before its image: if a run is killed between the two, the image is missing, and the next run fetches it.
    """

    def __init__(self, path: Path, origins: tuple[ImageOrigin, ...], failures: tuple[FailedDownload, ...]) -> None:
        self.path = path
        present = [origin for origin in origins if (path / origin.file).is_file()]
        self.missing = tuple(origin for origin in origins if not (path / origin.file).is_file())
        self._origins = {origin.sha256: origin for origin in present}
        self._known_urls = {origin.url for origin in present} | {one.url for one in failures}
        self.earlier_failures = len(failures)
        self.new_failures: list[FailedDownload] = []
        self.new_images = 0

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self._origins)

    @property
    def origins(self) -> tuple[ImageOrigin, ...]:
        """Where the images come from."""
        return tuple(self._origins.values())

    def knows(self, url: str) -> bool:
        """Return whether a URL was downloaded, or failed for good."""
        return url in self._known_urls

    def save(self, hit: ImageHit, image: CheckedImage) -> None:
        """Write an image and its line; content that the folder already has is noted as a failure.

        Raises:
            DownloadError: it cannot be written; nothing partial is left.
        """
        same = self._origins.get(image.sha256)
        if same is not None:
            self.fail(hit, f"same content as {same.file}", is_permanent=True)
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
            append_origins(self.path, [origin])
            write_whole(self.path / origin.file, image.content)
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
        with explain_disk_errors(self.path), (self.path / FAILURES_FILE).open("a", encoding="utf-8") as file:
            file.write(_format_failure(failure))


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_image_folder(path: Path, existing: Existing) -> None:
    """Check that images may be downloaded to a folder.

    Raises:
        UsageError: it is a file, or has files of other origin.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path}: a file, where a folder is expected; choose another --out")
    # A run that was killed early leaves no more than a hidden partial file. Folders may be those of labels.
    others = (entry for entry in path.iterdir() if not entry.name.startswith(".") and not entry.is_dir())
    if existing is Existing.CONTINUE and not _is_ours(path) and any(others):
        raise UsageError(
            f"{path}: has files that `reefline download` did not write; choose another --out, "
            "or pass --resume to add images to them"
        )


def _is_ours(path: Path) -> bool:
    return (path / ORIGINS_FILE).is_file() or (path / FAILURES_FILE).is_file()


@contextlib.contextmanager
def open_image_folder(path: Path, existing: Existing) -> Iterator[ImageFolder]:
    """Create or continue a folder; no other run can open it meanwhile.

    Raises:
        UsageError: it is a file, has files of other origin, or another run is using it.
        DownloadError: it cannot be created or read.
    """
    with explain_disk_errors(path):
        check_image_folder(path, existing)
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{path}: another `reefline download` is using it; wait for it, or stop it") from None
        with explain_disk_errors(path):
            folder = _read_folder(path, existing)
        yield folder
    finally:
        os.close(lock)


def _read_folder(path: Path, existing: Existing) -> ImageFolder:
    is_ours = _is_ours(path)
    for partial in path.glob(".*.part"):
        partial.unlink()
    if existing is Existing.OVERWRITE:
        for origin in read_origins(path):
            (path / origin.file).unlink(missing_ok=True)
        for name in (ORIGINS_FILE, FAILURES_FILE):
            (path / name).unlink(missing_ok=True)
    failures = tuple(one for one in _read_failures(path) if one.is_permanent)
    folder = ImageFolder(path, read_origins(path), failures)
    if is_ours and existing is not Existing.OVERWRITE:
        # Lines without an image, and failures that are tried again, would otherwise repeat with every run.
        write_origins(path, folder.origins)
        write_whole(path / FAILURES_FILE, "".join(_format_failure(one) for one in failures))
    return folder


def _read_failures(path: Path) -> Iterator[FailedDownload]:
    try:
        with (path / FAILURES_FILE).open("rb") as file:
            for line in file:
                with contextlib.suppress(ValueError, RecursionError):
                    yield FailedDownload.from_json(json.loads(line))
    except FileNotFoundError:
        return


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
