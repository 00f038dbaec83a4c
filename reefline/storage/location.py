"""Where something is stored: a local path or the URI of an object store."""

from __future__ import annotations

import enum
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union
from urllib.parse import unquote

from reefline.errors import StorageError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# S3's rules for new buckets; Google's allow underscores too.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SUPPORTED = "a local path, file:///…, s3://bucket/…, minio://bucket/… or gs://bucket/…"


class Scheme(str, enum.Enum):
    """The kinds of stores; `minio` is S3 at the endpoint that the environment names, as Kubeflow spells it."""

    FILE = "file"
    S3 = "s3"
    MINIO = "minio"
    GCS = "gs"


@dataclass(frozen=True)
class Location:
    """A folder or file of a store; `str` returns it as users write it.

    `path` is a local path, or a key without leading and trailing slashes ("" for the whole bucket). `bucket` is "" for
    local paths.
    """

    scheme: Scheme
    bucket: str
    path: str

    @classmethod
    def parse(cls, text: Union[str, os.PathLike[str], Location]) -> Location:
        """Read a path or URI.

        Raises:
            StorageError: the scheme is not supported, or the URI is malformed.
        """
        if isinstance(text, Location):
            return text
        text = os.fspath(text)
        match = _SCHEME.fullmatch(text)
        if match is None:
            _refuse_collapsed(text)
            return cls(Scheme.FILE, "", str(Path(text)))
        name, rest = match.group(1).lower(), match.group(2)
        if name not in [scheme.value for scheme in Scheme]:
            raise StorageError(f"{text}: {name}:// is not supported; use {_SUPPORTED}")
        scheme = Scheme(name)
        if scheme is Scheme.FILE:
            host, slash, path = rest.partition("/")
            if not slash or host not in ("", "localhost"):
                raise StorageError(f"{text}: expected file:///path, with three slashes")
            return cls(scheme, "", str(Path("/" + unquote(path))))
        bucket, _, key = rest.partition("/")
        return cls(scheme, _check_bucket(bucket, text), _check_key(key.strip("/"), text))

    @property
    def is_remote(self) -> bool:
        """Whether this is in an object store."""
        return self.scheme is not Scheme.FILE

    @property
    def local_path(self) -> Path:
        """The path on this machine.

        Raises:
            StorageError: this is in an object store.
        """
        if self.is_remote:
            raise StorageError(f"{self}: expected a local path, found a URI")
        return Path(self.path)

    @property
    def name(self) -> str:
        """The last part, "" for a bucket."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Location:
        """The folder that contains this one; a bucket is its own parent."""
        if not self.is_remote:
            return replace(self, path=str(Path(self.path).parent))
        return replace(self, path=self.path.rpartition("/")[0])

    def __truediv__(self, name: str) -> Location:
        """Return a folder or file below this one."""
        if not self.is_remote:
            return replace(self, path=str(Path(self.path) / name))
        key = _check_key(name.strip("/"), f"{self}/{name}")
        return replace(self, path=f"{self.path}/{key}" if self.path else key)

    def __str__(self) -> str:
        """Return the local path or the URI."""
        if not self.is_remote:
            return self.path
        return f"{self.scheme.value}://{self.bucket}" + (f"/{self.path}" if self.path else "")


def _refuse_collapsed(text: str) -> None:
    """Refuse s3:/bucket: a URI that went through `Path` lost a slash, and would be a folder on this machine."""
    name, colon, rest = text.partition(":/")
    if colon and not rest.startswith("/") and name.lower() in [scheme.value for scheme in Scheme]:
        raise StorageError(f"{text}: one slash found after the colon, two expected; write {name}://{rest}")


def _check_bucket(bucket: str, text: str) -> str:
    if not _BUCKET.fullmatch(bucket):
        raise StorageError(
            f"{text}: {bucket!r} is not a bucket's name; expected s3://bucket/folder or gs://bucket/folder"
        )
    return bucket


def _check_key(key: str, text: str) -> str:
    """Return a key that is also a relative path: no empty part, no "." and no ".."."""
    if key and {"", ".", ".."} & set(key.split("/")):
        raise StorageError(f"{text}: empty parts, '.' and '..' are not allowed; write the folder's plain name")
    return key
