"""Pages of runs that stopped early; tests/e2e/test_generated.py has those of runs that reached their end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.local import run as run_module
from reefline.structures.artifacts import ModelRunFolder
from reefline.training import loop
from reefline.training.history import TrainingHistory, TrainingPoint
from reefline.training.report import TrainingState
from tests.factories_runs import QUICK, PipelineRun, run_pipeline

# Without the Edge TPU there is no preflight: the runs reach Trainer in seconds.
SETTINGS = {
    **{name: value for name, value in QUICK.items() if name != "gate.max_quantization_drop"},
    "demo.images": 24,
    "edgetpu": "never",
    "gate.max_quantization_drop": None,
    "gate.min_edgetpu_ops": None,
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("review") / "ws"


def _stop_training(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def train(_config: object, _job: object, run: ModelRunFolder) -> None:
        TrainingHistory(run.history, resumed_step=0).append(TrainingPoint(1, 4.25, 0.04))
        TrainingState(step=1, seconds=2.0).write(run.state)
        raise error

    monkeypatch.setattr(loop, "train_detector", train)


def _list_sections(run: PipelineRun) -> list[str]:
    assert not [line for line in run.lines if line.startswith("note: ")]
    return re.findall(r'<section id="([a-z-]+)"', run.page)


def _find_state(run: PipelineRun, component: str) -> str:
    row = re.search(rf'<th scope="row">{component}</th>\s*<td>(.*?)</td>', run.page, re.S)
    assert row is not None
    return re.sub(r"<[^>]+>", "", row[1])


def test_a_crash_in_training(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stop_training(monkeypatch, ZeroDivisionError("odd"))
    run = run_pipeline(workspace, settings=SETTINGS)
    assert run.exit_code == 1, run.out
    assert _list_sections(run) == ["verdict", "data", "training", "provenance"]
    assert "unexpected ZeroDivisionError: odd" in run.page
    assert [_find_state(run, name) for name in ("VocExampleGen", "Trainer")] == ["done", "failed"]
    assert run.lines[-1] == f"report: {workspace / 'reports' / run.summary['run_id'] / 'index.html'}"


def test_ctrl_c_in_training_shows_how_far_it_came(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stop_training(monkeypatch, KeyboardInterrupt())
    run = run_pipeline(workspace, settings=SETTINGS)
    assert run.exit_code == 130, run.out
    sections = _list_sections(run)
    assert [name for name in sections if name != "changes"] == ["verdict", "data", "training", "provenance"]
    assert "changes" in sections
    assert "stopped by Ctrl-C" in run.page
    assert [_find_state(run, name) for name in ("VocExampleGen", "Trainer")] == ["cached", "failed"]
    training = re.search(r'<section id="training".*?</section>', run.page, re.S)
    assert training is not None and "pipeline.config" in training[0]


def test_anomalies_that_stop_a_run_are_in_its_summary_and_page(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    schema = run_module.SCHEMA_FILE.read_text(encoding="utf-8")
    narrow = re.sub(r'(?s)(name: "image/width".*?int_domain \{ min: 1)', r"\1 max: 9", schema)
    (tmp_path / "schema.pbtxt").write_text(narrow, encoding="utf-8")
    monkeypatch.setattr(run_module, "SCHEMA_FILE", tmp_path / "schema.pbtxt")
    run = run_pipeline(workspace, settings=SETTINGS)
    assert run.exit_code == 2, run.out
    assert {(one["split"], one["feature"]) for one in run.summary["data"]["anomalies"]} == {
        ("train", "image/width"),
        ("eval", "image/width"),
    }
    assert "eval split, image width:" in run.page
    assert any(line.startswith("anomaly: train: image/width: ") for line in run.lines)


def test_a_stop_at_validation_shows_what_was_wrong(workspace: Path) -> None:
    severities = {"validation.min_box_px": 60, "validation.severities.box_tiny": "error"}
    run = run_pipeline(workspace, settings={**SETTINGS, **severities})
    assert run.exit_code == 2, run.out
    assert run.summary["failure"]["component"] == "AnnotationValidator"
    assert [name for name in _list_sections(run) if name != "changes"] == ["verdict", "data", "provenance"]
    data = re.search(r'<section id="data".*?</section>', run.page, re.S)
    assert data is not None and "box_tiny" in data[0]
