from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reefline.errors import ArchiveError
from reefline.system.archive import unpack_tar

FOLDER = "model/checkpoint"
FILES = {f"{FOLDER}/ckpt-0.index": b"index", f"{FOLDER}/ckpt-0.data": bytes(range(256)) * 200, "model/ünïcode": b""}


def make_file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def make_member(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def with_pax_path(path: str) -> tuple[tarfile.TarInfo, bytes]:
    member, content = make_file("plain")
    member.pax_headers = {"path": path}
    return member, content


def build_tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as file:
        for member, content in members:
            file.addfile(member, io.BytesIO(content))
    return stream.getvalue()


GOOD = build_tar(make_member(FOLDER, tarfile.DIRTYPE), *(make_file(name, content) for name, content in FILES.items()))


def unpack(tmp_path: Path, content: bytes, *, max_bytes: int = 100_000, max_members: int = 10) -> Path:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(content)
    target = tmp_path / "cache" / "unpacked"
    unpack_tar(archive, target, max_bytes=max_bytes, max_members=max_members)
    return target


def assert_nothing_left(tmp_path: Path) -> None:
    assert {path.name for path in tmp_path.iterdir()} <= {"model.tar.gz", "cache"}
    assert not list((tmp_path / "cache").iterdir())


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "compress",
    [
        pytest.param(bytes, id="plain"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(bz2.compress, id="bzip2"),
        pytest.param(lzma.compress, id="xz"),
    ],
)
def test_files_and_folders_are_unpacked(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    target = unpack(tmp_path, compress(GOOD))
    assert read_files(target) == FILES
    assert [path.name for path in target.parent.iterdir()] == ["unpacked"]


@pytest.mark.parametrize(
    "format",
    [
        pytest.param(tarfile.USTAR_FORMAT, id="ustar"),
        pytest.param(tarfile.GNU_FORMAT, id="gnu"),
        pytest.param(tarfile.PAX_FORMAT, id="pax"),
    ],
)
def test_names_of_any_length_in_any_format(format: int, tmp_path: Path) -> None:
    name = f"{'d' * 90}/{'f' * 90}" if format == tarfile.USTAR_FORMAT else f"{'d' * 250}/{'e' * 250}/{'f' * 250}"
    files = (make_file(f"./{name}", b"content"), make_member("./", tarfile.DIRTYPE), make_file("./b", b"b"))
    assert read_files(unpack(tmp_path, build_tar(*files, format=format))) == {name: b"content", "b": b"b"}


def test_modes_and_owners_are_not_restored(tmp_path: Path) -> None:
    member, content = make_file("tool")
    member.mode, member.uid = 0o6777, 0
    (tmp_path / "as_usual").touch()
    assert (unpack(tmp_path, build_tar((member, content))) / "tool").stat().st_mode == (
        tmp_path / "as_usual"
    ).stat().st_mode


@pytest.mark.parametrize("mtime", ["nan", "inf", "-inf", "1e999", "soon"])
def test_a_time_that_is_none_does_no_harm(mtime: str, tmp_path: Path) -> None:
    member, content = make_file("a")
    member.pax_headers = {"mtime": mtime}
    assert read_files(unpack(tmp_path, build_tar((member, content)))) == {"a": content}


def test_a_folder_that_exists_is_complete(tmp_path: Path) -> None:
    (unpack(tmp_path, GOOD) / FOLDER / "ckpt-0.index").write_bytes(b"kept")
    assert (unpack(tmp_path, b"no archive") / FOLDER / "ckpt-0.index").read_bytes() == b"kept"


def test_another_process_may_finish_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def finish_first(partial: Path, target: Path) -> Path:
        (target / "theirs").mkdir(parents=True)
        return rename(partial, target)

    monkeypatch.setattr(Path, "rename", finish_first)
    target = unpack(tmp_path, GOOD)
    assert [path.name for path in target.iterdir()] == ["theirs"]
    assert [path.name for path in target.parent.iterdir()] == ["unpacked"]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        pytest.param(make_file("../evil"), r"'\.\./evil' is outside the folder", id="parent"),
        pytest.param(make_file("a/../../evil"), r"'a/\.\./\.\./evil' is outside the folder", id="parent-inside"),
        pytest.param(with_pax_path("../evil"), r"'\.\./evil' is outside the folder", id="parent-in-extended-header"),
        pytest.param(make_file("/tmp/evil"), r"'/tmp/evil' is outside the folder", id="absolute"),
        pytest.param(make_member("../evil", tarfile.DIRTYPE), r"'\.\./evil' is outside", id="folder-outside"),
        pytest.param(
            make_member("evil", tarfile.SYMTYPE, "/etc/passwd"), "'evil' is a link to '/etc/passwd'", id="link"
        ),
        pytest.param(make_member("evil", tarfile.SYMTYPE, "good"), "'evil' is a link to 'good'", id="link-inside"),
        pytest.param(make_member("evil", tarfile.LNKTYPE, "good"), "'evil' is a link to 'good'", id="hard-link"),
        pytest.param(make_member("evil", tarfile.CHRTYPE), "'evil' is a device", id="character-device"),
        pytest.param(make_member("evil", tarfile.BLKTYPE), "'evil' is a device", id="block-device"),
        pytest.param(make_member("evil", tarfile.FIFOTYPE), "'evil' is a named pipe", id="pipe"),
        pytest.param(make_member("evil", b"Z"), "'evil' is of unknown type b'Z'", id="unknown-type"),
    ],
)
def test_unsafe_members_are_refused(member: tuple[tarfile.TarInfo, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=rf"^model\.tar\.gz: {message}.*; use an archive of plain files"):
        unpack(tmp_path, gzip.compress(build_tar(make_file("good"), member)))
    assert_nothing_left(tmp_path)


def test_limits_are_inclusive(tmp_path: Path) -> None:
    files = build_tar(make_file("a", bytes(600)), make_file("b", bytes(400)))
    assert len(read_files(unpack(tmp_path, files, max_bytes=1000, max_members=2))) == 2


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        pytest.param({"max_bytes": 999}, "unpacks to more than 999 bytes", id="bytes"),
        pytest.param({"max_members": 1}, "contains more than 1 files and folders", id="members"),
    ],
)
def test_archives_beyond_a_limit_are_refused(limits: dict[str, int], message: str, tmp_path: Path) -> None:
    files = build_tar(make_file("a", bytes(600)), make_file("b", bytes(400)))
    with pytest.raises(ArchiveError, match=rf"^model\.tar\.gz {message}; check that it is the right file"):
        unpack(tmp_path, files, **limits)
    assert_nothing_left(tmp_path)


