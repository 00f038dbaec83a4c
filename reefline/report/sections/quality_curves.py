"""The curves of the quality section: precision against recall, and F1 against the confidence threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.report.charts import Point, line_chart

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from markupsafe import Markup

    from reefline.evaluation.curves import ClassCurve

# More lines than these and the mean cannot be told apart.
MAX_CLASSES = 8
_POINTS = 101


@dataclass(frozen=True)
class CurveCharts:
    """Both charts; `shown` of `known` classes have a line, those with the lowest average precision."""

    precision_recall: Markup
    f1: Markup
    shown: int
    known: int


def draw_curves(curves: Sequence[ClassCurve]) -> CurveCharts | None:
    """Return the charts of the classes that have objects; None if none has."""
    import numpy as np

    known = [curve for curve in curves if curve.precision_at_recall.size]
    if not known:
        return None
    worst = sorted(known, key=lambda curve: float(curve.precision_at_recall.mean()))[:MAX_CLASSES]
    grid = np.linspace(0.0, 1.0, _POINTS)
    f1_of = {id(curve): read_f1(curve, grid) for curve in known}

    def series(read: Callable[[ClassCurve], npt.NDArray[np.float64]]) -> Mapping[str, Sequence[Point]]:
        lines = {curve.label: _pair(grid, read(curve)) for curve in worst}
        if len(known) == 1:
            return lines
        mean = np.mean([read(curve) for curve in known], axis=0)
        return {_name_mean(lines, len(known)): _pair(grid, mean), **lines}

    return CurveCharts(
        precision_recall=line_chart(
            "Precision against recall", "recall", "precision", series(lambda c: c.precision_at_recall), y_range=(0, 1)
        ),
        f1=line_chart(
            "F1 against the confidence threshold", "confidence", "F1", series(lambda c: f1_of[id(c)]), y_range=(0, 1)
        ),
        shown=len(worst),
        known=len(known),
    )


def read_f1(curve: ClassCurve, thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return F1 of the detections whose score is at least each of the thresholds; 0 above the highest score."""
    import numpy as np

    f1 = np.append(curve.f1, 0.0)
    read: npt.NDArray[np.float64] = f1[np.searchsorted(curve.confidences, thresholds, side="left")]
    return read


def _pair(xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]) -> list[Point]:
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _name_mean(lines: Mapping[str, object], count: int) -> str:
    """Return a name for the mean that no class has."""
    name = f"mean of {count} classes"
    while name in lines:
        name += " (mean)"
    return name
