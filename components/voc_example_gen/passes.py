"""The Beam steps of VocExampleGen: thin, for what they do is in `reefline.data`.

An element is a chunk of candidates in the first pass and a shard in the second, never an image: nothing is grouped
over images, and no more than one is in a process's memory. What passes leave behind is files in a working folder. Beam
reshuffles nothing, as the processes that share the work are not its own (see InspectDoFn), and each reshuffling costs
as much as 200 images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from reefline.data.image_record import write_records
from reefline.data.inspection import ImageLimits
from reefline.data.matching import Candidate, Discovery
from reefline.data.parallel_inspection import Chunk, inspect_chunk, read_inspections, start_workers
from reefline.data.planning import IngestionPlan, Shard, plan_ingestion
from reefline.data.reports import IngestionReport
from reefline.data.shards import write_shard
from reefline.errors import DataError
from reefline.findings import Finding
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.settings import IngestionSettings
from reefline.structures.label_map import LabelMap

LABEL_MAP_FILE = "label_map.pbtxt"
REPORT_FILE = "report.json"
RECORDS_FILE = "records.jsonl"
_FAILURE_FILE = "failure.json"
_CANDIDATES_PER_CHUNK = 64


@dataclass(frozen=True)
class Passes:
    """What the steps need to know; paths as strings and settings as JSON, so that it travels to any worker."""

    data_dir: str
    work_dir: str
    examples_dir: str
    settings_json: str
    given_label_map: LabelMap | None

    @property
    def settings(self) -> IngestionSettings:
        """The settings of ingestion."""
        return IngestionSettings.from_json(self.settings_json)


def apply_passes(pipeline: beam.Pipeline, passes: Passes, discovery: Discovery) -> None:
    """Add both passes and the planning between them to a Beam pipeline."""
    candidates = discovery.candidates
    starts = range(0, len(candidates), _CANDIDATES_PER_CHUNK)
    chunks = [(start, candidates[start : start + _CANDIDATES_PER_CHUNK]) for start in starts]
    _ = (
        pipeline
        | "Candidates" >> beam.Create(chunks, reshuffle=False)
        | "Inspect" >> beam.ParDo(InspectDoFn(passes))
        | "AllInspected" >> beam.CombineGlobally(sum).without_defaults()
        | "Plan" >> beam.ParDo(PlanDoFn(passes, discovery.findings, discovery.has_split_lists))
        | "Write" >> beam.ParDo(WriteDoFn(passes))
    )


def read_failure(work_dir: Path) -> DataError | None:
    """Return the error that planning ended in: raised inside Beam it would lose its type on the way."""
    path = work_dir / _FAILURE_FILE
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return DataError(*record["problems"], findings=tuple(map(Finding.from_json, record["findings"])))


def read_report(work_dir: Path) -> IngestionReport:
    """Return the report that planning left."""
    return IngestionReport.from_json(json.loads((work_dir / REPORT_FILE).read_text(encoding="utf-8")))


class InspectDoFn(beam.DoFn):
    """Inspects chunks of candidates: with processes of its own beside this one where `data.workers` asks for more.

    Beam's own worker processes each import TensorFlow and TFX, which takes longer than thousands of images do.
    """

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._pool: ProcessPoolExecutor | None = None
        self._pending: list[tuple[Chunk, Future[None]]] = []

    def setup(self) -> None:
        """Start the processes."""
        others = self._passes.settings.workers - 1
        if others:
            self._pool = start_workers(others)

    def process(self, element: tuple[int, Sequence[Candidate]]) -> Iterator[int]:
        """Yield how many candidates are inspected, or will be when the bundle is finished."""
        start, candidates = element
        passes, settings = self._passes, self._passes.settings
        limits = ImageLimits(settings.max_image_pixels, settings.max_dimension)
        names = passes.given_label_map.names if passes.given_label_map else None
        chunk = Chunk(start, candidates, passes.data_dir, passes.work_dir, limits, names)
        if self._pool is None:
            inspect_chunk(chunk)
        else:
            self._pending.append((chunk, self._pool.submit(inspect_chunk, chunk)))
        yield len(candidates)

    def finish_bundle(self) -> None:
        """Do what no process has begun, from the end, and wait for the rest; what one of them raised is raised here."""
        pending, self._pending = self._pending, []
        for chunk, future in reversed(pending):
            if future.cancel():
                inspect_chunk(chunk)
        for _, future in pending:
            if not future.cancelled():
                future.result()

    def teardown(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class PlanDoFn(beam.DoFn):
    """Plans what is written, once all is inspected; a data set that is refused leaves its reasons and no shard."""

    def __init__(self, passes: Passes, findings: tuple[Finding, ...], has_split_lists: bool) -> None:
        self._passes = passes
        self._discovery = Discovery((), findings, has_split_lists)

    def process(self, _: int) -> Iterator[Shard]:
        """Yield the shards to write."""
        work_dir = Path(self._passes.work_dir)
        inspections = read_inspections(work_dir)
        try:
            plan = plan_ingestion(self._discovery, inspections, self._passes.settings, self._passes.given_label_map)
        except DataError as error:
            record = {"problems": error.problems, "findings": [finding.to_json() for finding in error.findings]}
            (work_dir / _FAILURE_FILE).write_text(json.dumps(record), encoding="utf-8")
            return
        _write_plan(work_dir, plan)
        yield from plan.shards


class WriteDoFn(beam.DoFn):
    """Writes one shard."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    def process(self, element: Shard) -> Iterator[str]:
        """Yield the path of the file that was written."""
        label_map = read_label_map(Path(self._passes.work_dir) / LABEL_MAP_FILE)
        split_dir = Path(self._passes.examples_dir) / f"Split-{element.split}"
        yield str(write_shard(Path(self._passes.data_dir), split_dir, element, label_map))


def _write_plan(work_dir: Path, plan: IngestionPlan) -> None:
    write_label_map(work_dir / LABEL_MAP_FILE, plan.label_map)
    write_records(work_dir / RECORDS_FILE, plan.records)
    (work_dir / REPORT_FILE).write_text(json.dumps(plan.report.to_json(), indent=1), encoding="utf-8")
