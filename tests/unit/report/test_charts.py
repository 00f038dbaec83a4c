"""reefline/report/charts.py: small SVG that is the same for the same data and takes its colours from the page."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

import pytest
from defusedxml.ElementTree import fromstring
from markupsafe import Markup

from reefline.report.charts import bar_chart, heat_map, histogram, line_chart, scatter

MAX_BYTES = 30_000
HOSTILE = '<script>alert(1)</script>"\x00\u202e$x^2$'


def _noise(count: int, seed: int = 0) -> list[float]:
    generator = random.Random(seed)
    return [generator.lognormvariate(4, 1) for _ in range(count)]


def _points(count: int, seed: int = 0) -> list[tuple[float, float]]:
    return list(zip(_noise(count, seed), _noise(count, seed + 1), strict=True))


def _line() -> Markup:
    many = {f"class {number}": [(x, y) for x, y in enumerate(_noise(20_000, number))] for number in range(20)}
    return line_chart(HOSTILE, "step", "loss", {HOSTILE: [(0, 1), (1, 2)], **many})


CHARTS = [
    pytest.param(_line, id="line"),
    pytest.param(lambda: histogram(HOSTILE, "x", {HOSTILE: _noise(9000), "b": _noise(500)}, log=True), id="histogram"),
    pytest.param(lambda: scatter(HOSTILE, "w", "h", {HOSTILE: _points(9000), "b": _points(6)}, log=True), id="scatter"),
    pytest.param(lambda: heat_map(HOSTILE, [_noise(20, row) for row in range(20)]), id="heat-map"),
    pytest.param(lambda: bar_chart(HOSTILE, {f"{HOSTILE}{n}": n for n in range(1, 99)}, unit="s"), id="bar"),
]


def _path_points(chart: str, class_name: str) -> list[tuple[float, float]]:
    """Return the points of the paths of a class, in the drawing's pixels, whose y grows downwards."""
    drawing = fromstring(chart).find("svg")  # The legend has drawings, too; they come later.
    paths = [node.get("d") for node in drawing.iter("path") if node.get("class") == class_name]
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"[ML] ?([\d.]+) ([\d.]+)", path)]


@pytest.mark.parametrize("make", CHARTS)
def test_a_chart_is_small_and_fits_the_page(make: Callable[[], Markup]) -> None:
    chart = make()
    assert len(chart.encode()) <= MAX_BYTES
    assert chart == make()
    # The policy of the page blocks styles, and two charts must not share an id.
    assert not re.search(r'\s(style|id|clip-path|on\w+)="', chart)
    assert not re.search(r'(fill|stroke)="#', chart)
    assert 'role="img"' in chart and "script&gt;" in chart and "<script" not in chart
    assert "\x00" not in chart and "\u202e" not in chart
    fromstring(chart)


EMPTY = [
    pytest.param(lambda: line_chart("t", "x", "y", {"a": [], "b": [(1, math.nan)]}), id="line"),
    pytest.param(lambda: histogram("t", "x", {"a": [math.inf], "b": [-1]}, log=True), id="histogram"),
    pytest.param(lambda: scatter("t", "x", "y", {"a": [(0, 1)]}, log=True), id="scatter"),
    pytest.param(lambda: heat_map("t", [[0, 0], [math.nan, 0]]), id="heat-map"),
    pytest.param(lambda: bar_chart("t", {"a": math.nan}), id="bar"),
]


@pytest.mark.parametrize("make", EMPTY)
def test_a_chart_without_data_tells_so(make: Callable[[], Markup]) -> None:
    assert "No data." in make() and "<svg" not in make()


def test_lines_rise_where_values_rise_and_stay_in_the_range() -> None:
    chart = line_chart("t", "x", "y", {"a": [(0, 0.0), (1, 0.5), (2, 9.0)]}, y_range=(0, 1))
    (x0, y0), (x1, y1), (x2, y2) = _path_points(chart, "s0")[:3]
    assert x0 < x1 < x2 and y0 > y1 > y2
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert "a: 0 at 0 to 9 at 2" in chart


def test_a_peak_survives_thinning() -> None:
    flat = [(float(x), 1.0) for x in range(50_000)]
    flat[31_234] = (31_234.0, 100.0)
    chart = line_chart("t", "x", "y", {"a": flat})
    heights = [y for _, y in _path_points(chart, "s0")]
    assert max(heights) - min(heights) > 100


def test_series_differ_in_dashes_not_in_colour_alone() -> None:
    chart = line_chart("t", "x", "y", {"train": [(0, 1), (1, 2)], "eval": [(0, 2), (1, 3)]})
    assert re.search(r'class="s1" stroke-dasharray', chart)
    assert re.findall(r"<bdi>(.*?)</bdi>", chart) == ["train", "eval"]


def test_what_is_left_out_is_counted() -> None:
    points = [(0.0, 1.0), (1.0, 2.0)]
    assert "3 more are left out." in line_chart("t", "x", "y", {str(n): points for n in range(15)})
    assert "2 more are left out." in bar_chart("t", {str(n): 1.0 for n in range(42)})


def test_a_histogram_shows_shares_of_each_split() -> None:
    chart = histogram("t", "objects", {"train": [1, 1, 1, 2], "eval": [1, 1, 1, 2] * 50})
    tops = [sorted({y for _, y in _path_points(chart, name)}) for name in ("f0", "f1")]
    assert tops[0] == tops[1] and len(tops[0]) == 3
    assert "train: 4 values, 1 to 2, median 1" in chart


def test_a_heat_map_is_stronger_where_values_are_higher() -> None:
    chart = heat_map("t", [[0, 1], [0, 10]])
    cells = {
        node.get("opacity") or "1": node.get("d")
        for node in fromstring(chart).iter("path")
        if node.get("class") == "f0"
    }
    assert set(cells) == {"0.1", "1"}
    first_y = {opacity: float(re.findall(r"[\d.]+", path)[1]) for opacity, path in cells.items()}
    assert first_y["0.1"] < first_y["1"]


def test_bars_are_as_long_as_their_values() -> None:
    chart = bar_chart("Time", {"short": 1.0, "long": 4.0}, unit="s")
    points = _path_points(chart, "f0")
    short, long = points[:4], points[4:]
    width = [max(x for x, _ in bar) - min(x for x, _ in bar) for bar in (short, long)]
    assert width[1] == pytest.approx(4 * width[0], rel=0.02)
    assert ">1 s</text>" in chart and ">4 s</text>" in chart
