"""The curves of the quality section."""

from __future__ import annotations

import numpy as np
import pytest

from reefline.evaluation.curves import ClassCurve, compute_curves
from reefline.report.sections import quality_curves
from reefline.report.sections.quality_curves import draw_curves, read_f1
from tests.factories_evaluation import make_scored_image


def curves_of(*names: str) -> tuple[ClassCurve, ...]:
    """Return curves of classes of which each is detected less often than the one before."""
    images = [
        make_scored_image(
            [(0, 0, 10, 10, index)] * 1,
            [(0, 0, 10, 10, index, 0.8)] if turn >= index else [(50, 0, 60, 10, index, 0.9)],
        )
        for index in range(len(names))
        for turn in range(len(names))
    ]
    return compute_curves(images, names)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Collect the lines instead of drawing them."""
    charts: list[dict] = []
    monkeypatch.setattr(quality_curves, "line_chart", lambda title, x, y, series, **_: charts.append(dict(series)))
    return charts


def test_f1_of_a_threshold_counts_the_scores_from_it() -> None:
    images = [make_scored_image([(0, 0, 10, 10, 0)], [(0, 0, 10, 10, 0, 0.8), (50, 0, 60, 10, 0, 0.4)])]
    (curve,) = compute_curves(images, ("cat",))
    found = read_f1(curve, np.array([0.0, 0.4, 0.41, 0.8, 0.81]))
    assert found.tolist() == pytest.approx([2 / 3, 2 / 3, 1, 1, 0])


def test_few_classes_all_have_a_line_next_to_the_mean(drawn: list[dict]) -> None:
    charts = draw_curves(curves_of("cat", "dog", "eel"))
    assert charts is not None
    assert (charts.shown, charts.known) == (3, 3)
    for series in drawn:
        assert list(series) == ["mean of 3 classes", "eel", "dog", "cat"]
        lines = [[y for _, y in points] for points in series.values()]
        assert lines[0] == pytest.approx(np.mean(lines[1:], axis=0))
        assert [x for x, _ in series["cat"]] == pytest.approx(np.linspace(0, 1, 101))


def test_of_many_classes_the_worst_are_drawn(drawn: list[dict]) -> None:
    charts = draw_curves(curves_of(*(f"class {number}" for number in range(11))))
    assert charts is not None
    assert (charts.shown, charts.known) == (8, 11)
    assert list(drawn[0]) == ["mean of 11 classes", *(f"class {number}" for number in range(10, 2, -1))]


def test_one_class_is_its_own_mean(drawn: list[dict]) -> None:
    draw_curves(curves_of("cat"))
    assert [list(series) for series in drawn] == [["cat"], ["cat"]]


def test_a_class_may_be_named_like_the_mean(drawn: list[dict]) -> None:
    draw_curves(curves_of("mean of 2 classes", "cat"))
    assert list(drawn[0]) == ["mean of 2 classes (mean)", "cat", "mean of 2 classes"]


def test_without_objects_there_is_nothing_to_draw() -> None:
    assert draw_curves(compute_curves([make_scored_image()], ("cat",))) is None
