"""`reefline report` through the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reefline.cli import app
from reefline.report import run_page
from tests.factories_summary import make_blessed, make_refused, make_unstarted, write_run

REPO_DIR = Path(__file__).resolve().parents[3]
FIRST, SECOND = "20260101T120000", "20260102T120000"


def _report(workspace: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", "--workspace", str(workspace), *arguments])


def test_the_newest_run_is_printed(tmp_path: Path) -> None:
    write_run(tmp_path / "reports", make_blessed(FIRST))
    folder = write_run(tmp_path / "reports", make_refused(SECOND))
    result = _report(tmp_path, "--text")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-4:] == [
        "verdict: NOT_BLESSED",
        "failed: min_map: mAP 0.5000 is below 0.9000",
        "bundle: none (nothing was pushed)",
        f"report: {folder / 'index.html'}",
    ]
    assert "\x1b" not in result.stdout
    assert "verdict: BLESSED" in _report(tmp_path, "--text", FIRST).stdout.splitlines()


def test_control_characters_of_data_are_escaped(tmp_path: Path) -> None:
    write_run(tmp_path / "reports", make_blessed(FIRST, model="\x1b[2Jpets"))
    result = _report(tmp_path, "--text")
    assert result.exit_code == 0 and "\x1b" not in result.stdout


def test_everything_is_rebuilt(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for run_id in (FIRST, SECOND):
        write_run(reports, make_unstarted(run_id), config="", page=False)
    result = _report(tmp_path)
    assert result.exit_code == 0, result.output
    pages = [f"{run_id}: {reports / run_id / 'index.html'}" for run_id in (FIRST, SECOND)]
    assert result.stdout.splitlines() == [*pages, f"index: {reports / 'index.html'}"]
    for run_id in (FIRST, SECOND):
        assert "no such config file" in (reports / run_id / "index.html").read_text(encoding="utf-8")
        assert run_id in (reports / "index.html").read_text(encoding="utf-8")


def test_one_run_is_rebuilt(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for run_id in (FIRST, SECOND):
        write_run(reports, make_unstarted(run_id), config="", page=False)
    assert _report(tmp_path, SECOND).exit_code == 0
    assert [(reports / run_id / "index.html").exists() for run_id in (FIRST, SECOND)] == [False, True]


def test_what_cannot_be_rebuilt_is_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "reports", make_blessed(FIRST))
    (folder / "summary.json").write_text("{")
    result = _report(tmp_path)
    assert result.exit_code == 2
    assert f"{FIRST}: {folder / 'summary.json'}: damaged" in result.stdout
    assert result.stdout.splitlines()[-1] == f"log: {tmp_path / 'reports' / '.rebuild.log'}"
    assert (tmp_path / "reports" / "index.html").is_file()


def test_a_page_that_stays_is_no_error(tmp_path: Path) -> None:
    write_run(tmp_path / "reports", make_blessed(FIRST))
    result = _report(tmp_path)
    assert result.exit_code == 0
    assert f"{FIRST}: ML Metadata does not know this run any more" in result.stdout
    assert "index.html" not in result.stdout.splitlines()[0]
    assert (tmp_path / "reports" / "index.html").is_file()


def test_the_traceback_of_a_section_that_failed_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError("no provenance today")

    monkeypatch.setattr(run_page, "make_provenance_section", fail)
    log = tmp_path / "reports" / ".rebuild.log"
    folder = write_run(tmp_path / "reports", make_unstarted(FIRST), config="", page=False)
    log.write_text("of an earlier rebuild\n", encoding="utf-8")
    result = _report(tmp_path)
    assert result.exit_code == 2 and result.stdout.splitlines()[-1] == f"log: {log}"
    kept = log.read_text(encoding="utf-8")
    assert "Traceback" in kept and "ValueError: no provenance today" in kept and "earlier rebuild" not in kept
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "The traceback is in the log of the command that made this page." in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--text", "20260103T120000"], f"no such run in .*; the newest are {FIRST}", id="unknown-run"),
        pytest.param(["../reports"], "no such run", id="path"),
        pytest.param(["--serve", "--text"], "--serve shows all runs", id="serve-and-text"),
        pytest.param(["--serve", FIRST], "--serve shows all runs", id="serve-and-run"),
        pytest.param(["--serve", "--port", "70000"], "less than or equal to 65535", id="port"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_run(tmp_path / "reports", make_blessed(FIRST))
    result = _report(tmp_path, *arguments)
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.output.split()))


@pytest.mark.parametrize("option", ["--text", "--serve"])
def test_no_workspace_here(tmp_path: Path, option: str) -> None:
    result = _report(tmp_path / "nowhere", option)
    assert result.exit_code == 2 and "nowhere: no runs here; pass --workspace DIR" in result.output
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_workspace(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    assert "no runs here; pass --workspace DIR" in _report(tmp_path, "--text").output


@pytest.mark.parametrize(
    ("sent", "exit_code"),
    [pytest.param(signal.SIGINT, 0, id="ctrl-c"), pytest.param(signal.SIGTERM, 143, id="sigterm")],
)
def test_a_server_ends_cleanly(tmp_path: Path, sent: signal.Signals, exit_code: int) -> None:
    write_run(tmp_path / "reports", make_blessed(FIRST))
    command = [sys.executable, "-m", "reefline", "report", "--serve", "--port", "0", "--workspace", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=REPO_DIR, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as server:
        assert server.stdout and server.stderr
        url = server.stdout.readline().split(" on ")[1].split()[0]
        with urllib.request.urlopen(url) as answer:
            assert FIRST.encode() in answer.read()
        time.sleep(0.1)
        server.send_signal(sent)
        out, err = server.communicate(timeout=60)
    assert server.returncode == exit_code
    assert err == ""
    assert out == ("Stopped.\n" if exit_code == 0 else "")
