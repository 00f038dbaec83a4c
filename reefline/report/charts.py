"""Charts as inline SVG: drawn by matplotlib, coloured by the page's style, the same for the same data.

Every chart takes plain numbers, leaves out those that are NaN or infinite, and is at most 30 kB.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reefline.report.chart_svg import DASHES, GRID, SERIES, LegendEntry, clean, new_figure, show

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

Point = tuple[float, float]

_WIDTH_PX, _HEIGHT_PX = 360.0, 215.0
_FONT_PX = 12
_MAX_POINTS = 1200
_MAX_SERIES = 12
_MAX_BARS = 40
_LEVELS = 10


def line_chart(
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Sequence[Point]],
    *,
    y_range: tuple[float, float] | None = None,
) -> Markup:
    """Return lines through points (x, y), which are in the order of x; `y_range` fixes the axis and clips."""
    kept = _keep_finite(series)
    shown = dict(list(kept.items())[:_MAX_SERIES])
    if not shown:
        return show(None, title, "")
    figure = new_figure(_WIDTH_PX, _HEIGHT_PX)
    axes = _add_axes(figure, x_label, y_label)
    budget = _MAX_POINTS // len(shown)
    for index, points in enumerate(shown.values()):
        drawn = [(x, _clip(y, y_range)) for x, y in _thin(points, budget)]
        colour, dashes = SERIES[index % len(SERIES)], DASHES[index % len(DASHES)]
        axes.plot(*zip(*drawn, strict=True), color=colour, linewidth=1.8, dashes=dashes or (None, None), clip_on=False)
        if len(drawn) <= 24:
            _draw_dots(axes, drawn, colour, 5.0)
    if y_range is not None:
        axes.set_ylim(*y_range)
    ends = "; ".join(
        f"{clean(name)}: {points[0][1]:.3g} at {points[0][0]:g} to {points[-1][1]:.3g} at {points[-1][0]:g}"
        for name, points in shown.items()
    )
    return show(
        figure, title, f"{title}. Line chart of {y_label} against {x_label}. {ends}", _name(shown), _left_out(kept)
    )


def histogram(
    title: str, x_label: str, values_by_name: Mapping[str, Sequence[float]], *, bins: int = 20, log: bool = False
) -> Markup:
    """Return the distribution of each series in percent of it, side by side; `log` is for the x axis.

    Whole numbers of a small range get one bin each. With `log`, values of 0 and below are left out.
    """
    import numpy as np

    shown = {
        name: kept
        for name, values in values_by_name.items()
        if (kept := [value for value in values if math.isfinite(value) and (value > 0 or not log)])
    }
    if not shown:
        return show(None, title, "")
    edges = _choose_edges(shown.values(), bins, log=log)
    figure = new_figure(_WIDTH_PX, _HEIGHT_PX)
    axes = _add_axes(figure, x_label, "% of each" if len(shown) > 1 else "%", x_log=log)
    places = np.log10(edges) if log else np.asarray(edges)
    for index, values in enumerate(shown.values()):
        counts, _ = np.histogram(values, edges)
        step = (places[1:] - places[:-1]) * 0.9 / len(shown)
        left = places[:-1] + step * (index + 0.05)
        right = left + step
        if log:
            left, right = 10**left, 10**right
        heights = 100 * counts / len(values)
        bars = [(a, 0.0, b, h) for a, b, h in zip(left, right, heights, strict=True) if h > 0]
        _draw_boxes(axes, bars, SERIES[index % len(SERIES)])
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    medians = "; ".join(
        f"{clean(name)}: {len(values)} values, {min(values):.3g} to {max(values):.3g}, median {np.median(values):.3g}"
        for name, values in shown.items()
    )
    return show(figure, title, f"{title}. Histogram of {x_label}. {medians}", _name(shown, filled=True))


def scatter(
    title: str, x_label: str, y_label: str, points_by_name: Mapping[str, Sequence[Point]], *, log: bool = False
) -> Markup:
    """Return points (x, y), the later series on top; of many points an even sample is drawn.

    With `log`, both axes are logarithmic, and points with a coordinate of 0 or below are left out.
    """
    positive = {
        name: [point for point in points if not log or min(point) > 0] for name, points in points_by_name.items()
    }
    shown = _keep_finite(positive)
    if not shown:
        return show(None, title, "")
    figure = new_figure(_WIDTH_PX, _HEIGHT_PX * 1.25)
    axes = _add_axes(figure, x_label, y_label, x_log=log, y_log=log)
    for index, points in enumerate(shown.values()):
        share = max(1, math.ceil(len(points) * len(shown) / _MAX_POINTS))
        few = len(points) <= 60
        _draw_dots(axes, points[::share], SERIES[index % len(SERIES)], 6.0 if few else 3.5, alpha=1 if few else 0.65)
    counts = "; ".join(f"{clean(name)}: {len(points)} points" for name, points in shown.items())
    description = f"{title}. Scatter chart of {y_label} against {x_label}. {counts}"
    return show(figure, title, description, _name(shown, filled=True))


def heat_map(title: str, grid: Sequence[Sequence[float]]) -> Markup:
    """Return a grid of values from 0 up, its first row on top, in stronger colour where they are higher."""
    rows = [[value if math.isfinite(value) else 0.0 for value in row] for row in grid]
    highest = max((value for row in rows for value in row), default=0.0)
    if highest <= 0:
        return show(None, title, "")
    figure = new_figure(_HEIGHT_PX * 1.1, _HEIGHT_PX * 1.1)
    axes = _add_axes(figure, "", "")
    axes.grid(visible=False)
    axes.set(xlim=(0, len(rows[0])), ylim=(len(rows), 0), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(visible=True, color=GRID)
    for level in range(1, _LEVELS + 1):
        cells = [
            (x, y, x + 1, y + 1)
            for y, row in enumerate(rows)
            for x, value in enumerate(row)
            if math.ceil(_LEVELS * value / highest) == level
        ]
        _draw_boxes(axes, cells, SERIES[0], alpha=level / _LEVELS)
    description = f"{title}. Heat map of {len(rows)} by {len(rows[0])} cells, the highest {highest:g}"
    return show(figure, title, description, note=f"0 to {highest:,.4g} per cell; the stronger the colour, the more.")


def bar_chart(title: str, values: Mapping[str, float], *, unit: str = "") -> Markup:
    """Return one horizontal bar per name, the first on top; the unit follows each number."""
    kept = {name: value for name, value in values.items() if math.isfinite(value)}
    shown = dict(list(kept.items())[:_MAX_BARS])
    if not shown:
        return show(None, title, "")
    figure = new_figure(_WIDTH_PX, 24 + 22 * len(shown))
    axes = _add_axes(figure, "", "")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    _draw_boxes(axes, [(0.0, row - 0.36, value, row + 0.36) for row, value in enumerate(shown.values())], SERIES[0])
    texts = [f"{value:,.3g}{unit and ' '}{unit}" for value in shown.values()]
    longest = max(map(abs, shown.values())) or 1.0
    for row, (value, text) in enumerate(zip(shown.values(), texts, strict=True)):
        side = "left" if value >= 0 else "right"
        gap = longest * (0.02 if value >= 0 else -0.02)
        axes.text(value + gap, row, text, va="center_baseline", ha=side, fontsize=_FONT_PX)
    axes.set_yticks(range(len(shown)), list(map(clean, shown)))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(min(0.0, *shown.values()) * 1.25, max(0.0, *shown.values()) * 1.25 or None)
    listed = "; ".join(f"{clean(name)}: {text}" for name, text in zip(shown, texts, strict=True))
    return show(figure, title, f"{title}. Bar chart. {listed}", note=_left_out(kept, limit=_MAX_BARS))


def _add_axes(figure: Any, x_label: str, y_label: str, *, x_log: bool = False, y_log: bool = False) -> Axes:
    """Return axes with a light grid and plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    axes: Axes = figure.add_subplot()
    axes.patch.set_visible(False)
    for name, spine in axes.spines.items():
        spine.set(visible=name == "bottom", color=GRID)
    axes.set_xlabel(clean(x_label, 60), fontsize=_FONT_PX)
    axes.set_ylabel(clean(y_label, 60), fontsize=_FONT_PX)
    axes.set(xscale="log" if x_log else "linear", yscale="log" if y_log else "linear")
    for axis, log in ((axes.xaxis, x_log), (axes.yaxis, y_log)):
        axis.set_major_locator(
            LogLocator(subs=(1.0, 3.0), numticks=6) if log else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
        )
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())
        axis.set_minor_locator(NullLocator())
    axes.tick_params(bottom=False, left=False, labelsize=_FONT_PX)
    axes.grid(axis="y", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    return axes


def _draw_boxes(axes: Axes, boxes: Sequence[tuple[float, float, float, float]], colour: str, alpha: float = 1) -> None:
    """Draw boxes (x_min, y_min, x_max, y_max) as a single path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not boxes:
        return
    corners = [point for a, b, c, d in boxes for point in ((a, b), (a, d), (c, d), (c, b), (a, b))]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(boxes)
    patch = PathPatch(Path(corners, codes), facecolor=colour, edgecolor="none", alpha=alpha, clip_on=False)
    axes.add_patch(patch)
    axes.update_datalim(corners)
    axes.autoscale_view()


def _draw_dots(axes: Axes, points: Sequence[Point], colour: str, size_px: float, alpha: float = 1) -> None:
    """Draw dots as a single path of lines without length: their round ends are the dots."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    path = Path([point for point in points for _ in range(2)], [Path.MOVETO, Path.LINETO] * len(points))
    path.should_simplify = False
    patch = PathPatch(path, facecolor="none", edgecolor=colour, linewidth=size_px, alpha=alpha, clip_on=False)
    patch.set_capstyle("round")
    axes.add_patch(patch)
    axes.update_datalim(points)
    axes.autoscale_view()


def _keep_finite(series: Mapping[str, Sequence[Point]]) -> dict[str, list[Point]]:
    kept = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in series.items()}
    return {name: points for name, points in kept.items() if points}


