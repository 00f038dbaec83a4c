from pathlib import Path

import pytest

from reefline.curation.output_folder import (
    MARKER_FILE,
    OutputMode,
    choose_output_mode,
    claim_output_folder,
    copy_file,
    explain_write_errors,
    write_file,
)
from reefline.errors import DataError, UsageError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def _claim(out: Path, source: Path, mode: OutputMode = OutputMode.NEW, command: str = "prepare") -> None:
    claim_output_folder(out, command, inputs=[source], mode=mode)


def test_a_new_folder_is_created_and_marked(tmp_path: Path, source: Path) -> None:
    _claim(tmp_path / "deep" / "out", source)
    assert [path.name for path in (tmp_path / "deep" / "out").iterdir()] == [MARKER_FILE]


def test_a_used_folder_needs_an_option(tmp_path: Path, source: Path) -> None:
    _claim(tmp_path / "out", source)
    with pytest.raises(UsageError, match=r"exists and is not empty; pass --resume to continue, --overwrite"):
        _claim(tmp_path / "out", source)


def test_resume_keeps_what_is_there_and_overwrite_empties_it(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    _claim(out, source)
    write_file(out / "images" / "a.jpg", b"a")
    _claim(out, source, OutputMode.RESUME)
    assert (out / "images" / "a.jpg").read_bytes() == b"a"
    _claim(out, source, OutputMode.OVERWRITE)
    assert [path.name for path in out.iterdir()] == [MARKER_FILE]


@pytest.mark.parametrize("mode", [OutputMode.RESUME, OutputMode.OVERWRITE], ids=["resume", "overwrite"])
@pytest.mark.parametrize("command", [None, "autolabel"], ids=["someone's own", "another command's"])
def test_files_of_others_are_never_touched(tmp_path: Path, source: Path, mode: OutputMode, command: str | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if command is not None:
        _claim(out, source, command=command)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match=f"`reefline prepare` did not write, so {mode.value} is refused"):
        _claim(out, source, mode)
    assert (out / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("out", "problem"),
    [("in", "is the input folder"), ("in/out", "lies inside the input"), (".", "contains the input")],
    ids=["the same", "inside", "around"],
)
def test_output_and_input_are_apart(tmp_path: Path, source: Path, out: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        _claim(tmp_path / out, source)


def test_a_file_is_no_output_folder(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="a file; name a new folder"):
        _claim(tmp_path / "out", source)


def test_a_failed_write_says_where_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"a\.jpg: cannot write it \(No such file or directory\): fix it"),
        explain_write_errors(tmp_path),
    ):
        copy_file(tmp_path / "a.jpg", tmp_path / "out" / "b.jpg")
    assert list((tmp_path / "out").iterdir()) == []


def test_options_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        choose_output_mode(resume=True, overwrite=True)
    assert choose_output_mode(resume=False, overwrite=True) is OutputMode.OVERWRITE
