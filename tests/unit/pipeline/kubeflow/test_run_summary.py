"""RunSummary: the summary, the page and the metrics of a run, from the inputs that KFP hands it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.kubeflow import run_summary
from pipeline.kubeflow.executor_input import parse_executor_input
from pipeline.kubeflow.run_outputs import PRODUCERS, describe_run, read_seconds
from reefline.config.run_config import load_config
from reefline.lineage.records import ExecutionState
from reefline.report.section import ReviewSections, Section
from reefline.structures.artifacts import EvaluationFolder, ReviewFolder
from tests.factories_kubeflow import REPO_DIR, RUN_ID, compile_package, make_executor_input, read_output
from tests.factories_report import make_evaluation

EARLIER_RUN = "00000000-0000-4000-8000-000000000000"


def _facts(run_id: str = RUN_ID, **facts: Any) -> dict[str, Any]:
    """Return the metadata of an artifact as KFP hands it on: every number is a double."""
    times = {"reefline_run_id": run_id, "reefline_started": "2026-03-01T12:00:00+00:00", "reefline_seconds": 2.5}
    return {**times, **facts}


def _make_input(folder: Path, *, blessed: bool) -> str:
    for kind in ("evaluation", "blessing", "pushed", "review"):
        (folder / kind).mkdir()
    make_evaluation(blessed=blessed).write(EvaluationFolder(folder / "evaluation").evaluation)
    review = ReviewFolder(folder / "review")
    ReviewSections((Section("quality", "Quality", "<p>how good it is</p>"),)).write(review.sections)
    review.statistics.write_text("statistics")
    pushed = {"pushed": 1.0, "version": 4.0, "path": "s3://b/serving/demo/4"} if blessed else {"pushed": 0.0}
    inputs = {
        "evaluation": {"uri": str(folder / "evaluation"), "metadata": _facts(EARLIER_RUN)},
        "blessing": {"uri": str(folder / "blessing"), "metadata": _facts(EARLIER_RUN, blessed=float(blessed))},
        "pushed_model": {"uri": str(folder / "pushed"), "metadata": _facts(**pushed)},
        "review": {"uri": str(folder / "review"), "metadata": _facts()},
    }
    outputs = {
        "summary": {"type": {"schemaTitle": "system.Artifact"}},
        "page": {"type": {"schemaTitle": "system.HTML"}},
        "metrics": {"type": {"schemaTitle": "system.Metrics"}},
    }
    config = load_config(REPO_DIR / "configs" / "demo.yaml").to_json()
    parameters = {"run_id": RUN_ID, "config": config}
    return make_executor_input(folder, parameters=parameters, inputs=inputs, outputs=outputs)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reports of all runs are kept."""
    monkeypatch.setenv("REEFLINE_MODEL", "demo")
    monkeypatch.setenv("REEFLINE_REPORTS", str(tmp_path / "reports"))
    return tmp_path / "reports"


@pytest.mark.parametrize("blessed", [pytest.param(True, id="blessed"), pytest.param(False, id="refused")])
def test_a_run_ends_with_its_summary(
    blessed: bool, tmp_path: Path, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = _make_input(tmp_path, blessed=blessed)
    assert run_summary.main(["--executor_input", text]) == 0
    outputs = parse_executor_input(text).outputs
    summary = json.loads(outputs["summary"].path.read_text())
    verdict = "BLESSED" if blessed else "NOT_BLESSED"
    assert (summary["run_id"], summary["model"], summary["verdict"]) == (RUN_ID, "demo", verdict)
    assert summary["pushed"] == ({"version": 4, "path": "s3://b/serving/demo/4"} if blessed else None)
    assert summary["seconds"] == {"Evaluator": 0.0, "Pusher": 2.5, "ReviewReport": 2.5}
    page = outputs["page"].path.read_text()
    assert "<p>how good it is</p>" in page and RUN_ID in page
    assert json.loads((reports / RUN_ID / "summary.json").read_text()) == summary
    assert (reports / RUN_ID / "index.html").read_text() == page
    assert (reports / RUN_ID / "statistics.html").read_text() == "statistics"
    assert f"verdict: {verdict}" in capsys.readouterr().out


def test_the_metrics_are_numbers_that_kfp_compares(tmp_path: Path, reports: Path) -> None:
    assert run_summary.main(["--executor_input", _make_input(tmp_path, blessed=True)]) == 0
    metrics = read_output(tmp_path)["metrics"]["metadata"]
    assert (metrics["blessed"], metrics["version"], metrics["int8_mAP"]) == (1, 4, 0.52)
    assert all(isinstance(value, (int, float)) for value in metrics.values())


def test_a_damaged_artifact_is_exit_2(tmp_path: Path, reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _make_input(tmp_path, blessed=True)
    EvaluationFolder(tmp_path / "evaluation").evaluation.write_text("{")
    assert run_summary.main(["--executor_input", text]) == 2
    assert "evaluation.json" in capsys.readouterr().err
    assert json.loads((reports / RUN_ID / "summary.json").read_text())["failure"]["component"] == "RunSummary"


def test_cached_components_took_no_time_and_are_told_apart(tmp_path: Path) -> None:
    inputs = parse_executor_input(_make_input(tmp_path, blessed=True)).inputs
    assert read_seconds(inputs, RUN_ID)["Evaluator"] == 0.0
    run = describe_run(inputs, RUN_ID)
    assert {one.component: one.state for one in run.executions} == {
        "Evaluator": ExecutionState.CACHED,
        "Pusher": ExecutionState.DONE,
        "ReviewReport": ExecutionState.DONE,
    }
    assert run.outputs["Pusher.pushed_model"].properties["version"] == 4


def test_every_component_uses_the_names_that_the_report_knows() -> None:
    """A failed task's summary is made from its own inputs, so an input has one name everywhere."""
    tasks = compile_package().pipeline["root"]["dag"]["tasks"]
    used = {
        (key, source["taskOutputArtifact"]["producerTask"])
        for task in tasks.values()
        for key, source in task["inputs"].get("artifacts", {}).items()
    }
    assert used <= {*PRODUCERS.items(), ("examples", "VocExampleGen")}
    assert set(tasks["RunSummary"]["inputs"]["artifacts"]) == set(PRODUCERS)
