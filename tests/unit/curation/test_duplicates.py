from __future__ import annotations

from pathlib import Path

import pytest

from reefline.curation.duplicates import DedupeRequest, DuplicateSearch, find_duplicates
from reefline.errors import DataError, UsageError
from reefline.images.look_alikes import Turns
from tests.factories import add_image, encode_image, make_pixels, make_xml
from tests.factories_curation import make_picture, save_picture


def _search(folder: Path, **facts: object) -> DuplicateSearch:
    return find_duplicates(DedupeRequest(folder, **facts), lambda done, total: None)


def _moves(search: DuplicateSearch) -> list[tuple[str, str, bool]]:
    return [(each.moved.image, each.kept.image, each.bits is None) for each in search.duplicates]


def test_the_largest_image_is_kept(tmp_path: Path) -> None:
    save_picture(tmp_path / "a_small.jpg", make_picture(1, size_px=(80, 60)))
    save_picture(tmp_path / "b_large.jpg", make_picture(1))
    save_picture(tmp_path / "c_rough.jpg", make_picture(1), quality=30)
    save_picture(tmp_path / "d_other.jpg", make_picture(2))
    (tmp_path / "e_copy.jpg").write_bytes((tmp_path / "b_large.jpg").read_bytes())
    assert sorted(_moves(_search(tmp_path))) == [
        ("a_small.jpg", "b_large.jpg", False),
        ("c_rough.jpg", "b_large.jpg", False),
        ("e_copy.jpg", "b_large.jpg", True),
    ]


def test_an_annotated_image_is_kept_whatever_its_size(tmp_path: Path) -> None:
    save_picture(tmp_path / "large.jpg", make_picture(1))
    save_picture(tmp_path / "small.jpg", make_picture(1, size_px=(80, 60)))
    (tmp_path / "small.xml").write_bytes(make_xml())
    assert _moves(_search(tmp_path)) == [("large.jpg", "small.jpg", False)]


def test_a_chain_does_not_carry_away_what_is_unlike_the_kept_image(tmp_path: Path) -> None:
    # Each is cut to 95 % of the one before: neighbours are alike, the first and the last are not.
    picture = make_picture(1, size_px=(400, 300))
    for step in range(6):
        width_px, height_px = picture.size
        save_picture(tmp_path / f"{step}.png", picture)
        picture = picture.crop((round(width_px * 0.05), round(height_px * 0.05), width_px, height_px))
    moves = _moves(_search(tmp_path))
    kept = {kept for _, kept, _ in moves}
    assert len(kept) > 1 and "0.png" in kept
    assert not kept & {moved for moved, _, _ in moves}


def test_turned_copies_count_if_asked_for(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", make_picture(1))
    save_picture(tmp_path / "b.png", make_picture(1).rotate(90, expand=True))
    assert not _search(tmp_path).duplicates
    assert len(_search(tmp_path, turns=Turns(rotations=True)).duplicates) == 1


def test_an_exif_rotation_is_seen_through(tmp_path: Path) -> None:
    pixels = make_pixels(1, width_px=160, height_px=120)
    save_picture(tmp_path / "upright.png", make_picture(1))
    (tmp_path / "turned.jpg").write_bytes(encode_image(pixels.swapaxes(0, 1)[:, ::-1], orientation=8))
    assert len(_search(tmp_path).duplicates) == 1


def test_unreadable_images_are_listed(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.jpg", make_picture(1))
    (tmp_path / "b.jpg").write_bytes(b"")
    (tmp_path / "c.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:500])
    search = _search(tmp_path)
    assert [each.image for each in search.unreadable] == ["b.jpg", "c.jpg"]
    assert search.images == 3 and not search.duplicates


def test_labels_that_differ_are_marked(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        save_picture(tmp_path / label / "a.png", make_picture(1))
        save_picture(tmp_path / label / "b.png", make_picture(2))
        save_picture(tmp_path / label / "c.png", make_picture(2))
    assert [each.labels_differ for each in _search(tmp_path).duplicates].count(True) == 3


def test_another_folder_decides_what_moves(tmp_path: Path) -> None:
    train, test = tmp_path / "train", tmp_path / "test"
    save_picture(train / "near.jpg", make_picture(1))
    save_picture(train / "same.jpg", make_picture(2))
    save_picture(train / "same_too.jpg", make_picture(2))
    save_picture(train / "only_here.jpg", make_picture(3))
    save_picture(test / "1.jpg", make_picture(1, size_px=(80, 60)))
    (test / "2.jpg").write_bytes((train / "same.jpg").read_bytes())
    assert sorted(_moves(_search(train, against=test))) == [
        ("near.jpg", "../test/1.jpg", False),
        ("same.jpg", "../test/2.jpg", True),
        ("same_too.jpg", "../test/2.jpg", True),
    ]


@pytest.mark.parametrize("against", ["train", "train/sub", "."], ids=["the same", "inside", "around"])
def test_folders_that_overlap_are_refused(tmp_path: Path, against: str) -> None:
    save_picture(tmp_path / "train" / "sub" / "a.jpg", make_picture(1))
    with pytest.raises(UsageError, match="overlaps"):
        _search(tmp_path / "train", against=tmp_path / against)


def test_a_file_behind_a_link_that_stays_is_not_moved(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "a.jpg", make_picture(1))
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.jpg").symlink_to("../train/a.jpg")
    assert not _search(tmp_path / "train", against=tmp_path / "test").duplicates
    (tmp_path / "train" / "Z.jpg").symlink_to("a.jpg")
    assert _moves(_search(tmp_path / "train")) == [("Z.jpg", "a.jpg", True)]


def test_any_number_of_workers_finds_the_same(tmp_path: Path) -> None:
    for seed in range(20):
        add_image(tmp_path, f"{seed}", image_bytes=encode_image(make_pixels(seed // 2), "PNG"), suffix=".png")
    found = [_moves(_search(tmp_path, workers=workers)) for workers in (1, 2)]
    assert found[0] == found[1]
    assert len(found[0]) == 10


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        _search(tmp_path)
