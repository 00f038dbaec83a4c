"""What shrinking large images saves, and when that is worth a hint."""

from __future__ import annotations

import pytest

from reefline.settings import IngestionSettings
from reefline.verification import shrinking
from reefline.verification.estimate import estimate_run
from reefline.verification.sample import DataSample, take_sample
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


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> DataSample:
    root = tmp_path_factory.mktemp("large")
    for index in range(4):
        add_image(root / "data", f"large_{index}", image_bytes=make_jpeg(index, width_px=1600, height_px=1200))
    (root / "work").mkdir()
    return take_sample(root / "data", IngestionSettings(), root / "work")


def test_shrunk_images_decode_faster(sample: DataSample) -> None:
    times = shrinking.measure_decoding(sample, max_dimension=200, input_px=50)
    # 64 times fewer pixels: the machine may be as busy as it likes.
    assert 0 < times.shrunk_s < times.full_s
    assert times.shrinking_s > 0


@pytest.mark.parametrize(
    ("input_px", "steps", "is_told"),
    [
        pytest.param(96, 1000, True, id="far-larger"),
        pytest.param(400, 1000, False, id="not-far-larger"),
        pytest.param(96, 1, False, id="saves-nothing"),
    ],
)
def test_only_a_saving_is_told(
    sample: DataSample, monkeypatch: pytest.MonkeyPatch, input_px: int, steps: int, is_told: bool
) -> None:
    monkeypatch.setattr(shrinking, "measure_decoding", lambda *_arguments: DecodingTimes(0.03, 0.01, 0.1))
    settings = make_settings(num_steps=steps, steps_per_eval=steps)
    estimate = estimate_run(settings, sample.facts, make_timings())
    found = shrinking.find_shrinking(sample, settings, input_px, estimate, cores=1)
    assert len(found) == is_told
    for problem in found:
        assert problem.message.startswith(
            "data.max_dimension: images are 1600 px long, the input is 96 px; 384 shrinks them once at ingestion and "
            "saves about 160 s (0:02:40)"
        )
        assert problem.keys == ("data.max_dimension",)
