"""Mutated tar archives: unpacked inside the folder and within the limits, or an ArchiveError."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given

from reefline.errors import ArchiveError
from reefline.system.archive import unpack_tar
from tests.fuzz.harness import fuzzed, mutated, within_limits

MAX_BYTES, MAX_MEMBERS = 100_000, 20


def _build(archive_format: int, **headers: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=archive_format) as file:
        for name, kind in (
            ("m", tarfile.DIRTYPE),
            ("m/ckpt-0.index", tarfile.REGTYPE),
            ("m/" + "long" * 40, tarfile.REGTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.pax_headers = kind, headers
            member.size = 600 if kind == tarfile.REGTYPE else 0
            file.addfile(member, io.BytesIO(bytes(range(200)) * 3))
    return stream.getvalue()


PLAIN = [_build(form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)]
PLAIN.append(_build(tarfile.PAX_FORMAT, mtime="1.5", comment="x" * 100))
PACKED = [pack(PLAIN[0]) for pack in (gzip.compress, bz2.compress, lzma.compress)]
TOKENS = (
    b"../",
    b"/",
    b"\0" * 512,
    b"ustar\00000",
    b"ustar  \0",
    b"17 mtime=nan\n",
    b"20 path=../../evil\n",
    b"19 linkpath=/etc\n",
)
TOKENS += (
    b"22 GNU.sparse.map=0,9\n",
    b"26 GNU.sparse.realsize=x\n",
    b"x",
    b"g",
    b"L",
    b"K",
    b"S",
    b"2",
    b"5",
    b"\x80\xff\xff\xff",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


@fuzzed
@given(content=mutated((*PLAIN, *PACKED), TOKENS))
def test_archives(folder: Path, content: bytes) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path)
    (folder / "in").mkdir()
    (folder / "in" / "a.tar").write_bytes(content)
    target = folder / "out" / "unpacked"
    with within_limits(), contextlib.suppress(ArchiveError):
        unpack_tar(folder / "in" / "a.tar", target, max_bytes=MAX_BYTES, max_members=MAX_MEMBERS)
    assert {path.name for path in folder.iterdir()} <= {"in", "out"}
    assert {path.name for path in target.parent.iterdir()} <= {"unpacked"}
    found = list(target.rglob("*"))
    assert not any(path.is_symlink() for path in found)
    assert len(found) <= 3 * MAX_MEMBERS * 8
    assert sum(path.stat().st_size for path in found if path.is_file()) <= MAX_BYTES


@fuzzed
@given(content=mutated(PLAIN, TOKENS))
def test_members(folder: Path, content: bytes) -> None:
    """Compressed after the change, so that every checksum of the compression is right."""
    test_archives.hypothesis.inner_test(folder, gzip.compress(content, 1))
