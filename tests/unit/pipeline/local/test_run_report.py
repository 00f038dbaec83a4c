"""pipeline/local/run_report.py: a page that fails never changes how a run ends."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pipeline.local import run_report
from pipeline.local.run_report import write_page
from pipeline.local.workspace import Workspace
from reefline.report.summary import RunRecords


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "reports" / "1"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        pytest.param(ZeroDivisionError("odd"), "ZeroDivisionError: odd", id="bug"),
        pytest.param(OSError(errno.ENOSPC, "No space left on device"), "No space left on device", id="full-disk"),
        pytest.param(KeyboardInterrupt(), "KeyboardInterrupt", id="ctrl-c"),
    ],
)
def test_a_page_that_fails_is_a_message(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, shown: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(run_report, "write_run_page", fail)
    (message,) = write_page(RunRecords("1", "m"), "", Workspace(tmp_path), run_folder)
    assert message.startswith(f"{run_folder / 'index.html'}: cannot write the page (") and shown in message
    assert "No runs yet." not in (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert ("Traceback" in (run_folder / "run.log").read_text()) == isinstance(error, Exception)


def test_an_index_that_fails_leaves_the_page(tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reports" / "index.html").mkdir()
    (message,) = write_page(RunRecords("1", "m"), "", Workspace(tmp_path), run_folder)
    assert message.startswith(f"{tmp_path / 'reports' / 'index.html'}: cannot write the page (IsADirectoryError")
    assert (run_folder / "index.html").is_file()


def test_problems_of_sections_are_messages(tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_report, "write_run_page", lambda *_arguments: ("section Data is missing",))
    assert write_page(RunRecords("1", "m"), "", Workspace(tmp_path), run_folder) == ("section Data is missing",)
