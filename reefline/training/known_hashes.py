"""The sha256 that each URL without a pinned one had when it was first downloaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from reefline.system.http_download import hide_secrets
from reefline.system.record import Record


@dataclass(frozen=True)
class KnownHash:
    """One URL, without password and query, and the sha256 of its file."""

    url: str
    sha256: str


@dataclass(frozen=True)
class _Content(Record):
    """The file: one entry per URL, by the start of the URL's own sha256."""

    files: dict[str, KnownHash]


@dataclass(frozen=True)
class KnownHashes:
    """The JSON file at `path`; it need not exist."""

    path: Path

    def find(self, url: str) -> str | None:
        """Return the sha256 that the file behind `url` had; None for a new URL.

        Raises:
            RecordError: the file is damaged.
        """
        entry = self._read().get(_key(url))
        return entry.sha256 if entry is not None else None

    def remember(self, url: str, sha256: str) -> None:
        """Keep the sha256 of a URL.

        Raises:
            RecordError: the file is damaged.
        """
        if self.find(url) == sha256:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _Content({**self._read(), _key(url): KnownHash(hide_secrets(url), sha256)}).write(self.path)

    def _read(self) -> dict[str, KnownHash]:
        return _Content.read(self.path).files if self.path.is_file() else {}


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
