"""Making a section so that one that fails does not take the page with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reefline.report.section import ReviewSections, Section, render

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class SectionMaker:
    """What makes a section; `make` returns None if the run did not reach it."""

    id: str
    title: str
    make: Callable[[], Section | None]


def make_all(makers: Sequence[SectionMaker]) -> ReviewSections:
    """Return the sections of all that the run reached; in place of one whose maker raises, one with the error.

    The traceback goes to the log.
    """
    sections, problems = [], []
    for maker in makers:
        try:
            section = maker.make()
        except Exception as error:
            _LOGGER.exception("the section %s of the review page failed", maker.id)
            kind, message = type(error).__name__, next(iter(str(error).splitlines()), "")
            section = Section(maker.id, maker.title, render("failed_section.html", kind=kind, message=message))
            problems.append(f"review page: section {maker.title} is missing: {kind}: {message}".rstrip(": "))
        if section is not None:
            sections.append(section)
    return ReviewSections(tuple(sections), tuple(problems))
