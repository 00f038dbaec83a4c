"""What a finished run left, in a form in which two runs of one config are equal."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.local.workspace import Workspace
from reefline.bundle.store import read_current
from reefline.lineage.records import ArtifactRecord
from reefline.lineage.store import read_run
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.report import TrainingReport

# A resumed training adds up its batches in another order.
METRIC_TOLERANCE = 0.05
# What a run makes from the data alone, bit by bit the same each time.
_EXACT = ("VocExampleGen.label_map", "ImportSchemaGen.schema", "ExampleValidator.anomalies")
_EXAMPLES = "VocExampleGen.examples"
_VARYING = re.compile(r"\d{8}T\d{6}(-\d+)?|\.\d{10,}\.[^/]*|ckpt-\d+")


@dataclass(frozen=True)
class FinalState:
    """`facts` must be equal, `metrics` close; both by where they come from."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def read_final_state(workspace: Path) -> FinalState:
    """Read what the newest run of a workspace left: summary, page, artifacts and bundle."""
    opened = Workspace(workspace)
    report = (opened.reports / "latest").resolve()
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    page = (report / "index.html").read_text(encoding="utf-8")
    run = read_run(opened.metadata_db, report.name)
    outputs = run.outputs if run is not None else {}
    facts: dict[str, Any] = {
        "summary.verdict": summary["verdict"],
        "summary.failure": summary["failure"],
        "summary.data": summary["data"],
        "summary.gate": [(rule["rule"], rule["passed"]) for rule in summary["gate"]],
        "summary.edgetpu": summary["edgetpu"],
        "summary.pushed": (summary["pushed"] or {}).get("version"),
        # A second run of a workspace also has what changed since the first.
        "page.sections": [name for name in re.findall(r'<section id="([a-z-]+)"', page) if name != "changes"],
        "executions": [execution.component for execution in run.executions] if run is not None else [],
        "artifacts": {key: _list_files(artifact) for key, artifact in outputs.items()},
        "content": {key: hash_files(outputs[key].folder) for key in (*_EXACT, _EXAMPLES) if key in outputs},
    }
    if "Trainer.model_run" in outputs:
        training = TrainingReport.read(ModelRunFolder(outputs["Trainer.model_run"].folder).report)
        facts["training"] = [training.steps, training.stop_reason.value, [one.step for one in training.evaluations]]
    for home in sorted(opened.serving.glob("*")):
        facts[f"serving.{home.name}"] = _describe_bundle(opened.serving, home.name)
    return FinalState(facts, dict(_read_metrics(summary["metrics"])))


def find_differences(found: FinalState, expected: FinalState) -> list[str]:
    """Return how a state differs from that of an undisturbed run."""
    names = sorted({*found.facts, *expected.facts})
    facts = [
        f"{name} is {_shorten(found.facts.get(name))}, undisturbed {_shorten(expected.facts.get(name))}"
        for name in names
        if found.facts.get(name) != expected.facts.get(name)
    ]
    names = sorted({*found.metrics, *expected.metrics})
    pairs = [(name, found.metrics.get(name, math.nan), expected.metrics.get(name, math.nan)) for name in names]
    far = [(name, mine, other) for name, mine, other in pairs if not abs(mine - other) <= METRIC_TOLERANCE]
    return [*facts, *(f"{name} is {mine}, undisturbed {other}" for name, mine, other in far)]


def without_serving(state: FinalState) -> FinalState:
    """Return a state without what depends on whether another version served before."""
    kept = {name: value for name, value in state.facts.items() if not name.startswith(("serving.", "summary.pushed"))}
    kept["artifacts"] = {key: value for key, value in kept["artifacts"].items() if key != "ServingBundle.baseline"}
    metrics = {name: value for name, value in state.metrics.items() if not name.startswith("baseline.")}
    return FinalState(kept, metrics)


def hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file by its name in the folder; of gzip files, of what they hold."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _list_files(artifact: ArtifactRecord) -> list[str]:
    """Return the names of an artifact's files; a resumed training has one log per process, and other checkpoints."""
    names = {path.relative_to(artifact.folder).as_posix() for path in artifact.folder.rglob("*") if path.is_file()}
    return sorted({_VARYING.sub("*", name) for name in names})


def _describe_bundle(serving: Path, model: str) -> Any:
    current = read_current(serving, model)
    if current is None:
        return None
    manifest = json.loads((serving / model / str(current) / "manifest.json").read_text(encoding="utf-8"))
    return [current, manifest["classes"], sorted(manifest["files"]), manifest["data_fingerprint"]]


def _read_metrics(metrics: Any, prefix: str = "") -> Any:
    for name, value in (metrics or {}).items():
        if isinstance(value, Mapping):
            yield from _read_metrics(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
