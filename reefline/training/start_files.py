"""Files to start from: on disk, in the user's cache, or on the web; a known sha256 makes all three the same."""

from __future__ import annotations

import contextlib
import hashlib
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reefline.bundle.remote_bundle import open_bundle
from reefline.errors import CheckpointError, DownloadError, HashMismatchError
from reefline.system.files import cache_directory, hash_file
from reefline.system.http_download import download, hide_secrets
from reefline.system.terminal import say
from reefline.training.known_hashes import KnownHashes

_REPO_DIR = Path(__file__).resolve().parents[2]
# Without network: put a file into one of these folders, under any name; it is recognized by its sha256.
LOCAL_FOLDERS = (_REPO_DIR / "models", _REPO_DIR.parent / "shared" / "models")
_SHOWN_CHARACTERS = 100
_INSTEAD = "or start from new weights with --set trainer.start=scratch"


def is_web_url(source: str) -> bool:
    """Return whether a source is an http(s) URL."""
    return source.startswith(("http://", "https://"))


def locate_path(source: str, sha256: str | None) -> Path:
    """Return what a path or file:// URL names: a file, a folder, or a checkpoint's prefix.

    A URI of an object store names a bundle, which is copied to the user's cache.

    Raises:
        CheckpointError: it does not exist, cannot be named, or is not a file with this sha256.
        BundleError: the URI names no bundle.
        StorageError: the URI is not supported, or its store cannot be read.
    """
    if "://" in source and not source.startswith("file://"):
        _refuse_sha256(source, sha256)
        return open_bundle(source)
    try:
        parts = urllib.parse.urlsplit(source)
        path = Path(urllib.request.url2pathname(parts.path) if parts.scheme == "file" else source).expanduser()
        is_folder = Path(f"{path}.index").is_file() or path.is_dir()
        is_file = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        # A name that is too long, the home of an unknown user, or a malformed URL.
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise CheckpointError(f"trainer.start: {source[:_SHOWN_CHARACTERS]!r} cannot be used ({reason})") from None
    if is_folder:
        _refuse_sha256(source, sha256)
        return path
    if not is_file:
        raise CheckpointError(
            f"trainer.start: {source} does not exist; expected a .tflite file, a bundle, or a checkpoint's prefix, "
            "folder or .tar.gz"
        )
    found = hash_file(path) if sha256 is not None else None
    if found != sha256:
        raise CheckpointError(
            f"trainer.start: {source} has sha256 {found}, expected {sha256}; check the file and the config"
        )
    return path


def _refuse_sha256(source: str, sha256: str | None) -> None:
    if sha256 is not None:
        raise CheckpointError(
            f"trainer.start: {source} is a folder, a bundle or a checkpoint, and sha256 pins a single file; remove "
            "sha256, or use a .tflite file or .tar.gz"
        )


@dataclass(frozen=True)
class StartCache:
    """Where downloaded files are kept: `folder` is shared between workspaces, `local_folders` are the user's own.

    `workspace_memory` is the file that remembers the sha256 of each URL without one; None remembers them in `folder`
    only.
    """

    folder: Path = field(default_factory=lambda: cache_directory().resolve() / "starts")
    workspace_memory: Path | None = None
    local_folders: tuple[Path, ...] = LOCAL_FOLDERS

    def fetch(self, url: str, sha256: str | None, *, remembered: str | None = None) -> Path:
        """Return the file behind an http(s) URL, downloaded at most once.

        A first download without a `sha256` reports the one that it found; later ones must have the same. `remembered`
        is that one where the caller knows it.

        Raises:
            CheckpointError: it cannot be downloaded, or has another sha256.
        """
        try:
            if sha256 is not None:
                return self.fetch_pinned(url, sha256)
            known = remembered or self.recall(url)
            return self._fetch_first(url) if known is None else self._fetch_known(url, known)
        except HashMismatchError as error:
            raise CheckpointError(f"trainer.start: {error}") from error
        except DownloadError as error:
            raise CheckpointError(f"trainer.start: {error}. {self._explain_offline(sha256)}") from error

    def fetch_pinned(self, url: str, sha256: str) -> Path:
        """Return the file with this sha256, found on this machine or downloaded from an http(s) URL.

        Raises:
            DownloadError: it cannot be downloaded, or has another sha256.
        """
        target = self.folder / f"{sha256[:16]}-{_name_of(url)}"
        found = self._find(sha256, target)
        if found is None:
            download(url, target, sha256=sha256)
        return found or target

    def recall(self, url: str) -> str | None:
        """Return the sha256 that a URL without one had when it was first downloaded; None for a new URL.

        Raises:
            RecordError: the file that remembers it is damaged.
        """
        known = next(filter(None, (memory.find(url) for memory in self._memories())), None)
        if known is not None:
            # One of the two files may be new.
            self._remember(url, known)
        return known

    def _explain_offline(self, sha256: str | None) -> str:
        folder = next(iter(self.local_folders), self.folder)
        if sha256 is None:
            return f"Without network, set trainer.start to a file on this machine, {_INSTEAD}"
        return f"Without network, put the file with sha256 {sha256} into {folder}, under any name, {_INSTEAD}"

    def _find(self, sha256: str, target: Path) -> Path | None:
        """Return a file with this content, whatever its name; only those of the right suffix are read."""
        for path in (target, *self._list_candidates(target.suffix)):
            with contextlib.suppress(OSError):  # a candidate that cannot be read is none
                if path.is_file() and hash_file(path) == sha256:
                    return path
        return None

    def _list_candidates(self, suffix: str) -> Iterator[Path]:
        for folder in (*self.local_folders, self.folder):
            if folder.is_dir():
                yield from sorted(folder.glob(f"*{suffix}"))

    def _fetch_known(self, url: str, sha256: str) -> Path:
        try:
            return self.fetch_pinned(url, sha256)
        except HashMismatchError as error:
            raise CheckpointError(
                f"trainer.start: {hide_secrets(url)} has changed: sha256 {error.found} found, {sha256} remembered from "
                f"the first download; to use the new file, set trainer.start.sha256 to its sha256, {_INSTEAD}"
            ) from error

    def _fetch_first(self, url: str) -> Path:
        arrived = self.folder / f"new-{hashlib.sha256(url.encode()).hexdigest()[:16]}-{_name_of(url)}"
        download(url, arrived, sha256=None)
        sha256 = hash_file(arrived)
        path = arrived.replace(self.folder / f"{sha256[:16]}-{_name_of(url)}")
        self._remember(url, sha256)
        say(f"  trainer.start has no sha256. To pin {hide_secrets(url)}, add:")
        say(f'    sha256: "{sha256}"')
        return path

    def _memories(self) -> tuple[KnownHashes, ...]:
        files = (self.workspace_memory, self.folder / "urls.json")
        return tuple(KnownHashes(path) for path in files if path is not None)

    def _remember(self, url: str, sha256: str) -> None:
        for memory in self._memories():
            memory.remember(url, sha256)


def _name_of(url: str) -> str:
    return Path(urllib.parse.urlsplit(url).path).name or "weights"
