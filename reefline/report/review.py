"""What a review shows of a run's artifacts: the sections in their order, and TFDV's statistics as a second page."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reefline.data.reports import Anomaly
from reefline.findings import Finding
from reefline.report.page import assemble_page
from reefline.report.safely import SectionMaker, make_all
from reefline.report.section import ReviewSections, Section
from reefline.report.sections.data import make_data_section
from reefline.report.sections.edge_tpu import make_edge_tpu_section
from reefline.report.sections.quality import make_quality_section
from reefline.report.sections.training import make_training_section
from reefline.report.sources import RunSources
from reefline.report.statistics_page import make_statistics_page
from reefline.structures.artifacts import ReviewFolder
from reefline.system.files import write_whole

_LOGGER = logging.getLogger(__name__)


def write_review(sources: RunSources, model: str, folder: ReviewFolder) -> None:
    """Write the sections, a page of them, and the page of statistics."""
    made = make_sections(sources, folder.statistics)
    made.write(folder.sections)
    write_whole(folder.page, assemble_page(model, made.sections))


def _write_statistics(sources: RunSources, target: Path) -> tuple[str, ...]:
    """Write the page of StatisticsGen's statistics, if there are any; return a message if that fails."""
    if sources.statistics is None:
        return ()
    try:
        write_whole(target, make_statistics_page(sources.statistics))
    except Exception as error:
        _LOGGER.exception("the page of statistics failed")
        return (f"review page: {target.name} is missing: {type(error).__name__}: {error}",)
    return ()


def make_sections(
    sources: RunSources,
    statistics: Path,
    *,
    findings: Sequence[Finding] | None = None,
    anomalies: Sequence[Anomaly] | None = None,
) -> ReviewSections:
    """Write the page of statistics to `statistics`, and return the sections of all that a run reached.

    `findings` and `anomalies` are those of a run that its data stopped, which has no validation report.
    """
    problems = _write_statistics(sources, statistics)

    def make_data() -> Section | None:
        page = statistics.name if statistics.is_file() else ""
        return make_data_section(sources, findings=findings, anomalies=anomalies, statistics_page=page)

    made = make_all(
        (
            SectionMaker("data", "Data", make_data),
            SectionMaker("training", "Training", lambda: make_training_section(sources)),
            SectionMaker("quality", "Quality", lambda: make_quality_section(sources)),
            SectionMaker("edge-tpu", "Edge TPU", lambda: make_edge_tpu_section(sources)),
        )
    )
    return replace(made, problems=(*made.problems, *problems))
