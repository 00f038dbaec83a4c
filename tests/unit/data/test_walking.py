"""Entries of a data folder that must not be read, and folders that cannot be."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reefline.data.fingerprint import fingerprint_data
from reefline.data.layouts import DataFiles, list_data_files
from reefline.data.rules.severity import resolve_severities
from reefline.errors import DataError
from reefline.findings import Severity
from reefline.settings import IngestionSettings
from tests.factories import add_image, make_jpeg


def _facts(files: DataFiles) -> list[tuple[str, str, str]]:
    return [(finding.file, finding.rule, finding.action.value) for finding in files.findings]


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Return a set of folder names that cannot be listed: permissions would not stop a root user."""
    names: set[str] = set()
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name in names:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    yield names


def test_a_folder_that_cannot_be_listed_stops_the_run(tmp_path: Path, locked: set[str]) -> None:
    add_image(tmp_path, "a")
    add_image(tmp_path / "more", "b")
    locked.add("more")
    (finding,) = list_data_files(tmp_path).findings
    assert (finding.file, finding.rule) == ("more", "folder_unreadable")
    assert "cannot list the folder (Permission denied)" in finding.message
    assert resolve_severities({})["folder_unreadable"] is Severity.ERROR


def test_where_everything_is_locked_the_reason_is_named(tmp_path: Path, locked: set[str]) -> None:
    add_image(tmp_path / "more", "b")
    locked.add("more")
    with pytest.raises(DataError, match=r"neither images nor VOC annotations[\s\S]*more: cannot list the folder"):
        list_data_files(tmp_path)
    locked.add(tmp_path.name)
    with pytest.raises(DataError, match=r"cannot list the folder \(Permission denied\): fix its permissions"):
        list_data_files(tmp_path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    add_image(tmp_path, "a")
    for name in ("pipe.jpg", "pipe.xml", "pipe.md"):
        os.mkfifo(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "s.png"))
        (tmp_path / "null.png").symlink_to("/dev/null")
        files = list_data_files(tmp_path)
    assert files.all == ("a.jpg", "a.xml")
    assert _facts(files) == [
        ("null.png", "file_unusable", "dropped_image"),
        ("pipe.jpg", "file_unusable", "dropped_image"),
        ("pipe.xml", "file_unusable", "kept"),
        ("s.png", "file_unusable", "dropped_image"),
    ]
    assert "not a regular file" in files.findings[0].message


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param("gone.jpg", "a link to a missing file", id="dangling"),
        pytest.param("b.jpg", "cannot open it", id="to-itself"),
    ],
)
def test_a_link_without_a_file_is_a_finding(tmp_path: Path, target: str, message: str) -> None:
    add_image(tmp_path, "a")
    (tmp_path / "b.jpg").symlink_to(target)
    files = list_data_files(tmp_path)
    assert _facts(files) == [("b.jpg", "file_unusable", "dropped_image")]
    assert message in files.findings[0].message


def test_names_that_are_not_utf8_are_findings(tmp_path: Path) -> None:
    add_image(tmp_path, "größe")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(make_jpeg())
    add_image(tmp_path / os.fsdecode(b"stra\xdfe"), "b")
    files = list_data_files(tmp_path)
    assert files.all == ("größe.jpg", "größe.xml")
    assert _facts(files) == [
        ("stra\\xdfe", "folder_unreadable", "kept"),
        ("caf\\xe9.jpg", "file_unusable", "dropped_image"),
    ]


def test_a_data_folder_below_a_name_that_is_not_utf8_is_fingerprinted(tmp_path: Path) -> None:
    data = tmp_path / os.fsdecode(b"stra\xdfe")
    add_image(data)
    settings = IngestionSettings()
    first = fingerprint_data(data, settings, tmp_path / "hashes.db")
    assert fingerprint_data(data, settings, tmp_path / "hashes.db") == first
    (data / "b.jpg").symlink_to("gone")
    assert fingerprint_data(data, settings, tmp_path / "hashes.db") != first
