"""A section of the review page, and how templates become HTML."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.system.record import Record

if TYPE_CHECKING:
    import jinja2

TEMPLATE_DIR = Path(__file__).resolve().parent / "templates"
# Only what is made outside the pipeline uses these. A new template counts until it is listed here.
NOT_IN_THE_REVIEW = frozenset(
    {
        "changes.html",
        "gallery.html",
        "index.html",
        "index.js",
        "index_chart.html",
        "live.html",
        "live.js",
        "provenance.html",
        "verdict.html",
    }
)


@dataclass(frozen=True)
class Section(Record):
    """A part of the page: its anchor, its heading, and its HTML, which is already escaped."""

    id: str
    title: str
    html: str


@dataclass(frozen=True)
class ReviewSections(Record):
    """sections.json: the parts of a page that follow from a run's artifacts, in their order.

    `problems` has one message per section that could not be made.
    """

    sections: tuple[Section, ...]
    problems: tuple[str, ...] = ()


def render(template: str, **facts: Any) -> str:
    """Return the HTML of a template in `templates/`; every value is escaped, and a missing one is an error."""
    return _environment().get_template(template).render(**facts)


def list_review_templates() -> tuple[Path, ...]:
    """Return the files that ReviewReport's page is made from: they count as its code."""
    return tuple(
        sorted(path for path in TEMPLATE_DIR.iterdir() if path.is_file() and path.name not in NOT_IN_THE_REVIEW)
    )


def as_data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a URI that an <img> shows without a request."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE_DIR),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