def declare_size(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a header that declares a size without the content."""
    member, _ = make_member("bomb", kind)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def sparse_bomb() -> bytes:
    """A GNU sparse file of one hole: 8 GB without any content."""
    header = bytearray(declare_size(0, tarfile.GNUTYPE_SPARSE))
    header[483:495] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(gzip.compress(declare_size(1 << 33)), "unpacks to more than 100.0 kB", id="declared"),
        pytest.param(gzip.compress(GOOD + bytes(50_000_000)), "unpacks to more than 100.0 kB", id="after-the-end"),
        pytest.param(sparse_bomb(), "unpacks to more than 100.0 kB", id="sparse"),
        pytest.param(
            declare_size(1 << 33, tarfile.XHDTYPE), "a header declares 8589934592 bytes", id="extended-header"
        ),
        pytest.param(declare_size(1 << 33, tarfile.GNUTYPE_LONGNAME), "a header declares", id="long-name"),
        pytest.param(declare_size(-512) * 3, "has a negative size", id="negative-size"),
        pytest.param(declare_size(-4096, tarfile.XHDTYPE) * 3, "a header declares -4096 bytes", id="negative-header"),
        pytest.param(declare_size(0, tarfile.XHDTYPE) * 20_000, "unpacks to more|recursion", id="nested-headers"),
    ],
)
def test_bombs_are_refused_at_once(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=message):
        unpack(tmp_path, content)
    assert_nothing_left(tmp_path)


def change_byte(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 0xFF
    return bytes(changed)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>Not Found</html>" * 100, id="page"),
        pytest.param(gzip.compress(b"no tar"), id="gzip-of-something-else"),
        pytest.param(gzip.compress(GOOD)[:-20], id="gzip-cut-at-the-end"),
        pytest.param(gzip.compress(GOOD)[:30], id="gzip-cut-at-the-start"),
        pytest.param(change_byte(gzip.compress(GOOD), -6), id="gzip-wrong-checksum"),
        pytest.param(gzip.compress(GOOD) + b"more", id="gzip-and-more"),
        pytest.param(bz2.compress(GOOD)[:-20], id="bzip2-cut"),
        pytest.param(change_byte(bz2.compress(GOOD), 12), id="bzip2-damaged"),
        pytest.param(lzma.compress(GOOD)[:-20], id="xz-cut"),
        pytest.param(change_byte(lzma.compress(GOOD), 30), id="xz-damaged"),
        pytest.param(GOOD[:3000], id="cut-in-a-file"),
        pytest.param(build_tar(make_file("a"))[:1024], id="cut-between-files"),
        pytest.param(change_byte(build_tar(make_file("a"), make_file("b")), 1024), id="second-header-damaged"),
        pytest.param(build_tar(make_file("a"), with_pax_path("b\0c")), id="null-in-a-name"),
    ],
)
def test_damaged_archives_are_named(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"^model\.tar\.gz is not a readable tar archive: .+; get it again$"):
        unpack(tmp_path, content)
    assert_nothing_left(tmp_path)


def test_a_full_disk_is_not_a_damaged_archive(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    content = gzip.compress(build_tar(make_file("a", bytes(90_000))))
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(
            ArchiveError, match=r"cannot unpack model\.tar\.gz \(File too large\); free space in .*cache"
        ):
            unpack(tmp_path, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_nothing_left(tmp_path)


def test_a_file_that_is_also_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"cannot unpack model\.tar\.gz into .*unpacked \(.*/a.*\); check names"):
        unpack(tmp_path, build_tar(make_file("a"), make_file("a/b")))
    assert_nothing_left(tmp_path)


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(
        ArchiveError, match=r"cannot unpack gone\.tar into .* \(No such file or directory: .*gone\.tar\)"
    ):
        unpack_tar(tmp_path / "gone.tar", tmp_path / "cache" / "unpacked", max_bytes=1, max_members=1)
    assert_nothing_left(tmp_path)
