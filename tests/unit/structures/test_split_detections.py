from __future__ import annotations

import numpy as np
import pytest

from reefline.errors import RecordError
from reefline.structures.split_detections import SplitDetections
from tests.factories_evaluation import make_random_images, make_scored_image, make_split_detections


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(make_random_images(0), id="many"),
        pytest.param([make_scored_image(), make_scored_image([(0, 0, 9, 9, 1)]), make_scored_image()], id="gaps"),
        pytest.param([make_scored_image()], id="nothing"),
        pytest.param([], id="no-image"),
    ],
)
def test_round_trip(tmp_path, images):
    detections = make_split_detections(images, ("cat", "<b>", "кошка"), ("float", "shipped"))
    detections.write(tmp_path / "detections.npz")

    read = SplitDetections.read(tmp_path / "detections.npz")

    assert (read.class_names, read.images) == (detections.class_names, detections.images)
    assert list(read.detections) == ["float", "shipped"]
    for model in read.detections:
        for ours, theirs in zip(read.scored(model), images, strict=True):
            for part in ("ground_truth", "detections"):
                for name, array in vars(getattr(theirs, part)).items():
                    np.testing.assert_array_equal(getattr(getattr(ours, part), name), array)


def test_file_damaged_in_any_place(tmp_path):
    make_split_detections(make_random_images(0)).write(tmp_path / "detections.npz")
    content = (tmp_path / "detections.npz").read_bytes()
    for place in range(0, len(content), len(content) // 50):
        (tmp_path / "detections.npz").write_bytes(content[:place] + b"\xff" * 40 + content[place + 40 :])
        try:
            SplitDetections.read(tmp_path / "detections.npz")
        except RecordError as error:
            assert "detections.npz: damaged" in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"detections\.npz: cannot read it \(No such file", id="missing"),
        pytest.param(b"PK text", r"detections\.npz: damaged", id="no-zip"),
        pytest.param(b"", r"detections\.npz: damaged", id="empty"),
    ],
)
def test_damaged_file(tmp_path, content, message):
    if content is not None:
        (tmp_path / "detections.npz").write_bytes(content)

    with pytest.raises(RecordError, match=message):
        SplitDetections.read(tmp_path / "detections.npz")
