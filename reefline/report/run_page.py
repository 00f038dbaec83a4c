"""The page of one run: ReviewReport's sections, and around them those that differ between any two runs."""

from __future__ import annotations

import shutil
from pathlib import Path

from reefline.errors import RecordError
from reefline.lineage.records import RunRecord
from reefline.report.page import PageHeader, assemble_page
from reefline.report.reviewed_run import ReviewedRun
from reefline.report.run_artifacts import find_review
from reefline.report.safely import SectionMaker, make_all
from reefline.report.section import ReviewSections, Section
from reefline.report.sections.changes import make_changes_section
from reefline.report.sections.provenance import make_provenance_section
from reefline.report.sections.verdict import make_verdict_section
from reefline.report.summary import decide_verdict
from reefline.structures.artifacts import ReviewFolder

# The page over all runs, seen from a run's folder.
_HOME = "../index.html"


def make_run_page(reviewed: ReviewedRun, folder: Path, *, remake: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the page as HTML, and one message per part that could not be made.

    `folder` is the run's; the page of statistics is put there. `remake` is as in `read_or_make_sections`.
    """
    first = make_all(
        (
            SectionMaker("verdict", "Verdict", lambda: make_verdict_section(reviewed.records)),
            SectionMaker("changes", "Changes", lambda: _make_changes(reviewed)),
        )
    )
    middle = read_or_make_sections(reviewed, folder, remake=remake)
    last = make_all((SectionMaker("provenance", "Provenance", lambda: make_provenance_section(reviewed)),))
    records = reviewed.records
    page = assemble_page(
        records.model or "Run",
        (*first.sections, *middle.sections, *last.sections),
        header=PageHeader(records.run_id, reviewed.date, decide_verdict(records), _HOME),
    )
    return page, (*first.problems, *middle.problems, *last.problems)


def read_or_make_sections(reviewed: ReviewedRun, folder: Path, *, remake: bool = False) -> ReviewSections:
    """Return what ReviewReport made, if the run reached it, else the same from the artifacts that exist.

    The page of statistics is put into `folder`. What failed is made again: what it failed for, such as full memory,
    may be over. With `remake` everything is; what ReviewReport made stays if that fails, for example because artifacts
    have been deleted.
    """
    records = reviewed.records
    if not remake and (kept := _take_kept(reviewed.run, folder)) is not None:
        return kept
    if reviewed.run is None and not records.findings:
        return ReviewSections(())
    # Imported here: a run whose components are all cached reads its sections and imports nothing to make them.
    from reefline.report.review import make_sections

    statistics = ReviewFolder(folder).statistics
    edgetpu = records.edgetpu if records.failure else None
    made = make_sections(
        reviewed.sources, statistics, findings=records.findings, anomalies=records.anomalies, edgetpu=edgetpu
    )
    if remake and made.problems and (kept := _take_kept(reviewed.run, folder)) is not None:
        return kept
    return made


def _take_kept(run: RunRecord | None, folder: Path) -> ReviewSections | None:
    """Return ReviewReport's sections and put its page of statistics into `folder`; None if a part is unusable."""
    review = find_review(run)
    kept = _read_review(review) if review is not None else None
    if review is None or kept is None or kept.problems:
        return None
    shutil.copyfile(review.statistics, folder / review.statistics.name)
    return kept


def _read_review(review: ReviewFolder) -> ReviewSections | None:
    """Return the kept sections, None if they or the page of statistics are missing or damaged."""
    try:
        return ReviewSections.read(review.sections) if review.statistics.is_file() else None
    except RecordError:
        return None


def _make_changes(reviewed: ReviewedRun) -> Section | None:
    current, earlier = reviewed.sources.ingestion, reviewed.earlier
    if current is None or earlier is None:
        return None
    return make_changes_section(current, earlier.ingestion, earlier.run_id)
