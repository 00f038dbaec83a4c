"""A bundle: the folder that is shipped, and its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from reefline.bundle.layout import EDGE_TPU_FILE, FLOAT_FILE, INT8_FILE, find_shipped_model, read_labels
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.errors import BundleError
from reefline.evaluation.gate import EvaluationReport, GateResult
from reefline.evaluation.scores import Scores
from reefline.system.files import hash_file
from reefline.tflite.metadata import LABELS_FILE

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 1
# What of a candidate is shipped, where it is there; what its other files say is in the manifest.
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

    `classes` are in the order of the 0-based class ids, `data_fingerprint` is that of the images and annotations it was
    trained on, `checkpoint` the path of the training's best checkpoint ("" where unknown), beyond which an int8 model
    was trained for `quantization_aware_steps`.
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


@dataclass(frozen=True)
class Manifest:
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
        return next(file for file in self.files if file.name in (INT8_FILE, FLOAT_FILE))

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
            "metrics": facts.evaluation.scores.to_json(),
            "gate": {
                "verdict": facts.evaluation.verdict.value,
                "rules": [result.to_json() for result in facts.evaluation.gate],
            },
            "edgetpu": facts.edgetpu.to_json(),
            "data_fingerprint": facts.data_fingerprint,
            "checkpoint": facts.checkpoint,
            "quantization_aware_steps": facts.quantization_aware_steps,
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
            ),
            edgetpu=EdgeTpuRecord.from_json(record["edgetpu"]),
            data_fingerprint=record["data_fingerprint"],
            checkpoint=record["checkpoint"],
            quantization_aware_steps=record.get("quantization_aware_steps", 0),
        )
        files = tuple(FileRecord(name=name, **file) for name, file in record["files"].items())
        return cls(facts, record["version"], record["created"], record["replaces"], files)


@dataclass(frozen=True)
class PushRecord:
    """pushed.json: whether a bundle serves now because of this run, which one and where, and why."""

    pushed: bool
    version: int
    path: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the record as pushed.json shows it; `version` is 0 where nothing was pushed."""
        return asdict(self)


def record_files(bundle: Path) -> tuple[FileRecord, ...]:
    """Return name, sha256 and size of every shipped file of a bundle.

    Raises:
        BundleError: the TFLite model or labels.txt is missing.
    """
    find_shipped_model(bundle)
    read_labels(bundle)
    present = (name for name in _SHIPPED_FILES if (bundle / name).is_file())
    return tuple(
        FileRecord(name, sha256=hash_file(bundle / name), bytes=(bundle / name).stat().st_size) for name in present
    )


def read_manifest(bundle: Path) -> Manifest:
    """Read a bundle's manifest.

    Raises:
        BundleError: it is missing or damaged, or a newer Reefline wrote it.
    """
    path = bundle / MANIFEST_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["schema_version"] != SCHEMA_VERSION:
            raise BundleError(
                f"{path}: schema_version {record['schema_version']} found, {SCHEMA_VERSION} expected; "
                "use the Reefline that wrote it"
            )
        manifest = Manifest.from_json(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: missing or damaged ({error!r}); restore the bundle or push again") from error
    if not any(file.name in (INT8_FILE, FLOAT_FILE) for file in manifest.files):
        raise BundleError(f"{path}: lists no TFLite model; restore the bundle or push again")
    return manifest


def verify_bundle(bundle: Path) -> Manifest:
    """Return a bundle's manifest after comparing every file with it.

    Raises:
        BundleError: the manifest or a file is missing or damaged; one problem per file.
    """
    manifest = read_manifest(bundle)
    problems = [problem for file in manifest.files if (problem := _find_damage(bundle / file.name, file))]
    if problems:
        raise BundleError(*problems)
    return manifest


def _find_damage(path: Path, expected: FileRecord) -> Optional[str]:
    remedy = "restore the bundle or push again"
    if not path.is_file():
        return f"{path}: missing, the manifest lists it; {remedy}"
    size = path.stat().st_size
    if size != expected.bytes:
        return f"{path}: {size} bytes found, {expected.bytes} expected; {remedy}"
    found = hash_file(path)
    if found != expected.sha256:
        return f"{path}: sha256 {found} found, {expected.sha256} expected; {remedy}"
    return None
