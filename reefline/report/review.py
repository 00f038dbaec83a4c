"""The sections of the review page that follow from a run's artifacts, in their order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from reefline.report.section import ReviewSections, Section, render
from reefline.report.sources import RunSources

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class SectionMaker:
    """What makes a section; `make` returns None if the run did not reach it."""

    id: str
    title: str
    make: Callable[[], Section | None]


@dataclass(frozen=True)
class MadeSection:
    """A section and, if it could not be made, the problem; the section then shows that problem."""

    section: Section | None
    problem: str = ""


def make_sections(sources: RunSources) -> ReviewSections:
    """Return the sections of all that the run reached; one that fails does not take the others with it."""
    made = [make_safely(maker) for maker in _list_makers(sources)]
    return ReviewSections(
        sections=tuple(one.section for one in made if one.section is not None),
        problems=tuple(one.problem for one in made if one.problem),
    )


def make_safely(maker: SectionMaker) -> MadeSection:
    """Return the section or, if its maker raises, one that shows the error; the traceback goes to the log."""
    try:
        return MadeSection(maker.make())
    except Exception as error:
        _LOGGER.exception("the section %s of the review page failed", maker.id)
        kind, message = type(error).__name__, next(iter(str(error).splitlines()), "")
        html = render("failed_section.html", kind=kind, message=message)
        return MadeSection(Section(maker.id, maker.title, html), f"section {maker.title}: {kind}: {message}")


def _list_makers(sources: RunSources) -> tuple[SectionMaker, ...]:
    return ()