def _thin(points: Sequence[Point], budget: int) -> Sequence[Point]:
    """Return at most `budget` points or so: of each stretch its lowest and its highest, so that no peak is lost."""
    if len(points) <= budget:
        return points
    stretch = math.ceil(2 * len(points) / budget)
    kept: list[Point] = [points[0]]
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return [*kept, points[-1]]


def _clip(value: float, limits: tuple[float, float] | None) -> float:
    return value if limits is None else min(max(value, limits[0]), limits[1])


def _choose_edges(series: Iterable[Sequence[float]], bins: int, *, log: bool) -> list[float]:
    """Return the edges of bins that all series share."""
    import numpy as np

    values = np.concatenate([np.asarray(part, dtype=np.float64) for part in series])
    low, high = float(values.min()), float(values.max())
    if not log and high - low < bins and bool((values == np.round(values)).all()):
        return [edge - 0.5 for edge in range(int(low), int(high) + 2)]
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    # Rounding in geomspace must not push the extremes out of the outer bins.
    return [low, *edges[1:-1].tolist(), high]


def _name(shown: Iterable[str], *, filled: bool = False) -> tuple[LegendEntry, ...]:
    return tuple(LegendEntry(clean(name, 60), index, filled) for index, name in enumerate(shown))


def _left_out(kept: Mapping[str, Any], limit: int = _MAX_SERIES) -> str:
    return f"{len(kept) - limit} more are left out." if len(kept) > limit else ""
