"""The reason for a recommendation, and its notes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reefline.config.overrides import parse_override
from reefline.recommendation.reasons import explain, find_notes
from reefline.recommendation.schedule import Schedule
from reefline.recommendation.setting import Measured, Setting
from reefline.recommendation.wishes import read_wishes
from tests.factories_recommendation import make_candidate, make_machine, make_traits
from tests.factories_verification import make_settings, make_timings


def _setting(*overrides: str, **traits: Any) -> Setting:
    wishes = read_wishes([parse_override(text) for text in overrides])
    return Setting(wishes, SimpleNamespace(problems=()), make_traits(**traits), make_machine(), 20)


def _measured(affordable_steps: int = 3474, **facts: Any) -> Measured:
    return Measured(make_candidate(**facts), make_timings(), Schedule(3470, 347, 135.4, 1195.0, affordable_steps))


@pytest.mark.parametrize(
    ("setting", "measured", "reason"),
    [
        pytest.param(_setting(), _measured(), "its published weights already know COCO 2017", id="published"),
        pytest.param(
            _setting("trainer.model=ssd_mobilenet_v2_320"), _measured(), "it is the template you chose", id="chosen"
        ),
        pytest.param(_setting(), _measured(knows="", start="a.tflite"), "it can start from a.tflite", id="other-start"),
        pytest.param(_setting(), _measured(knows="", start="scratch"), "it learns most from random", id="scratch"),
    ],
)
def test_the_reason(setting: Setting, measured: Measured, reason: str) -> None:
    found = explain(setting, measured)
    assert found.startswith(reason) and found.endswith("; 3,470 steps (135 epochs) fit in 20 minutes")


def test_steps_that_do_not_fit_are_not_said_to() -> None:
    assert explain(_setting(), _measured(affordable_steps=99)).endswith("; 3,470 steps (135 epochs)")


@pytest.mark.parametrize(
    ("traits", "affordable_steps", "max_dimension", "notes"),
    [
        pytest.param({}, 3474, None, [], id="nothing"),
        pytest.param({}, 99, None, ["only 99 steps fit in 20 minutes"], id="short-budget"),
        pytest.param({"box_sides": (0.01, 0.02, 0.5)}, 3474, None, ["67% of the boxes are smaller"], id="small-boxes"),
        pytest.param({"rarest_boxes": 3}, 3474, None, ["class cat has 3 boxes, the most frequent one 60"], id="rare"),
        pytest.param({"median_long_side_px": 4032}, 3474, 1200, ["images are 4032 px long"], id="large-images"),
    ],
)
def test_the_notes(traits: dict, affordable_steps: int, max_dimension: int | None, notes: list[str]) -> None:
    measured = _measured(affordable_steps)
    found = list(find_notes(_setting(**traits), measured, make_settings(), max_dimension))
    assert len(found) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found, notes, strict=True))
