"""The Beam steps of VocExampleGen: thin, for what they do is in `reefline.data`.

An element is a chunk of candidates in the first pass and a shard in the second, never an image: nothing is grouped
over images, and no more than one is in a worker's memory. What passes leave behind is files in a working folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from reefline.data.inspection import Inspection, inspect_candidate
from reefline.data.matching import Candidate, Discovery
from reefline.data.planning import IngestionPlan, plan_ingestion
from reefline.data.records import write_records
from reefline.data.report import IngestionReport
from reefline.data.shards import read_shard_plan, write_shard, write_shard_plan
from reefline.errors import DataError
from reefline.findings import Finding
from reefline.label_map import LabelMap, read_label_map, write_label_map
from reefline.settings import IngestionSettings

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
        | "Candidates" >> beam.Create(chunks, reshuffle=True)
        | "Inspect" >> beam.ParDo(InspectDoFn(passes))
        | "AllInspected" >> beam.combiners.Count.Globally()
        | "Plan" >> beam.ParDo(PlanDoFn(passes, discovery.findings, discovery.has_split_lists))
        | "SpreadShards" >> beam.Reshuffle()
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
    """Inspects a chunk of candidates and leaves one line of JSON for each."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    def process(self, element: tuple[int, Sequence[Candidate]]) -> Iterator[int]:
        """Yield how many candidates were inspected."""
        start, candidates = element
        passes = self._passes
        names = passes.given_label_map.names if passes.given_label_map else None
        settings, data_dir = passes.settings, Path(passes.data_dir)
        with (Path(passes.work_dir) / f"inspected-{start:09d}.jsonl").open("w", encoding="utf-8") as file:
            for candidate in candidates:
                inspection = inspect_candidate(data_dir, candidate, settings, names)
                file.write(json.dumps(inspection.to_json()) + "\n")
        yield len(candidates)


class PlanDoFn(beam.DoFn):
    """Plans what is written, once all is inspected; a data set that is refused leaves its reasons and no shard."""

    def __init__(self, passes: Passes, findings: tuple[Finding, ...], has_split_lists: bool) -> None:
        self._passes = passes
        self._discovery = Discovery((), findings, has_split_lists)

    def process(self, _: int) -> Iterator[str]:
        """Yield the names of the files that describe the shards: small, unlike all that they hold."""
        work_dir = Path(self._passes.work_dir)
        inspections = _read_inspections(work_dir)
        try:
            plan = plan_ingestion(self._discovery, inspections, self._passes.settings, self._passes.given_label_map)
        except DataError as error:
            record = {"problems": error.problems, "findings": [finding.to_json() for finding in error.findings]}
            (work_dir / _FAILURE_FILE).write_text(json.dumps(record), encoding="utf-8")
            return
        _write_plan(work_dir, plan)
        for number, shard in enumerate(plan.shards):
            name = f"shard-{number:05d}.jsonl"
            write_shard_plan(work_dir / name, shard)
            yield name


class WriteDoFn(beam.DoFn):
    """Writes one shard."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    def process(self, element: str) -> Iterator[str]:
        """Yield the path of the file that was written."""
        work_dir = Path(self._passes.work_dir)
        label_map = read_label_map(work_dir / LABEL_MAP_FILE)
        shard = read_shard_plan(work_dir / element)
        split_dir = Path(self._passes.examples_dir) / f"Split-{shard.split}"
        yield str(write_shard(Path(self._passes.data_dir), split_dir, shard, label_map))


def _read_inspections(work_dir: Path) -> Iterator[Inspection]:
    for path in sorted(work_dir.glob("inspected-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield Inspection.from_json(json.loads(line))


def _write_plan(work_dir: Path, plan: IngestionPlan) -> None:
    write_label_map(work_dir / LABEL_MAP_FILE, plan.label_map)
    write_records(work_dir / RECORDS_FILE, plan.records)
    (work_dir / REPORT_FILE).write_text(json.dumps(plan.report.to_json(), indent=1), encoding="utf-8")
