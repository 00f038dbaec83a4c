"""The Beam steps of VocExampleGen: thin wrappers around `reefline.data`.

An element is a chunk of candidates in the first pass and a shard in the second, never an image, so that a process holds
one image at a time. The passes leave files in a working folder. Nothing is reshuffled: the work is shared by processes
that Beam does not know (see InspectDoFn), and each reshuffle costs as much as 200 images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from reefline.data.finding_pictures import write_finding_pictures
from reefline.data.image_record import write_records
from reefline.data.inspection import ImageLimits
from reefline.data.matching import Candidate, Discovery
from reefline.data.parallel_inspection import Chunk, inspect_chunk, read_inspections, start_workers
from reefline.data.planning import IngestionPlan, Shard, plan_ingestion
from reefline.data.reports import IngestionFailure
from reefline.data.shards import write_shard
from reefline.errors import DataError
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.settings import IngestionSettings
from reefline.structures.artifacts import ExamplesFolder, IngestionFolder, LabelMapFolder
from reefline.structures.label_map import LabelMap

_CANDIDATES_PER_CHUNK = 64


@dataclass(frozen=True)
class Passes:
    """What the steps need to know; paths are strings and settings JSON, so that any worker can unpickle it."""

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
        | "Plan" >> beam.ParDo(PlanDoFn(passes, discovery))
        | "Write" >> beam.ParDo(WriteDoFn(passes))
    )


def read_failure(work_dir: Path) -> DataError | None:
    """Return the error that planning ended with: raised inside Beam, it would lose its type."""
    path = _failure_file(work_dir)
    return IngestionFailure.read(path).to_error() if path.is_file() else None


class InspectDoFn(beam.DoFn):
    """Inspects chunks of candidates, in further processes too where `data.workers` is above 1.

    Each of Beam's own worker processes would import TensorFlow and TFX, which takes longer than thousands of images.
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
        """Yield how many candidates are inspected, or will be once the bundle is finished."""
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
        """Inspect the chunks that no process has started, last first, and wait for the rest; their errors rise here."""
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
    """Plans what to write once everything is inspected; a refused data set leaves an IngestionFailure and no shard."""

    def __init__(self, passes: Passes, discovery: Discovery) -> None:
        self._passes = passes
        self._findings = discovery.findings
        self._names_splits = discovery.names_splits
        self._origins = discovery.origins

    def process(self, _: int) -> Iterator[Shard]:
        """Yield the shards to write."""
        work_dir = Path(self._passes.work_dir)
        try:
            plan = plan_ingestion(
                read_inspections(work_dir),
                self._passes.settings,
                self._passes.given_label_map,
                matching_findings=self._findings,
                names_splits=self._names_splits,
                origins=self._origins,
            )
        except DataError as error:
            IngestionFailure.from_error(error).write(_failure_file(work_dir))
            return
        _write_plan(self._passes, plan)
        yield from plan.shards


class WriteDoFn(beam.DoFn):
    """Writes one shard."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    def process(self, element: Shard) -> Iterator[str]:
        """Yield the path of the file that was written."""
        label_map = read_label_map(LabelMapFolder(Path(self._passes.work_dir)).label_map)
        split_dir = ExamplesFolder(Path(self._passes.examples_dir)).split(element.split)
        yield str(write_shard(Path(self._passes.data_dir), split_dir, element, label_map))


def _write_plan(passes: Passes, plan: IngestionPlan) -> None:
    work_dir = Path(passes.work_dir)
    write_label_map(LabelMapFolder(work_dir).label_map, plan.label_map)
    folder = IngestionFolder(work_dir)
    write_records(folder.records, plan.records)
    plan.report.write(folder.report)
    limit = passes.settings.max_image_pixels
    write_finding_pictures(Path(passes.data_dir), folder, plan.report, plan.records, max_image_pixels=limit)


def _failure_file(work_dir: Path) -> Path:
    return work_dir / "failure.json"
