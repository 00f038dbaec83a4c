"""reefline/system/terminal.py: lines, JSON, progress, and noise that goes to the log."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from pathlib import Path

import pytest

from reefline.system.terminal import (
    Colour,
    ProgressBar,
    escape_control,
    format_bytes,
    format_duration,
    say,
    say_error,
    say_json,
    send_noise_to,
)

CLEAR_SCREEN = "\x1b[2J"


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_standard_error_and_logging_go_to_the_file(tmp_path: Path, capfd) -> None:
    log_file = tmp_path / "run.log"
    with send_noise_to(log_file):
        os.write(2, b"from C++\n")
        logging.getLogger("anything").info("from Python")
        print("a line for the terminal")
    os.write(2, b"afterwards\n")
    out, err = capfd.readouterr()
    assert out == "a line for the terminal\n"
    assert err == "afterwards\n"
    assert "from C++" in log_file.read_text()
    assert "anything: from Python" in log_file.read_text()


def test_everything_is_as_before_after_an_error(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with pytest.raises(ValueError, match="inside"), send_noise_to(tmp_path / "run.log"):
        raise ValueError("inside")
    assert (root.level, list(root.handlers)) == before


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("rote Blutzelle, Ёж", "rote Blutzelle, Ёж", id="unicode-stays"),
        pytest.param("a\x1b[2Jb", "a\\x1b[2Jb", id="escape-sequence"),
        pytest.param("a\nverdict: BLESSED", "a\\nverdict: BLESSED", id="new-line"),
    ],
)
def test_text_from_data_cannot_move_the_cursor(text: str, shown: str) -> None:
    assert escape_control(text) == shown


def test_lines_and_errors_are_escaped(capsys) -> None:
    say(f"cells{CLEAR_SCREEN}: 3 images")
    say_error(f"{CLEAR_SCREEN}: no such folder\nverdict: BLESSED")
    out, err = capsys.readouterr()
    assert out == "cells\\x1b[2J: 3 images\n"
    assert err == "error: \\x1b[2J: no such folder\\nverdict: BLESSED\n"


@pytest.mark.parametrize("indent", [pytest.param(2, id="indented"), pytest.param(None, id="one-line")])
def test_json_is_escaped_and_means_the_same(capsys, indent: int | None) -> None:
    # U+009B is the one-character form of ESC [, and a file name that is not UTF-8 has lone surrogates.
    record = {"label": "Ёж \x1b[2J\x9b2J \x7f\u2028 \udcff", "sizes": [1, None]}
    say_json(record, indent=indent)
    out = capsys.readouterr().out
    assert json.loads(out) == record
    assert "Ёж" in out
    assert all(c.isprintable() or c == "\n" for c in out)
    assert len(out.splitlines()) == (1 if indent is None else 7)


@pytest.mark.parametrize(
    "stream", [pytest.param(io.StringIO(), id="plain"), pytest.param(FakeTerminal(), id="terminal")]
)
def test_progress_is_escaped(stream: io.StringIO) -> None:
    with ProgressBar(stream, plain_line_every_s=0.0) as progress:
        progress.show(1, 2, "file \x1b[31mred")
        progress.note("note \x1b[31mred")
    assert "file \\x1b[31mred" in stream.getvalue()
    assert "note \\x1b[31mred" in stream.getvalue()
    assert "\x1b[31mred" not in stream.getvalue()


def test_plain_progress_lines_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    stream = io.StringIO()
    with ProgressBar(stream, plain_line_every_s=5.0) as progress:
        for step in range(1, 11):
            progress.show(step, 10, f"step {step}", now=step == 10)
            now_s[0] += 2.0
    assert stream.getvalue().split() == ["step", "1", "step", "4", "step", "7", "step", "10"]


def test_quiet_progress_prints_nothing() -> None:
    stream = FakeTerminal()
    with ProgressBar(stream, plain_line_every_s=0.0, quiet=True) as progress:
        progress.show(1, 2, "half")
        progress.note("a note")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        pytest.param(0, "0 bytes", id="none"),
        pytest.param(999, "999 bytes", id="bytes"),
        pytest.param(1_000, "1.0 kB", id="kilo"),
        pytest.param(12_345_678, "12.3 MB", id="mega"),
        pytest.param(5_600_000_000, "5.6 GB", id="giga"),
    ],
)
def test_bytes_have_a_suitable_unit(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_durations_are_hours_minutes_and_seconds() -> None:
    assert format_duration(3723.4) == "1:02:03"


@pytest.mark.parametrize(
    ("line", "environment", "shown"),
    [
        pytest.param("verdict: BLESSED", {}, "verdict: \x1b[32mBLESSED\x1b[0m\n", id="terminal"),
        pytest.param("BLESSED", {}, "\x1b[32mBLESSED\x1b[0m\n", id="the-word-alone"),
        pytest.param("BLESSED: no verdict", {}, "BLESSED: no verdict\n", id="another-last-word"),
        pytest.param("NOT BLESSEDLY", {}, "NOT BLESSEDLY\n", id="part-of-a-word"),
        pytest.param("\x1b[2J BLESSED", {}, "\\x1b[2J \x1b[32mBLESSED\x1b[0m\n", id="control-characters"),
        pytest.param("verdict: BLESSED", {"NO_COLOR": "1"}, "verdict: BLESSED\n", id="no-color"),
        pytest.param("verdict: BLESSED", {"NO_COLOR": ""}, "verdict: \x1b[32mBLESSED\x1b[0m\n", id="empty-no-color"),
        pytest.param("verdict: BLESSED", {"TERM": "dumb"}, "verdict: BLESSED\n", id="dumb-terminal"),
    ],
)
def test_a_terminal_colours_the_last_word(
    monkeypatch: pytest.MonkeyPatch, line: str, environment: dict[str, str], shown: str
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", FakeTerminal())
    say(line, {"BLESSED": Colour.GREEN})
    assert sys.stdout.getvalue() == shown


def test_a_pipe_shows_no_colour(capsys) -> None:
    say("verdict: BLESSED", {"BLESSED": Colour.GREEN})
    assert capsys.readouterr().out == "verdict: BLESSED\n"


def test_bytes_of_a_name_that_are_not_utf_8_are_shown_as_bytes() -> None:
    assert escape_control(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert escape_control("\ud800") == "\\ud800"
