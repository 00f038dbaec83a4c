"""Splits by the names of folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.data.image_record import TRAIN_OR_EVAL, UNASSIGNED
from reefline.data.layouts import list_data_files
from reefline.data.matching import Discovery, discover
from tests.factories import add_image


def _discover(folder: Path, **options: bool) -> Discovery:
    return discover(folder, list_data_files(folder), **options)


def _splits(discovery: Discovery) -> str:
    return " ".join("?" if each.split in (UNASSIGNED, TRAIN_OR_EVAL) else each.split for each in discovery.candidates)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        pytest.param(["test", "train", "valid"], "test train eval", id="roboflow"),
        pytest.param(["images/test", "images/train"], "test ?", id="tutorial-train-is-divided"),
        pytest.param(["Train/deep/er", "VAL"], "train eval", id="nested-any-case"),
        pytest.param(["train", "validation"], "train eval", id="validation"),
        pytest.param(["eval", "train"], "eval train", id="eval"),
        pytest.param(["bus", "train"], "? ?", id="a-class-called-train"),
        pytest.param(["a/train", "b/val"], "? ?", id="not-siblings"),
        pytest.param(["test", "valid"], "? ?", id="no-train"),
    ],
)
def test_folder_names_give_splits(tmp_path: Path, folders: list[str], expected: str) -> None:
    for folder in folders:
        add_image(tmp_path / folder, "a")
    discovery = _discover(tmp_path)
    assert _splits(discovery) == expected
    assert discovery.names_splits == (expected != "? ?")
    assert [finding.rule for finding in discovery.findings] == ["split_by_folder"] * discovery.names_splits


def test_the_finding_names_the_folders_and_the_switch(tmp_path: Path) -> None:
    for folder in ("images/train", "images/test"):
        add_image(tmp_path / folder, "a")
    (finding,) = _discover(tmp_path).findings
    assert finding.message == (
        "folder names decide the splits: images/test/ (test), images/train/ (train and eval, by data.eval_fraction); "
        "data.split_folders: false turns this off"
    )
    discovery = _discover(tmp_path, split_folders=False)
    assert (_splits(discovery), discovery.names_splits, discovery.findings) == ("? ?", False, ())


def test_folders_of_annotations_count_where_images_are_in_one_folder(tmp_path: Path) -> None:
    for stem, split in (("a", "train"), ("b", "val")):
        add_image(tmp_path, stem, images="images", annotations=f"labels/{split}")
    assert _splits(_discover(tmp_path)) == "train eval"


def test_images_outside_are_left_out_and_reported(tmp_path: Path) -> None:
    for folder in ("train", "valid", "extra"):
        add_image(tmp_path / folder, "a")
    discovery = _discover(tmp_path)
    assert _splits(discovery) == "train eval"
    first = discovery.findings[0]
    assert (first.rule, first.message) == (
        "image_not_listed",
        "1 images are left out: no split folder contains them",
    )


def test_lists_win_over_folders(tmp_path: Path) -> None:
    for folder in ("train", "valid"):
        add_image(tmp_path / folder, f"in_{folder}")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("in_valid\n")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("in_train\n")
    assert _splits(_discover(tmp_path)) == "eval train"
