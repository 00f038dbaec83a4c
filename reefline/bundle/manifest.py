"""A bundle's manifest: what its files are, what they were made from, and what the gate found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from reefline.bundle.layout import EDGE_TPU_FILE, FLOAT_FILE, INT8_FILE, find_shipped_model, read_labels
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.errors import BundleError
from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.evaluation.scores import Scores
from reefline.system.files import hash_file
from reefline.system.record import Record, describe_damage
from reefline.tflite.labels import LABELS_FILE

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 1
REMEDY = "restore the bundle or push again"
# Far above any manifest.
_MAX_BYTES = 16_000_000
# The files of a candidate that are shipped where they exist; the manifest holds what is in the others.
_SHIPPED_FILES = (INT8_FILE, EDGE_TPU_FILE, FLOAT_FILE, LABELS_FILE)


@dataclass(frozen=True)
class FileRecord:
    """One file of a bundle."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class BundleFacts:
    """What is known of a candidate before it is pushed.

    `classes` are in the order of the 0-based class ids. `data_fingerprint` is that of the images and annotations it was
    trained on, `checkpoint` the path of the training's best checkpoint ("" where unknown). An int8 model was trained
    for another `quantization_aware_steps` from there. `licenses` counts the images under each license, evaluation's
    included; it is empty if the data set does not tell where its images come from.
    """

    model: str
    run_id: str
    height_px: int
    width_px: int
    classes: tuple[str, ...]
    evaluation: EvaluationReport
    edgetpu: EdgeTpuRecord
    data_fingerprint: str
    checkpoint: str
    quantization_aware_steps: int = 0
    licenses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest(Record):
    """manifest.json: the facts, and what the push added.

    `created` is an ISO 8601 time in UTC; `replaces` is the version that served before, None where none did.
    """

    facts: BundleFacts
    version: int
    created: str
    replaces: Optional[int]
    files: tuple[FileRecord, ...]

    @property
    def shipped_file(self) -> FileRecord:
        """The TFLite file that the verdict was about."""
        return find_shipped_file(self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as manifest.json shows it."""
        facts = self.facts
        return {
            "schema_version": SCHEMA_VERSION,
            "model": facts.model,
            "version": self.version,
            "run_id": facts.run_id,
            "created": self.created,
            "replaces": self.replaces,
            "files": {file.name: {"sha256": file.sha256, "bytes": file.bytes} for file in self.files},
            "input_size": [facts.height_px, facts.width_px],
            "classes": list(facts.classes),
            "metrics": _metrics_to_json(facts.evaluation.scores),
            "gate": {
                "verdict": facts.evaluation.verdict.value,
                "rules": [result.to_json() for result in facts.evaluation.gate],
            },
            "edgetpu": facts.edgetpu.to_json(),
            "data_fingerprint": facts.data_fingerprint,
            "data": {"licenses": dict(facts.licenses)},
            "checkpoint": facts.checkpoint,
            "quantization_aware_steps": facts.quantization_aware_steps,
            "thresholds": dict(facts.evaluation.thresholds),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Manifest:
        """Read back what `to_json` wrote."""
        height_px, width_px = record["input_size"]
        facts = BundleFacts(
            model=record["model"],
            run_id=record["run_id"],
            height_px=height_px,
            width_px=width_px,
            classes=tuple(record["classes"]),
            evaluation=EvaluationReport(
                scores=Scores.from_json(record["metrics"]),
                gate=tuple(GateResult.from_json(result) for result in record["gate"]["rules"]),
                thresholds=_read_thresholds(record.get("thresholds", {})),
            ),
            edgetpu=EdgeTpuRecord.from_json(record["edgetpu"]),
            data_fingerprint=record["data_fingerprint"],
            checkpoint=record["checkpoint"],
            quantization_aware_steps=record.get("quantization_aware_steps", 0),
            licenses=_read_licenses(record.get("data", {}).get("licenses", {})),
        )
        files = tuple(FileRecord(name=name, **file) for name, file in record["files"].items())
        return cls(facts, record["version"], record["created"], record["replaces"], files)


def _metrics_to_json(scores: Scores) -> dict[str, Any]:
    """Return the metrics without the times of the machine that scored: a bundle runs on others."""
    return {name: value for name, value in scores.to_json().items() if name != "milliseconds"}


def _read_thresholds(record: Mapping[str, Any]) -> Mapping[str, Optional[float]]:
    """Return the threshold of each class; bundles of older versions have none.

    Raises:
        ValueError: a threshold is not null and not a number from 0 to 1.
    """
    for label, threshold in record.items():
        if threshold is not None and not (type(threshold) in (int, float) and 0 <= threshold <= 1):
            raise ValueError(f"thresholds: {label!r}: {threshold!r} found, a number from 0 to 1 or null expected")
    return dict(record)


def _read_licenses(record: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the number of images under each license; bundles of older versions have none.

    Raises:
        ValueError: a number is not a whole one above 0.
    """
    for name, count in record.items():
        if type(count) is not int or count < 1:
            raise ValueError(f"data.licenses: {name!r}: {count!r} found, a number above 0 expected")
    return dict(record)


def find_shipped_file(files: Iterable[FileRecord]) -> FileRecord:
    """Return the TFLite file among a bundle's files that the verdict is about: int8, or float without int8."""
    return next(file for file in files if file.name in (INT8_FILE, FLOAT_FILE))


def record_files(bundle: Path) -> tuple[FileRecord, ...]:
    """Return name, sha256 and size of every file of a bundle that is shipped.

    Raises:
        BundleError: the TFLite model or labels.txt is missing.
    """
    find_shipped_model(bundle)
    read_labels(bundle)
    paths = (bundle / name for name in _SHIPPED_FILES)
    return tuple(FileRecord(path.name, hash_file(path), path.stat().st_size) for path in paths if path.is_file())


def read_manifest(bundle: Path) -> Manifest:
    """Read a bundle's manifest.

    Raises:
        BundleError: it is missing or damaged, or a newer Reefline wrote it.
    """
    return parse_manifest(read_manifest_bytes(bundle), bundle / MANIFEST_FILE)


def read_manifest_bytes(bundle: Path) -> bytes:
    """Return the content of a bundle's manifest, which is what a signature signs.

    Raises:
        BundleError: it is missing, unreadable or too large.
    """
    path = bundle / MANIFEST_FILE
    try:
        if path.exists() and not path.is_file():
            raise BundleError(f"{path}: not a file; {REMEDY}")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: missing or unreadable ({error.strerror}); {REMEDY}") from error
    if len(content) > _MAX_BYTES:
        raise BundleError(f"{path}: more than {_MAX_BYTES} bytes; {REMEDY}")
    return content


def parse_manifest(content: bytes, path: object) -> Manifest:
    """Return what a manifest's file contains; `path` is where it is, for messages.

    Raises:
        BundleError: it is damaged, or a newer Reefline wrote it.
    """
    try:
        record = json.loads(content.decode("utf-8"))
        if record["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"{path}: schema_version {record['schema_version']} found, {SCHEMA_VERSION} expected; "
                "use the Reefline that wrote it"
            )
        manifest = Manifest.from_json(record)
    except RecursionError:
        raise BundleError(f"{path}: damaged (nested too deep); {REMEDY}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(*(f"{path}: {problem}; {REMEDY}" for problem in describe_damage(error))) from error
    problems = (*_check_versions(manifest), *_check_files(manifest.files))
    if problems:
        raise BundleError(*(f"{path}: {problem}; {REMEDY}" for problem in problems))
    return manifest


def _check_versions(manifest: Manifest) -> Iterator[str]:
    """Check the versions, which name folders: a version is above all earlier ones, so it replaces a lower one."""
    version, replaces = manifest.version, manifest.replaces
    if type(version) is not int or version < 1:
        yield f"version: {_shorten(version)} found, a number above 0 expected"
    elif replaces is not None and not (type(replaces) is int and 0 < replaces < version):
        yield f"replaces: {_shorten(replaces)} found, null or a version below {version} expected"


def _check_files(files: Sequence[FileRecord]) -> Iterator[str]:
    """Check the names, which are joined to the bundle's path, and that nothing required is left out."""
    for file in files:
        if file.name not in _SHIPPED_FILES:
            yield f"files: {_shorten(file.name)} is no file of a bundle ({', '.join(_SHIPPED_FILES)})"
        elif type(file.bytes) is not int or not re.fullmatch("[0-9a-f]{64}", str(file.sha256)):
            yield f"files: {file.name}: size or sha256 damaged"
    names = {file.name for file in files}
    if not names & {INT8_FILE, FLOAT_FILE}:
        yield "lists no TFLite model"
    if LABELS_FILE not in names:
        yield f"does not list {LABELS_FILE}"


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
