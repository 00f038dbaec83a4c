"""The whole path on generated data: summary, bundle, cache, gate and rollback. Each run builds on the one before."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.config.run_config import load_config
from reefline.report.run_files import rewrite_run_page
from reefline.report.run_history import RunHistory
from tests.factories_runs import QUICK, PipelineRun, list_options, run_pipeline

pytestmark = pytest.mark.e2e

REPO_DIR = Path(__file__).resolve().parents[2]

COMPONENTS = [
    "VocExampleGen",
    "StatisticsGen",
    "ImportSchemaGen",
    "ExampleValidator",
    "AnnotationValidator",
    "EdgeTpuPreflight",
    "Trainer",
    "EdgeTpuExporter",
    "ServingBundle",
    "ModelScorer",
    "Evaluator",
    "Pusher",
    "ReviewReport",
]
CLASSES = ["disc", "square", "triangle"]
METRICS = {"mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large"}
METRICS |= {"AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> PipelineRun:
    return run_pipeline(tmp_path_factory.mktemp("generated") / "ws")


@pytest.fixture(scope="module")
def again(first: PipelineRun) -> PipelineRun:
    return run_pipeline(first.workspace)


def test_the_first_run_executes_everything_and_pushes(first: PipelineRun) -> None:
    assert first.exit_code == 0, first.out
    assert first.components("started") == COMPONENTS
    assert first.components("done") == COMPONENTS
    bundle = first.workspace / "serving" / "demo" / "1"
    report = first.workspace / "reports" / first.summary["run_id"] / "index.html"
    assert first.lines[-3:] == ["verdict: BLESSED", f"bundle: {bundle}", f"report: {report}"]


def test_the_page_of_a_run(first: PipelineRun) -> None:
    assert re.findall(r'<section id="([a-z-]+)"', first.page) == [
        "verdict", "data", "training", "quality", "edge-tpu", "provenance"
    ]  # fmt: skip
    assert not [line for line in first.lines if line.startswith("note: ")]
    assert len(first.page.encode("utf-8")) < 600_000
    assert "matplotlib" not in first.page and "style=" not in first.page
    folder = first.workspace / "reports" / first.summary["run_id"]
    assert 'href="statistics.html"' in first.page and (folder / "statistics.html").is_file()
    assert load_config(folder / "config.yaml").trainer.num_steps == QUICK["trainer.num_steps"]
    assert first.summary["run_id"] in (first.workspace / "reports" / "index.html").read_text(encoding="utf-8")


def _assert_metrics(metrics: dict[str, Any]) -> None:
    assert set(metrics) == METRICS | {"per_class"}
    assert all(value is None or 0.0 <= value <= 1.0 for name, value in metrics.items() if name in METRICS)
    assert sorted(metrics["per_class"]) == CLASSES
    assert all(set(of_class) == {"ap", "ap_50", "groundtruth"} for of_class in metrics["per_class"].values())


def test_the_whole_of_the_summary(first: PipelineRun) -> None:
    summary = copy.deepcopy(first.summary)
    assert summary.pop("schema_version") == 1
    assert summary.pop("run_id") == (first.workspace / "reports" / "latest").resolve().name
    assert (summary.pop("model"), summary.pop("verdict"), summary.pop("failure")) == ("demo", "BLESSED", None)
    data = summary.pop("data")
    assert set(data) == {"splits", "findings", "anomalies", "spans"}
    assert data["anomalies"] == []
    assert set(data["splits"]) >= {"train", "eval"}
    assert sum(split["images"] for split in data["splits"].values()) == QUICK["demo.images"]
    for split in data["splits"].values():
        assert sorted(split["per_class"]) == CLASSES
        assert split["boxes"] == sum(split["per_class"].values())
    training = summary.pop("training")
    assert training.pop("seconds") > 0
    assert training.pop("best_step") in (3, 6)
    assert training == {"steps": 6, "stop_reason": "all_steps_done"}
    metrics = summary.pop("metrics")
    assert metrics.pop("baseline") is None
    assert set(metrics) == {"float", "int8"}
    for scores in metrics.values():
        _assert_metrics(scores)
        groundtruth = {label: of_class["groundtruth"] for label, of_class in scores["per_class"].items()}
        assert groundtruth == data["splits"]["eval"]["per_class"]
    gate = summary.pop("gate")
    rules = ["min_map", "max_quantization_drop", "max_regression", "min_edgetpu_ops"]
    assert [result["rule"] for result in gate] == rules
    assert all(result["passed"] and result["reason"] for result in gate)
    assert math.isclose(gate[0]["value"], metrics["int8"]["mAP"])
    edgetpu = summary.pop("edgetpu")
    assert set(edgetpu) == {
        "compiled", "compiler_version", "source", "ops_total", "ops_on_tpu", "ops_on_cpu", "ops_uncertain", "reason"
    }  # fmt: skip
    assert edgetpu["ops_total"] == sum(edgetpu[name] for name in ("ops_on_tpu", "ops_on_cpu", "ops_uncertain"))
    assert edgetpu["ops_total"] > 50
    assert summary.pop("pushed") == {"version": 1, "path": str(first.workspace / "serving" / "demo" / "1")}
    assert list(summary.pop("seconds")) == COMPONENTS
    assert not summary


def test_the_whole_of_the_bundle(first: PipelineRun) -> None:
    serving = first.workspace / "serving" / "demo"
    assert (serving / "CURRENT").read_text().strip() == "1"
    bundle = serving / "1"
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert {path.name for path in bundle.iterdir()} == {*manifest["files"], "manifest.json"}
    assert set(manifest["files"]) >= {"model_int8.tflite", "labels.txt"}
    for name, record in manifest["files"].items():
        content = (bundle / name).read_bytes()
        assert record == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert (bundle / "labels.txt").read_text(encoding="utf-8").splitlines() == CLASSES
    assert manifest["classes"] == CLASSES
    assert manifest["input_size"] == [192, 192]
    assert (manifest["schema_version"], manifest["model"], manifest["version"]) == (1, "demo", 1)
    assert manifest["run_id"] == first.summary["run_id"]
    assert manifest["edgetpu"] == first.summary["edgetpu"]
    assert manifest["metrics"]["int8"] == first.summary["metrics"]["int8"]
    assert manifest["gate"]["verdict"] == "BLESSED"
    assert len(manifest["data_fingerprint"]) == 64


def test_the_model_in_the_bundle_takes_uint8_and_gives_detections(first: PipelineRun) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(first.workspace / "serving" / "demo" / "1" / "model_int8.tflite"))
    (entry,) = interpreter.get_input_details()
    assert entry["shape"].tolist() == [1, 192, 192, 3]
    assert entry["dtype"].__name__ == "uint8"
    outputs = interpreter.get_output_details()
    assert len(outputs) == 4
    assert {output["dtype"].__name__ for output in outputs} == {"float32"}


def test_a_second_run_executes_no_component(first: PipelineRun, again: PipelineRun) -> None:
    assert again.exit_code == 0, again.out
    assert again.components("cached") == COMPONENTS
    assert again.components("started") == []
    own = ("run_id", "seconds")
    assert {k: v for k, v in again.summary.items() if k not in own} == {
        k: v for k, v in first.summary.items() if k not in own
    }
    assert again.summary["run_id"] != first.summary["run_id"]


def test_the_page_of_a_cached_run_is_its_own(first: PipelineRun, again: PipelineRun) -> None:
    """The sections on the artifacts are the first run's; times, lineage and changes are this run's."""
    run_id = again.summary["run_id"]
    assert run_id in again.page and run_id not in first.page
    assert again.page.count('<span class="badge">cached</span>') > len(COMPONENTS)
    assert '<span class="badge">cached</span>' not in first.page
    assert f"<td>{first.summary['run_id']} " in again.page
    assert '<section id="changes"' in again.page
    data, data_again = (re.search(r'<section id="data".*?</section>', run.page, re.S) for run in (first, again))
    assert data and data_again and data[0] == data_again[0]


def test_an_earlier_page_is_rewritten_from_what_the_workspace_holds(first: PipelineRun, again: PipelineRun) -> None:
    assert rewrite_run_page(RunHistory(first.workspace), first.summary["run_id"]) == ()
    page = first.workspace / "reports" / first.summary["run_id"] / "index.html"
    assert page.read_text(encoding="utf-8") == first.page


_RUN_AND_TELL_IMPORTS = """
import sys, local_runner
code = local_runner.main(sys.argv[1:])
heavy = ("tensorflow.python", "apache_beam.io", "tensorflow_data_validation.api", "tensorflow_model_analysis.api",
         "docker.api", "pandas", "object_detection", "matplotlib")
