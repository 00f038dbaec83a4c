from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from reefline.curation.output_folder import (
    OutputMode,
    choose_output_mode,
    claim_output_folder,
    complete_output_folder,
    copy_file,
    explain_write_errors,
    hold_output_folder,
    write_file,
)
from reefline.errors import DataError, UsageError
from reefline.structures.output_marker import MARKER_FILE
from reefline.system.lock_file import FOLDER_LOCK_FILE


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
    write_file(tmp_path / "out" / "a.jpg", b"a")
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


def test_a_failed_write_says_where_and_leaves_nothing(tmp_path: Path, source: Path) -> None:
    (source / "a.jpg").write_bytes(b"a")
    (tmp_path / "out" / "b.jpg").mkdir(parents=True)
    with (
        pytest.raises(DataError, match=r"\.part: cannot write it \(Is a directory\): fix it"),
        explain_write_errors(tmp_path),
    ):
        copy_file(source / "a.jpg", tmp_path / "out" / "b.jpg")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.jpg"]


def test_a_full_disk_names_the_output(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a" * 5000)
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = pytest.raises(DataError, match=rf"^{out}: cannot write it \(File too large\): free space, then run")
    try:
        # A file that may not grow further counts as no space left.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with full, explain_write_errors(out):
            copy_file(tmp_path / "a.jpg", out / "b.jpg")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any(out.iterdir())


def test_a_failed_read_is_no_failed_write(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"a\.jpg: cannot read it \(No such file or directory\): fix or remove it"),
        explain_write_errors(tmp_path),
    ):
        copy_file(tmp_path / "a.jpg", tmp_path / "out" / "b.jpg")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", list(OutputMode), ids=[mode.name for mode in OutputMode])
def test_a_folder_with_only_a_marker_counts_as_new(tmp_path: Path, source: Path, mode: OutputMode) -> None:
    _claim(tmp_path / "out", source)
    _claim(tmp_path / "out", source, mode)


def test_overwrite_keeps_files_that_the_command_did_not_write(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    _claim(out, source)
    for name in ("a.jpg", "Annotations/a.xml", "Annotations/b.xml", ".DS_Store"):
        write_file(out / name, b"")
    written = {Path("a.jpg"), Path("Annotations/a.xml")}
    with pytest.raises(DataError, match=r"Annotations/b\.xml was added or changed since .*, so --overwrite is refused"):
        claim_output_folder(out, "prepare", inputs=[], mode=OutputMode.OVERWRITE, is_own=written.__contains__)
    assert (out / "a.jpg").exists()
    claim_output_folder(out, "prepare", inputs=[], mode=OutputMode.RESUME, is_own=written.__contains__)
    (out / "Annotations" / "b.xml").unlink()
    claim_output_folder(out, "prepare", inputs=[], mode=OutputMode.OVERWRITE, is_own=written.__contains__)
    assert not (out / "a.jpg").exists()


@pytest.mark.parametrize("mode", [OutputMode.RESUME, OutputMode.OVERWRITE], ids=["resume", "overwrite"])
def test_annotations_changed_after_the_end_are_someones_work(tmp_path: Path, source: Path, mode: OutputMode) -> None:
    out = tmp_path / "out"
    _claim(out, source)
    for name in ("a.xml", "b.xml", "a.jpg"):
        write_file(out / name, b"")
    # A call that was stopped: nothing tells its files apart.
    _claim(out, source, OutputMode.RESUME)
    complete_output_folder(out, "prepare")
    later_ns = (out / MARKER_FILE).stat().st_mtime_ns + 1_000_000
    for name in ("a.xml", "b.xml", "a.jpg"):
        os.utime(out / name, ns=(later_ns, later_ns))
    with pytest.raises(
        DataError, match=rf"2 files \(a\.xml, …\) were added or changed since .*{mode.value} is refused"
    ):
        _claim(out, source, mode)
    complete_output_folder(out, "prepare")
    os.utime(out / MARKER_FILE, ns=(later_ns, later_ns))
    _claim(out, source, mode)


def test_one_run_at_a_time_writes_to_a_folder(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "deep" / "out"
    with hold_output_folder(out, inputs=[source]):
        _claim(out, source)
        write_file(out / "a.jpg", b"a")
        refused = pytest.raises(UsageError, match="out: another reefline command is writing to it; wait until it ends")
        with refused, hold_output_folder(out, inputs=[source]):
            pass
        _claim(out, source, OutputMode.OVERWRITE)
        assert sorted(path.name for path in out.iterdir()) == [MARKER_FILE, FOLDER_LOCK_FILE]
    with hold_output_folder(out, inputs=[source]):
        pass
    assert [path.name for path in out.iterdir()] == [MARKER_FILE]


def test_a_folder_in_which_nothing_was_written_disappears(tmp_path: Path, source: Path) -> None:
    stops = pytest.raises(DataError, match="no image")
    with stops, hold_output_folder(tmp_path / "out", inputs=[source]):
        raise DataError("no image")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("written", "left"),
    [
        pytest.param(None, set(), id="nothing"),
        pytest.param("a/other.jpg", {"a", "a/other.jpg"}, id="someone's file"),
        pytest.param("a/b/out/a.jpg", {"a", "a/b", "a/b/out", "a/b/out/a.jpg"}, id="output"),
    ],
)
def test_created_parents_disappear_if_empty(tmp_path: Path, source: Path, written: str | None, left: set[str]) -> None:
    root = tmp_path / "exists"
    root.mkdir()
    stops = pytest.raises(DataError, match="no image")
    with stops, hold_output_folder(root / "a" / "b" / "out", inputs=[source]):
        if written is not None:
            write_file(root / written, b"")
        raise DataError("no image")
    assert {path.relative_to(root).as_posix() for path in root.rglob("*")} == left


def test_parents_disappear_if_the_folder_cannot_be_created(tmp_path: Path, source: Path) -> None:
    refused = pytest.raises(DataError, match="cannot write it")
    with refused, hold_output_folder(tmp_path / "a" / ("n" * 300), inputs=[source]):
        pass
    assert not (tmp_path / "a").exists()


def test_the_lock_of_a_killed_run_is_no_content(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / FOLDER_LOCK_FILE).write_text("")
    with hold_output_folder(tmp_path / "out", inputs=[source]):
        _claim(tmp_path / "out", source)


def test_nothing_is_created_inside_the_input(tmp_path: Path, source: Path) -> None:
    inside = pytest.raises(UsageError, match="lies inside the input")
    with inside, hold_output_folder(source / "deep" / "out", inputs=[source]):
        pass
    assert not (source / "deep").exists()


def test_options_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        choose_output_mode(resume=True, overwrite=True)
    assert choose_output_mode(resume=False, overwrite=True) is OutputMode.OVERWRITE
