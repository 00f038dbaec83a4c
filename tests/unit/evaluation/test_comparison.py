from __future__ import annotations

import pytest

from reefline.evaluation.comparison import (
    Comparison,
    ImageChange,
    ImageTally,
    compare_models,
    min_scores_of,
    tally_images,
)
from reefline.evaluation.curves import compute_curves
from tests.factories_evaluation import make_scored_image

BOX = (0, 0, 10, 10)
AWAY = (50, 50, 60, 60)
NAMES = ("cat", "dog")


@pytest.mark.parametrize(
    ("truth", "seen", "tally", "f1"),
    [
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.5)], ImageTally(1, 0, 0), 1.0, id="found"),
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.49)], ImageTally(0, 0, 1), 0.0, id="below-its-threshold"),
        pytest.param([(*BOX, 1)], [(*BOX, 1, 0.2)], ImageTally(1, 0, 0), 1.0, id="other-class-other-threshold"),
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.9), (*AWAY, 0, 0.8)], ImageTally(1, 1, 0), 2 / 3, id="one-wrong"),
        pytest.param([(*BOX, 0), (*AWAY, 0)], [(*BOX, 0, 0.9)], ImageTally(1, 0, 1), 2 / 3, id="one-missed"),
        pytest.param([], [], ImageTally(0, 0, 0), 1.0, id="nothing"),
    ],
)
def test_tally(truth, seen, tally, f1):
    assert tally_images([make_scored_image(truth, seen)], (0.5, 0.1)) == (tally,)
    assert tally.f1 == pytest.approx(f1)


def test_better_and_worse_images():
    truth = [(*BOX, 0), (*AWAY, 0)]
    both, one, none = [(*BOX, 0, 0.9), (*AWAY, 0, 0.9)], [(*BOX, 0, 0.9)], []
    candidate = [make_scored_image(truth, seen) for seen in (one, both, both, none, one)]
    baseline = [make_scored_image(truth, seen) for seen in (one, one, none, both, both)]

    compared = compare_models(candidate, baseline, compute_curves(candidate, NAMES), compute_curves(baseline, NAMES))

    two, single, zero = ImageTally(2, 0, 0), ImageTally(1, 0, 1), ImageTally(0, 0, 2)
    assert compared == Comparison(
        better=(ImageChange(2, two, zero), ImageChange(1, two, single)),
        worse=(ImageChange(3, zero, two), ImageChange(4, single, two)),
        unchanged=1,
    )
    assert [change.gain for change in compared.worse] == pytest.approx([-1, -1 / 3])


def test_each_model_has_its_own_thresholds():
    """The candidate's scores are lower, which must not make it worse."""
    candidate = [make_scored_image([(*BOX, 0)], [(*BOX, 0, 0.2), (*AWAY, 0, 0.1)])]
    baseline = [make_scored_image([(*BOX, 0)], [(*BOX, 0, 0.9), (*AWAY, 0, 0.8)])]
    curves = [compute_curves(images, NAMES) for images in (candidate, baseline)]

    assert [min_scores_of(each) for each in curves] == [(0.2, 0.3), (0.9, 0.3)]
    assert compare_models(candidate, baseline, *curves) == Comparison((), (), 1)
