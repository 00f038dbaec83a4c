"""Columns of a class head that come along by the names of their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reefline.structures.coco_labels import COCO_LABELS
from reefline.tflite.metadata import add_metadata
from reefline.training.class_columns import find_labels, match_classes
from tests.factories_tflite import write_quantized_detector

SHARED_LABELS = Path(__file__).resolve().parents[4] / "shared" / "models" / "coco_labels.txt"
ROLES = ("location", "category", "score", "number of detections")


@pytest.mark.parametrize(
    ("background", "slots"),
    [pytest.param(1, {1: 4, 3: 1, 0: 0}, id="background"), pytest.param(0, {0: 3, 2: 0}, id="no-background")],
)
def test_classes_match_by_name_whatever_their_case(background: int, slots: dict[int, int]) -> None:
    columns = match_classes(("Dog", "reef", "cat "), ("cat", None, "bird", "dog"), background=background)
    assert columns.slots == slots
    assert columns.names == ("Dog", "cat ")


def test_classes_without_a_namesake_keep_nothing() -> None:
    columns = match_classes(("reef",), ("cat", None), background=1)
    assert (columns.slots, columns.names, columns.fits(6, 9)) == ({}, (), False)


def test_columns_are_merged_per_anchor() -> None:
    columns = match_classes(("dog",), ("cat", "dog"), background=1)
    assert columns.fits(4, 6) and not columns.fits(4, 9)
    mine, theirs = np.zeros((1, 4)), np.arange(6.0).reshape(1, 6)
    # Two anchors: background and dog here; background, cat and dog there.
    assert columns.merge(mine, theirs).tolist() == [[0.0, 2.0, 3.0, 5.0]]
    assert not mine.any()


def test_labels_inside_a_file_count_before_cocos(tmp_path: Path) -> None:
    path = write_quantized_detector(tmp_path / "m.tflite")
    assert find_labels(path, 90) == COCO_LABELS
    assert find_labels(path, 3) == ()
    path.write_bytes(add_metadata(path.read_bytes(), "m", ("cat", "dog"), ROLES))
    assert find_labels(path, 2) == ("cat", "dog")
    assert find_labels(path, 90) == ()


@pytest.mark.skipif(not SHARED_LABELS.is_file(), reason="../shared/models is missing")
def test_cocos_ids_are_the_published_ones() -> None:
    lines = SHARED_LABELS.read_text().splitlines()
    assert tuple(None if line == "n/a" else line for line in lines) == COCO_LABELS
