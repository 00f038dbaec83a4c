"""What a sample tells about a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.recommendation.facts import describe_sample
from reefline.settings import IngestionSettings
from reefline.verification.sample import take_sample
from tests.factories import add_image, make_data_set, make_object
from tests.factories_recommendation import make_traits


def test_a_sample_in_numbers(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=12, labels=("cat", "cat", "dog"))
    add_image(data, "more", seed=99, objects=[make_object("cat", (2, 2, 34, 26))])
    traits = describe_sample(take_sample(data, IngestionSettings(), tmp_path / "out"))
    # Most boxes are 16 x 16 px of 64 x 48, one is 32 x 24.
    assert traits.median_box_side == pytest.approx((16 * 16 / (64 * 48)) ** 0.5)
    assert max(traits.box_sides) == pytest.approx(0.5)
    assert traits.median_aspect == pytest.approx((16 / 64) / (16 / 48))
    assert (traits.rarest_class, traits.rarest_boxes, traits.most_boxes) == ("dog", 4, 9)
    assert traits.imbalance == 9 / 4
    assert traits.median_long_side_px == 64


@pytest.mark.parametrize(("input_px", "share"), [pytest.param(300, 0.25, id="300"), pytest.param(100, 0.75, id="100")])
def test_small_boxes_depend_on_the_input(input_px: int, share: float) -> None:
    assert make_traits(box_sides=(0.03, 0.05, 0.09, 0.5)).small_fraction(input_px) == share
