"""Ingestion from end to end: find, inspect, plan, write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reefline.data.data_parts import DataSet
from reefline.data.engine import Engine
from reefline.data.finding_pictures import write_finding_pictures
from reefline.data.fingerprint import list_unchanged, provide_locally
from reefline.data.image_record import write_records
from reefline.data.inspection import ImageLimits, Inspection
from reefline.data.layouts import list_data_files
from reefline.data.matching import Discovery, discover, list_read_by_discovery
from reefline.data.planning import IngestionPlan, plan_ingestion
from reefline.data.reports import IngestionReport
from reefline.data.tasks import InspectTask, WriteTask
from reefline.settings import IngestionSettings
from reefline.storage.location import Location
from reefline.structures.artifacts import IngestionFolder
from reefline.structures.label_map import LabelMap

# Few, so that the last task of a process keeps nobody waiting; more where there would be very many tasks.
_CANDIDATES_PER_TASK = 32
_MAX_CANDIDATES_PER_TASK = 500
_MANY_TASKS = 4096


@dataclass(frozen=True)
class FoundData:
    """A data set and what was found in it."""

    data: DataSet
    discovery: Discovery


def find_data(
    data_dir: str, settings: IngestionSettings, fingerprint: str, *, copy_to: Path | None = None
) -> FoundData:
    """Find images and annotations below a folder or URI, which must still have this `fingerprint` if it is a URI.

    Data at a URI is first copied into `copy_to`, or stays there (None): each task then copies what it needs.

    Raises:
        DataError: the data changed, is missing, or holds no images or annotations.
        StorageError: the data's store cannot be read.
    """
    location = Location.parse(data_dir)
    if location.is_remote and copy_to is None:
        remote = list_unchanged(location, settings, fingerprint)
        data, files = DataSet(str(location), remote.objects), remote.files
        names = list_read_by_discovery(files)
    else:
        folder = provide_locally(data_dir, settings, fingerprint, copy_to or Path())
        files = list_data_files(folder, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
        data, names = DataSet(str(folder)), ()
    with data.part(names).provide() as folder:
        return FoundData(data, discover(folder, files, split_folders=settings.split_folders))


def ingest(
    found: FoundData,
    settings: IngestionSettings,
    given_label_map: LabelMap | None,
    engine: Engine,
    folder: IngestionFolder,
    examples: str,
) -> IngestionReport:
    """Write report, records and pictures of findings into `folder`, and the examples; nothing if planning refuses.

    `examples` is the path or URI of an ExamplesFolder that every worker can write to.

    Raises:
        DataError: the data cannot be ingested, or changed meanwhile; it carries all findings.
        StorageError: a store cannot be used.
    """
    data, discovery = found.data, found.discovery
    plan = plan_ingestion(
        _inspect(found, settings, given_label_map, engine),
        settings,
        given_label_map,
        matching_findings=discovery.findings,
        names_splits=discovery.names_splits,
        origins=discovery.origins,
    )
    tasks = [
        WriteTask(data.part(record.image for record in shard.records), shard, plan.label_map, examples)
        for shard in plan.shards
    ]
    for _ in engine.run(tasks, lambda: _write_reports(data, plan, settings.max_image_pixels, folder)):
        pass
    return plan.report


def _inspect(
    found: FoundData, settings: IngestionSettings, given_label_map: LabelMap | None, engine: Engine
) -> Iterator[Inspection]:
    candidates = found.discovery.candidates
    limits = ImageLimits(settings.max_image_pixels, settings.max_dimension)
    names = given_label_map.names if given_label_map else None
    size = min(max(_CANDIDATES_PER_TASK, len(candidates) // _MANY_TASKS), _MAX_CANDIDATES_PER_TASK)
    tasks = []
    for start in range(0, len(candidates), size):
        chosen = candidates[start : start + size]
        part = found.data.part(name for candidate in chosen for name in (candidate.image, candidate.xml))
        tasks.append(InspectTask(part, chosen, limits, names))
    for result in engine.run(tasks):
        yield from result.inspections


def _write_reports(data: DataSet, plan: IngestionPlan, limit: int, folder: IngestionFolder) -> None:
    folder.root.mkdir(parents=True, exist_ok=True)
    write_records(folder.records, plan.records)
    plan.report.write(folder.report)
    write_finding_pictures(data, folder, plan.report, plan.records, max_image_pixels=limit)
