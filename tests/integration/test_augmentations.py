"""The crops among the augmentations, run by the OD API's input pipeline on drawn images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reefline.od_api import compat
from reefline.settings import Augmentation
from tests.factories_training import build_config, make_tiny_settings, write_splits

BATCHES = 6


@pytest.mark.parametrize(
    "augmentation",
    [Augmentation.RANDOM_CROP, Augmentation.SSD_RANDOM_CROP, Augmentation.SSD_RANDOM_CROP_PAD],
    ids=lambda augmentation: augmentation.value,
)
def test_a_crop_keeps_boxes_inside_their_image_and_changes_their_size(
    augmentation: Augmentation, tmp_path: Path
) -> None:
    compat.apply()
    from reefline.od_api.train_step import TrainStep

    write_splits(tmp_path, train=8, evaluation=1)
    step = TrainStep(build_config(tmp_path, make_tiny_settings(augmentations=(augmentation,))))
    sides = []
    for features, labels in step.dataset.take(BATCHES):
        assert features["image"].shape == (4, 96, 96, 3)
        for boxes, count in zip(labels["groundtruth_boxes"].numpy(), labels["num_groundtruth_boxes"], strict=True):
            real = boxes[: int(count)]
            assert (real >= -1e-6).all() and (real <= 1 + 1e-6).all()
            sides += list(real[:, 2] - real[:, 0])
    # The drawn squares are 30 to 59 px of 128 px. Padding surrounds most crops with more than they cut away.
    if augmentation is Augmentation.SSD_RANDOM_CROP_PAD:
        assert min(sides) < 29 / 128
    else:
        assert max(sides) > 60 / 128
    assert np.isfinite(step.run().total_loss)
