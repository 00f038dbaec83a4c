"""The estimate before a configured training."""

from __future__ import annotations

import pytest

from reefline.recommendation.long_run import describe_long_run
from tests.factories_verification import make_settings


def test_a_run_of_hours_is_told_before_its_first_step() -> None:
    settings = make_settings(model="ssd_mobilenet_v1_300", num_steps=20_000, batch_size=32)
    first, second = describe_long_run(settings, 300, 2)
    assert first == ("  Training may take about 6:26:40: 20,000 steps of 32 images on 2 cores, without evaluations.")
    assert "pass --data DIR without --config" in second


@pytest.mark.parametrize(
    ("values", "cores"),
    [
        pytest.param({"num_steps": 300}, 2, id="short"),
        pytest.param({"num_steps": 20_000, "batch_size": 8}, 4, id="more-cores"),
        pytest.param({"num_steps": 20_000, "batch_size": 8, "input_size": 150}, 2, id="smaller-input"),
        pytest.param({"num_steps": 10**8, "model": "somebodys_own"}, 2, id="unknown-cost"),
    ],
)
def test_others_are_not(values: dict, cores: int) -> None:
    settings = make_settings(**{"model": "ssd_mobilenet_v1_300", **values})
    assert describe_long_run(settings, 300, cores) == ()
