"""What shrinking large images saves, and when that is worth a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.settings import IngestionSettings
from reefline.verification import shrinking
from reefline.verification.estimate import estimate_run
from reefline.verification.sample import take_sample
from reefline.verification.shrinking import DecodingTimes
from tests.factories import add_image, make_jpeg
from tests.factories_verification import make_data_facts, make_settings, make_timings


@pytest.mark.parametrize(
    ("long_side_px", "limit"), [pytest.param(1200, None, id="kept"), pytest.param(4032, 1200, id="phone-camera")]
)
def test_images_far_larger_than_the_input_shrink(long_side_px: int, limit: int | None) -> None:
    assert shrinking.choose_max_dimension(long_side_px, 300) == limit


def test_the_saved_seconds_are_those_of_all_decoded_images_less_the_shrinking() -> None:
    times = DecodingTimes(full_s=0.11, shrunk_s=0.01, shrinking_s=0.2)
    # 100 steps of 8 images and 2 evaluations of 20, on 2 cores; 100 images are shrunk once.
    saved_s = shrinking.count_saved_seconds(times, make_settings(), make_data_facts(), 2, cores=2)
    assert saved_s == pytest.approx((800 + 40) * 0.1 / 2 - 100 * 0.2)


@pytest.mark.parametrize(
    ("input_px", "steps", "is_told"),
    [
        pytest.param(96, 100_000, True, id="far-larger"),
        pytest.param(300, 100_000, False, id="not-far-larger"),
        pytest.param(96, 1, False, id="saves-nothing"),
    ],
)
def test_only_a_saving_is_told(tmp_path: Path, input_px: int, steps: int, is_told: bool) -> None:
    data = tmp_path / "data"
    for index in range(8):
        add_image(data, f"large_{index}", image_bytes=make_jpeg(index, width_px=640, height_px=480))
    (tmp_path / "work").mkdir()
    sample = take_sample(data, IngestionSettings(), tmp_path / "work")
    settings = make_settings(num_steps=steps)
    estimate = estimate_run(settings, sample.facts, make_timings())
    found = shrinking.find_shrinking(sample, settings, input_px, estimate, cores=1)
    assert len(found) == is_told
    for problem in found:
        assert "images are 640 px long, the input is 96 px; 384 shrinks them once at ingestion" in problem.message
        assert problem.keys == ("data.max_dimension",)
