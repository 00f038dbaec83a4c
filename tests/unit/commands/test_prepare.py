"""`reefline prepare` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from tests.factories_curation import make_label_folders


def test_a_folder_per_label_is_prepared(tmp_path: Path) -> None:
    make_label_folders(tmp_path / "in")
    (tmp_path / "in" / "cat" / "broken.jpg").write_bytes(b"junk")
    arguments = ["prepare", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--eval-fraction", "0.25"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "left out: cat/broken.jpg: not a readable JPEG" in result.output
    assert "dog: 4 images\n" in result.output
    assert f"8 of 9 images are in {tmp_path / 'out'}: 6 in train, 2 in val" in result.output
    result = CliRunner().invoke(app, [*arguments, "--resume"])
    assert "(8 unchanged)" in result.output


def test_json_is_the_report(tmp_path: Path) -> None:
    make_label_folders(tmp_path / "in")
    result = CliRunner().invoke(app, ["prepare", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "out" / "prepare.json").read_text())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--eval-fraction", "1"], "expected more than 0 and less than 1", id="fraction"),
        pytest.param(["--shards", "2"], "--shards is for TFRecords", id="shards"),
        pytest.param(["--resume", "--overwrite"], "exclude each other", id="modes"),
        pytest.param(["--min-dimension", "0"], "Invalid value for '--min-dimension'", id="dimension"),
        pytest.param(["--out", "in/out"], "lies inside the input", id="inside"),
        pytest.param(["--out", "used"], "exists and is not empty; pass --resume to continue", id="used"),
        pytest.param(["--out", "used", "--overwrite"], "did not write, so --overwrite is refused", id="foreign"),
    ],
)
def test_errors_say_what_to_do(
    tmp_path: Path, options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_label_folders(tmp_path / "in", images=1)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    result = CliRunner().invoke(app, ["prepare", "in", "--out", "out", *options])
    assert result.exit_code == 2
    assert message in result.output
    assert (tmp_path / "used" / "mine.txt").read_text() == "mine"
