"""The sections of the review page that follow from a run's artifacts, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from reefline.data.reports import Anomaly
from reefline.findings import Finding
from reefline.report.safely import SectionMaker, make_all
from reefline.report.section import ReviewSections
from reefline.report.sections.data import make_data_section
from reefline.report.sections.edge_tpu import make_edge_tpu_section
from reefline.report.sections.quality import make_quality_section
from reefline.report.sections.training import make_training_section
from reefline.report.sources import RunSources


def make_sections(
    sources: RunSources, *, findings: Sequence[Finding] | None = None, anomalies: Sequence[Anomaly] | None = None
) -> ReviewSections:
    """Return the sections of all that a run reached.

    `findings` and `anomalies` are those of a run that its data stopped, which only the error carries.
    """
    return make_all(
        (
            SectionMaker("data", "Data", lambda: make_data_section(sources, findings=findings, anomalies=anomalies)),
            SectionMaker("training", "Training", lambda: make_training_section(sources)),
            SectionMaker("quality", "Quality", lambda: make_quality_section(sources)),
            SectionMaker("edge-tpu", "Edge TPU", lambda: make_edge_tpu_section(sources)),
        )
    )