print("imported:", [name for name in heavy if name in sys.modules])
sys.exit(code)
"""


def test_a_cached_run_imports_no_tensorflow_and_prints_no_warning(first: PipelineRun, again: PipelineRun) -> None:
    arguments = ["--workspace", str(first.workspace), *list_options(QUICK)]
    run = subprocess.run(
        [sys.executable, "-c", _RUN_AND_TELL_IMPORTS, *arguments], cwd=REPO_DIR, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    lines = run.stdout.splitlines()
    cached = [line.partition(":")[0] for line in lines if line.endswith(": cached")]
    assert (lines[-1], cached) == ("imported: []", COMPONENTS)
    assert run.stderr == "" and "Warning" not in run.stdout


def test_the_same_images_elsewhere_are_the_same_data(first: PipelineRun, again: PipelineRun, tmp_path: Path) -> None:
    """The data's name, place and times do not count; the workspace keeps them under one name."""
    import shutil

    moved = shutil.copytree(first.workspace / "demo_data", tmp_path / "moved", copy_function=shutil.copyfile)
    settings = {name: value for name, value in QUICK.items() if name != "demo.images"}
    arguments = ("--config", Path(__file__).parents[2] / "configs" / "demo.yaml", "--data", moved)
    run = run_pipeline(first.workspace, *arguments, settings=settings)
    assert run.components("cached") == COMPONENTS


