"""reefline/report/collect.py: artifacts and a stop as the records of a summary."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.data.reports import Anomaly, ValidationReport
from reefline.findings import Action, Finding
from reefline.lineage.records import ArtifactRecord
from reefline.report.collect import EarlyEnd, collect
from reefline.report.summary import Failure, Pushed
from reefline.structures.artifacts import FindingsFolder, ModelFolder
from tests.factories_evaluation import make_edgetpu_record
from tests.factories_lineage import make_artifact

FIRST, SECOND = (Finding(name, 0, "box_degenerate", "xmin 5, xmax 5", Action.DROPPED_BOX) for name in ("a", "b"))
ANOMALY = Anomaly("eval", "image/width", "out of range")


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, ArtifactRecord]:
    """What a run left whose gate blessed and whose bundle was pushed."""
    findings, model = FindingsFolder(tmp_path / "findings"), ModelFolder(tmp_path / "model")
    findings.root.mkdir()
    model.bundle.mkdir(parents=True)
    findings.validation.write_text(json.dumps(ValidationReport((FIRST,), (ANOMALY,)).to_json()))
    ExportRecord(8, 16, ("cat",), make_edgetpu_record(), 0).write(model.bundle / EXPORT_FILE)
    return {
        "AnnotationValidator.findings": make_artifact(findings.root, {}),
        "EdgeTpuExporter.model": make_artifact(model.root, {}),
        "Evaluator.blessing": make_artifact(tmp_path, {"blessed": 1}),
        "Pusher.pushed_model": make_artifact(tmp_path, {"pushed": 1, "version": 3, "path": "serving/m/3"}),
    }


def test_the_outputs_of_a_complete_run(outputs: dict[str, ArtifactRecord]) -> None:
    records = collect("1", "cells", {"Trainer": 2.0}, outputs, None)
    assert (records.run_id, records.model, records.failure, records.seconds) == ("1", "cells", None, {"Trainer": 2.0})
    assert (records.findings, records.anomalies) == ((FIRST,), (ANOMALY,))
    assert records.edgetpu == make_edgetpu_record()
    assert (records.blessed, records.pushed) == (True, Pushed(3, "serving/m/3"))
    assert (records.training, records.evaluation, records.splits) == (None, None, {})


def test_anomalies_that_stopped_a_run_come_from_who_found_them(tmp_path: Path) -> None:
    (tmp_path / "Split-eval").mkdir()
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["image/width"].description = "out of range"
    (tmp_path / "Split-eval" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    stop = EarlyEnd(Failure("AnnotationValidator", "x"), findings=(FIRST,))
    records = collect("1", "cells", {}, {"ExampleValidator.anomalies": make_artifact(tmp_path)}, stop)
    assert (records.findings, records.anomalies) == ((FIRST,), (ANOMALY,))


def test_a_run_that_pushed_nothing(outputs: dict[str, ArtifactRecord]) -> None:
    refused = {
        "Evaluator.blessing": make_artifact(Path(), {"blessed": 0}),
        "Pusher.pushed_model": make_artifact(Path(), {"pushed": 0}),
    }
    records = collect("1", "cells", {}, {**outputs, **refused}, None)
    assert (records.blessed, records.pushed) == (False, None)


def test_what_an_error_carried_is_added_once(outputs: dict[str, ArtifactRecord]) -> None:
    seen_earlier = dataclasses.replace(make_edgetpu_record(), reason="from the preflight")
    stop = EarlyEnd(Failure("Trainer", "a\nb"), findings=(FIRST, SECOND), edgetpu=seen_earlier)
    records = collect("1", "cells", {}, outputs, stop)
    assert records.failure == Failure("Trainer", "a\nb")
    assert records.findings == (FIRST, SECOND)
    assert records.edgetpu == make_edgetpu_record()
    assert collect("1", "cells", {}, {}, stop).edgetpu == seen_earlier
