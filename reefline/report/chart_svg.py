"""From a matplotlib figure to SVG for the page: no ids, no inline styles, colours by CSS class."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from reefline.report.section import render

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

# Colours that stand for CSS classes: the page's style decides what they look like, in light and in dark.
SERIES = tuple(f"#0000{number:02x}" for number in range(1, 9))
GRID = "#000011"
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 2), (7, 2, 2, 2))

_SVG = "{http://www.w3.org/2000/svg}"
_SKIPPED = frozenset(f"{_SVG}{name}" for name in ("metadata", "defs", "style"))
_NUMBER = re.compile(r"-?\d+\.\d+")
# Styles that matplotlib writes and that are the page's business, or SVG's default.
_IGNORED_STYLES = frozenset({"font", "font-family", "stroke-miterlimit", "stroke-linejoin"})
_MAX_LABEL = 32


@dataclass(frozen=True)
class LegendEntry:
    """A series as the legend shows it; `index` chooses colour and dashes, `filled` a patch instead of a line."""

    label: str
    index: int
    filled: bool

    @property
    def colour(self) -> int:
        """The number of the CSS class."""
        return self.index % len(SERIES)

    @property
    def dashes(self) -> str:
        """SVG's stroke-dasharray, "" for a solid line."""
        return " ".join(f"{length:g}" for length in DASHES[self.index % len(DASHES)])


def new_figure(width_px: float, height_px: float) -> Figure:
    """Return an empty figure; one unit of its SVG is a CSS pixel when shown at its own size."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_px / 72, height_px / 72), layout="constrained")
    figure.patch.set_visible(False)
    FigureCanvasSVG(figure)
    return figure


def show(
    figure: Figure | None, title: str, description: str, legend: Sequence[LegendEntry] = (), note: str = ""
) -> Markup:
    """Return a <figure> with the drawing, its caption and its legend; `description` is for screen readers.

    Without a drawing, it says that there are no data.
    """
    from markupsafe import Markup

    width_px, height_px = (72 * figure.get_size_inches()) if figure else (0, 0)
    html = render(
        "chart.html",
        title=clean(title, 200),
        description=clean(description, 2000),
        svg=_to_svg(figure) if figure else None,
        width=f"{width_px:g}",
        height=f"{height_px:g}",
        legend=legend,
        note=note,
    )
    return Markup(html)


def clean(text: str, limit: int = _MAX_LABEL) -> str:
    """Return text without characters that XML forbids or that turn the reading direction, at most `limit` long."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:limit])
    return f"{shown[:-1]}…" if len(text) > limit else shown


def _to_svg(figure: Figure) -> Markup:
    import warnings

    import matplotlib
    import matplotlib.text
    from defusedxml.ElementTree import fromstring
    from markupsafe import Markup

    for text in figure.findobj(matplotlib.text.Text):
        text.set_parse_math(False)  # A class may be called "$x$".
    buffer = io.BytesIO()
    settings: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": "reefline"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The browser has fonts for characters that matplotlib's own font lacks.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return Markup("".join(_write_children(fromstring(buffer.getvalue()))))


def _write_children(parent: Element) -> Iterator[Markup]:
    """Yield a parent's children as HTML; groups without any attribute worth keeping are left out."""
    from markupsafe import Markup, escape

    for child in parent:
        if child.tag in _SKIPPED or not isinstance(child.tag, str):
            continue
        name = child.tag.removeprefix(_SVG)
        attributes = _clean_attributes(child)
        inner = escape(child.text or "") if name == "text" else Markup("").join(_write_children(child))
        if name == "g" and (not inner or not attributes):
            yield inner
            continue
        shown = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in attributes.items())
        yield Markup("<{}{}>{}</{}>").format(name, shown, inner, name)


def _clean_attributes(element: Element) -> dict[str, str]:
    """Return an element's attributes without ids, its styles as attributes, and its colours as classes."""
    found = {key: _shorten(value) for key, value in element.attrib.items() if key not in ("id", "style", "clip-path")}
    if found.get("transform", "").startswith("rotate(-0"):
        del found["transform"]
    classes = []
    for style in filter(None, element.get("style", "").split(";")):
        key, _, value = (part.strip() for part in style.partition(":"))
        if key in _IGNORED_STYLES:
            continue
        if value in SERIES:
            classes.append(f"{key[0]}{SERIES.index(value)}")
            continue
        if value == GRID:
            classes.append("grid-line")
            continue
        found[key] = _shorten(value)
    return {**found, "class": " ".join(classes)} if classes else found


def _shorten(value: str) -> str:
    """Return a value with one decimal per coordinate, and dots (lines without length) in short."""
    rounded = _NUMBER.sub(lambda match: f"{round(float(match.group()), 1):g}", value)
    return re.sub(r"\s+", " ", re.sub(r"M (\S+) (\S+) \s*L \1 \2(?=\s|$)", r"M\1 \2h0", rounded)).strip()
