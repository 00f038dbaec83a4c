"""Unpacking tar archives from elsewhere: nothing outside the folder, no links, no devices, no more than a cap.

tarfile's own filters allow links inside the folder and limit neither what is unpacked nor the size of a header. So only
names and contents are used here: owners, modes and times are not restored.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import IO, cast

from reefline.errors import ArchiveError
from reefline.system.files import is_out_of_space
from reefline.system.terminal import format_bytes

# tarfile reads headers with names and attributes in one piece; a path has at most 4,096 bytes.
_BLOCK_BYTES = 16 * 1024
# Header, extended header and padding of a member; end marker and padding of an archive.
_BYTES_AROUND_MEMBER, _BYTES_AROUND_ARCHIVE = 4096, 1 << 20
_MAGIC_BYTES = 6
# What tarfile and the decompressors raise on damaged bytes; none of them means more.
_DAMAGE_ERRORS = (
    *(tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile),
    *(ValueError, LookupError, OverflowError, RecursionError),
)


def unpack_tar(archive: Path, target_dir: Path, *, max_bytes: int, max_members: int) -> None:
    """Unpack a tar archive, plain or compressed (gzip, bzip2, xz), into a new folder.

    The folder appears complete or not at all; if it exists, nothing happens. `max_bytes` limits the sum of the files'
    sizes, `max_members` the number of files and folders.

    Raises:
        ArchiveError: the archive is damaged or truncated, exceeds a limit, contains anything but files and folders or a
            path outside the target, or cannot be read or written.
    """
    if target_dir.is_dir():
        return
    try:
        target_dir.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target_dir.parent))
        try:
            _unpack(archive, partial, max_bytes, max_members)
            _publish(partial, target_dir)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except _DAMAGE_ERRORS as error:
        raise ArchiveError(f"{archive.name} is not a readable tar archive: {error}; get it again") from error
    except OSError as error:
        raise ArchiveError(_explain(archive, target_dir, error)) from error


def _publish(partial: Path, target_dir: Path) -> None:
    try:
        partial.rename(target_dir)
    except OSError:
        # Another process may have just finished the same.
        if not target_dir.is_dir():
            raise


def _explain(archive: Path, target_dir: Path, error: OSError) -> str:
    if error.errno is None:  # bz2 has no error of its own.
        return f"{archive.name} is not a readable tar archive: {error}; get it again"
    if is_out_of_space(error):
        return f"cannot unpack {archive.name} ({error.strerror}); free space in {target_dir.parent}"
    place = f": {error.filename}" if error.filename else ""
    return f"cannot unpack {archive.name} into {target_dir} ({error.strerror}{place}); check names and permissions"


def _unpack(archive: Path, folder: Path, max_bytes: int, max_members: int) -> None:
    limit = max_bytes + max_members * _BYTES_AROUND_MEMBER + _BYTES_AROUND_ARCHIVE
    too_large = ArchiveError(
        f"{archive.name} unpacks to more than {format_bytes(max_bytes)}; check that it is the right file"
    )
    with _open_decompressed(archive) as content:
        stream = _ForwardStream(content, limit, too_large)
        # A plain tar for tarfile, which would otherwise read and seek as it likes.
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as file:
            bytes_left = max_bytes
            for count, member in enumerate(_iterate(file), start=1):
                if count > max_members:
                    raise ArchiveError(
                        f"{archive.name} contains more than {max_members} files and folders; "
                        "check that it is the right file"
                    )
                bytes_left -= member.size
                if bytes_left < 0:
                    raise too_large
                _write_member(file, member, _find_place(archive, member, folder))
        stream.finish()


def _open_decompressed(archive: Path) -> IO[bytes] | BufferedIOBase:
    with archive.open("rb") as file:
        magic = file.read(_MAGIC_BYTES)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(archive)
    if magic.startswith(b"BZh"):
        return bz2.open(archive)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(archive)
    return archive.open("rb")


def _iterate(file: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := file.next()) is not None:
        if member.size < 0:
            raise tarfile.ReadError(f"{member.name!r} has a negative size")
        yield member


def _find_place(archive: Path, member: tarfile.TarInfo, folder: Path) -> Path:
    """Return where a file or folder belongs; refuse anything else."""
    found = _describe_refused(member)
    if found is not None:
        raise ArchiveError(f"{archive.name}: {member.name!r} {found}; use an archive of plain files and folders")
    return folder / member.name


def _describe_refused(member: tarfile.TarInfo) -> str | None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "is outside the folder to unpack to"
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname!r}"
    if member.ischr() or member.isblk():
        return "is a device"
    if member.isfifo():
        return "is a named pipe"
    if not (member.isfile() or member.isdir()):
        return f"is of unknown type {member.type!r}"
    return None


def _write_member(file: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    content = file.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    with content, place.open("wb") as target:
        shutil.copyfileobj(content, target, _BLOCK_BYTES)


class _ForwardStream:
    """What tarfile reads from: forwards only, in small pieces, up to a limit.

    A header may declare any size, also a negative one, on which tarfile fills the memory or, before the fix of
    CVE-2025-8194, never ends.
    """

    def __init__(self, content: IO[bytes] | BufferedIOBase, limit_bytes: int, too_large: ArchiveError) -> None:
        self._content, self._limit_bytes, self._too_large = content, limit_bytes, too_large
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _BLOCK_BYTES:
            raise tarfile.ReadError(f"a header declares {size} bytes")
        self._last = self._content.read(size)
        self._position += len(self._last)
        if self._position > self._limit_bytes:
            raise self._too_large
        return self._last

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("a member begins before the end of the one before it")
        while self._position < position and self.read(min(_BLOCK_BYTES, position - self._position)):
            pass

    def finish(self) -> None:
        """Read to the end, where checksums are; tarfile takes any bad header for the end of the archive.

        Raises:
            tarfile.ReadError: what tarfile read last was no end marker.
        """
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("a header is damaged or missing")
        while self.read(_BLOCK_BYTES):
            pass
