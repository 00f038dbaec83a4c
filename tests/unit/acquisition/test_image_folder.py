from __future__ import annotations

from pathlib import Path

import pytest

from reefline.acquisition.image_content import check_image
from reefline.acquisition.image_folder import (
    FAILURES_FILE,
    Existing,
    check_image_folder,
    open_image_folder,
)
from reefline.curation.output_folder import OutputMode, claim_output_folder
from reefline.errors import DataError, DownloadError, UsageError
from reefline.structures.image_origin import ORIGINS_FILE, append_origins, read_origins
from reefline.structures.output_marker import MARKER_FILE
from tests.factories import make_jpeg
from tests.factories_acquisition import make_hit, make_origin


def fill(path: Path, existing: Existing = Existing.CONTINUE, *, seed: int = 1) -> None:
    with open_image_folder(path, existing) as folder:
        folder.save(make_hit(f"http://a/{seed}", page="http://a/page"), check_image(make_jpeg(seed)))
        folder.fail(make_hit("http://a/gone"), "404", is_permanent=True)
        folder.fail(make_hit("http://a/busy"), "503", is_permanent=False)


def test_an_image_has_a_line_with_all_that_is_known(tmp_path: Path) -> None:
    fill(tmp_path)
    (origin,) = read_origins(tmp_path)
    content = (tmp_path / origin.file).read_bytes()
    assert content == make_jpeg(1) and origin.bytes == len(content) and len(origin.sha256) == 64
    assert (origin.url, origin.page, origin.source) == ("http://a/1", "http://a/page", "openverse")
    assert (origin.license, origin.author, origin.width_px, origin.height_px) == ("CC BY 4.0", "Ada", 64, 48)
    assert origin.time.endswith("Z")


def test_only_permanent_failures_are_remembered_for_the_next_run(tmp_path: Path) -> None:
    fill(tmp_path)
    assert len((tmp_path / FAILURES_FILE).read_text().splitlines()) == 2
    with open_image_folder(tmp_path, Existing.CONTINUE) as folder:
        assert folder.knows("http://a/1") and folder.knows("http://a/gone") and not folder.knows("http://a/busy")
        assert folder.count == 1 and folder.earlier_failures == 1
    assert len((tmp_path / FAILURES_FILE).read_text().splitlines()) == 1


def test_files_of_other_origin_are_only_added_to_if_asked(tmp_path: Path) -> None:
    (tmp_path / "own.jpg").write_bytes(b"own")
    with pytest.raises(UsageError, match=r"has files that `reefline download` did not write; .* pass --resume"):
        fill(tmp_path)
    fill(tmp_path, Existing.RESUME)
    assert (tmp_path / "own.jpg").read_bytes() == b"own" and len(read_origins(tmp_path)) == 1


def test_overwriting_deletes_only_what_was_downloaded(tmp_path: Path) -> None:
    fill(tmp_path)
    (first,) = read_origins(tmp_path)
    (tmp_path / "own.jpg").write_bytes(b"own")
    fill(tmp_path, Existing.OVERWRITE, seed=2)
    (second,) = read_origins(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [second.file, "own.jpg", ORIGINS_FILE, FAILURES_FILE, MARKER_FILE]
    )
    assert first.file != second.file


def test_overwriting_never_leaves_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"own")
    fill(tmp_path / "in")
    lines = (tmp_path / "in" / ORIGINS_FILE).read_text()
    (tmp_path / "in" / ORIGINS_FILE).write_text(lines.replace(read_origins(tmp_path / "in")[0].file, "../outside.jpg"))
    fill(tmp_path / "in", Existing.OVERWRITE)
    assert outside.read_bytes() == b"own"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(UsageError, match="a: a file, where a folder is expected"):
        check_image_folder(tmp_path / "a", Existing.RESUME)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        open_image_folder(tmp_path, Existing.CONTINUE),
        pytest.raises(UsageError, match="another reefline command is writing to it"),
    ):
        fill(tmp_path)
    fill(tmp_path)


def test_partial_files_of_a_killed_run_are_removed_and_no_others(tmp_path: Path) -> None:
    fill(tmp_path)
    ours = ["..0123456789abcdef.jpg.pending.123.part", ".manifest.jsonl.1.part", ".failures.jsonl.1.part"]
    others = [".notes.part", ".my.jpg.123.part"]
    for name in (*ours, *others):
        (tmp_path / name).write_bytes(b"half")
    fill(tmp_path, seed=2)
    assert sorted(path.name for path in tmp_path.glob(".*.part")) == sorted(others)


def test_an_image_that_is_killed_before_it_has_its_name_is_completed_if_it_has_a_line(tmp_path: Path) -> None:
    fill(tmp_path)
    (origin,) = read_origins(tmp_path)
    (tmp_path / origin.file).rename(tmp_path / f".{origin.file}.pending")
    (tmp_path / ".0123456789abcdef.jpg.pending").write_bytes(b"no line")
    (tmp_path / ".notes.pending").write_bytes(b"own")
    with open_image_folder(tmp_path, Existing.CONTINUE) as folder:
        assert (folder.count, folder.removed) == (1, 0)
    assert (tmp_path / origin.file).read_bytes() == make_jpeg(1)
    assert [path.name for path in tmp_path.glob(".*.pending")] == [".notes.pending"]


@pytest.mark.parametrize("existing", Existing, ids=lambda existing: existing.value)
def test_the_output_of_another_command_is_refused_and_stays(existing: Existing, tmp_path: Path) -> None:
    claim_output_folder(tmp_path, "prepare", inputs=(), mode=OutputMode.NEW)
    (tmp_path / "JPEGImages").mkdir()
    files = [tmp_path / "JPEGImages" / "a.jpg", tmp_path / ".a.jpg.1.part"]
    for file in files:
        file.write_bytes(b"own")
    append_origins(tmp_path, [make_origin("JPEGImages/a.jpg")])
    with pytest.raises(UsageError, match="holds what `reefline prepare` wrote; choose another --out"):
        fill(tmp_path, existing)
    assert all(file.exists() for file in files)


def test_a_downloaded_folder_is_refused_by_other_commands(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(DataError, match="holds files that `reefline prepare` did not write"):
        claim_output_folder(tmp_path, "prepare", inputs=(), mode=OutputMode.OVERWRITE)


def test_a_manifest_without_a_marker_is_no_reason_to_delete_its_images(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"own")
    append_origins(tmp_path, [make_origin("a.jpg")])
    with pytest.raises(UsageError, match="has files that `reefline download` did not write"):
        fill(tmp_path, Existing.OVERWRITE)
    fill(tmp_path, Existing.RESUME)
    assert (tmp_path / "a.jpg").read_bytes() == b"own" and len(read_origins(tmp_path)) == 2


def test_overwriting_deletes_no_images_in_folders_below(tmp_path: Path) -> None:
    fill(tmp_path)
    below = tmp_path / "below" / "a.jpg"
    below.parent.mkdir()
    below.write_bytes(b"own")
    append_origins(tmp_path, [make_origin("below/a.jpg")])
    fill(tmp_path, Existing.OVERWRITE)
    assert below.exists()


def test_a_folder_that_cannot_be_created_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(DownloadError, match=r"a/b: cannot write to it \(Not a directory\); .* to resume"):
        fill(tmp_path / "a" / "b")