def test_a_changed_warning_retrains_nothing(first: PipelineRun, again: PipelineRun) -> None:
    run = run_pipeline(first.workspace, settings={**QUICK, "validation.min_box_px": 1.5})
    assert run.components("started") == ["AnnotationValidator", "ReviewReport"]
    assert run.exit_code == 0


def test_a_gate_that_refuses_pushes_nothing(first: PipelineRun, again: PipelineRun) -> None:
    run = run_pipeline(first.workspace, settings={**QUICK, "gate.min_map": 0.99})
    assert run.exit_code == 3, run.out
    assert run.components("started") == ["Evaluator", "Pusher", "ReviewReport"]
    assert "NOT BLESSED" in run.page and "mAP 0.0" in run.page
    assert run.summary["verdict"] == "NOT_BLESSED"
    assert run.summary["pushed"] is None
    assert [result["passed"] for result in run.summary["gate"]] == [False, True, True, True]
    assert any(line.startswith("failed: min_map: ") for line in run.lines)
    assert "bundle: none (nothing was pushed)" in run.lines
    serving = run.workspace / "serving" / "demo"
    assert (serving / "CURRENT").read_text().strip() == "1"
    assert sorted(path.name for path in serving.iterdir() if path.is_dir()) == ["1"]


def test_another_export_is_compared_with_what_serves_and_can_be_rolled_back(
    first: PipelineRun, again: PipelineRun
) -> None:
    settings = {**QUICK, "exporter.max_detections": 20}
    run = run_pipeline(first.workspace, settings=settings)
    assert run.exit_code == 0, run.out
    assert run.components("started") == ["EdgeTpuPreflight", *COMPONENTS[COMPONENTS.index("EdgeTpuExporter") :]]
    assert run.summary["pushed"]["version"] == 2
    assert run.summary["metrics"]["baseline"] == first.summary["metrics"]["int8"]
    assert run_pipeline(first.workspace, settings=settings).components("started") == []
    result = CliRunner().invoke(app, ["rollback", "--workspace", str(first.workspace)])
    assert result.exit_code == 0, result.output
    assert "Rolled back demo to version 1; version 2 is withdrawn." in result.output
    after = run_pipeline(first.workspace, settings=settings)
    assert after.components("started") == []
    assert "note: version 1 is serving, not version 2 of this run" in after.lines
