"""reefline/system/terminal.py: noise goes to the log, standard output stays."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from reefline.system.terminal import escape_control, send_noise_to


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
