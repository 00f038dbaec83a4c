"""Ingestion in this process, without Beam, TFX and TensorFlow: the steps of VocExampleGen and of the validator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.data.image_record import ImageRecord
from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.layouts import list_data_files
from reefline.data.matching import discover
from reefline.data.planning import plan_ingestion
from reefline.data.validation import validate_data_set
from reefline.findings import Finding
from reefline.od_api.label_map_file import read_label_map
from reefline.settings import IngestionSettings, ValidationSettings
from reefline.structures.label_map import LabelMap

# Whatever is dropped is a finding, and no number of them stops the run.
ANY_REJECTED = 1.0


@dataclass(frozen=True)
class Ingested:
    """What ingestion and validation leave."""

    records: tuple[ImageRecord, ...]
    findings: tuple[Finding, ...]
    label_map: LabelMap


def ingest_here(
    data_dir: Path,
    settings: IngestionSettings = IngestionSettings(max_rejected_fraction=ANY_REJECTED),  # noqa: B008  frozen
    validation: ValidationSettings = ValidationSettings(),  # noqa: B008  frozen
) -> Ingested:
    """Ingest a folder up to the point where files would be written.

    Raises:
        DataError, ConfigError: as the components do.
    """
    given = read_label_map(settings.label_map) if settings.label_map is not None else None
    files = list_data_files(data_dir, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
    discovery = discover(data_dir, files, split_folders=settings.split_folders)
    limits = ImageLimits(settings.max_image_pixels, settings.max_dimension)
    names = given.names if given is not None else None
    plan = plan_ingestion(
        [inspect_candidate(data_dir, candidate, limits, names) for candidate in discovery.candidates],
        settings,
        given,
        matching_findings=discovery.findings,
        names_splits=discovery.names_splits,
    )
    report = validate_data_set(plan.records, plan.report, (), validation)
    return Ingested(plan.records, report.findings, plan.label_map)
