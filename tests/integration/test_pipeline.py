"""pipeline/pipeline.py: what a changed setting reaches, read from the compiled pipeline without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.compiler.compiler import Compiler

from pipeline.pipeline import Places, create_pipeline
from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config

REPO_DIR = Path(__file__).resolve().parents[2]


def _compile(*overrides: str, **places: str) -> Any:
    config = load_config(REPO_DIR / "configs" / "demo.yaml", [parse_override(text) for text in overrides])
    defaults = {
        "data_dir": "/ws/source",
        "hash_memory": "/ws/file_hashes.db",
        "schema_file": "/ws/schema/a.pbtxt",
        "serving": "/ws/serving",
        "artifacts": "/ws/artifacts",
        "metadata_db": "/ws/metadata.db",
    }
    return Compiler().compile(create_pipeline(config, Places(**{**defaults, **places})))


def _parameters(compiled: Any) -> dict[str, str]:
    nodes = [node.pipeline_node for node in compiled.nodes]
    return {node.node_info.id: str(node.parameters) for node in nodes}


@pytest.mark.parametrize(
    ("override", "reached"),
    [
        pytest.param("data.eval_fraction=0.3", {"VocExampleGen"}, id="data"),
        pytest.param("validation.min_box_px=3", {"AnnotationValidator"}, id="validation"),
        pytest.param("trainer.num_steps=7", {"Trainer"}, id="trainer"),
        pytest.param("trainer.start=serving", {"Trainer"}, id="start"),
        pytest.param("exporter.max_detections=7", {"EdgeTpuPreflight", "EdgeTpuExporter", "Evaluator"}, id="exporter"),
        pytest.param("gate.min_edgetpu_ops=0.8", {"EdgeTpuPreflight", "Evaluator"}, id="gate-on-placement"),
        pytest.param("trainer.input_size=96", {"EdgeTpuPreflight", "Trainer"}, id="input-size"),
        pytest.param("gate.min_map=0.7", {"Evaluator"}, id="gate"),
        pytest.param("model_name=other", {"ServingBundle", "Pusher"}, id="name"),
        pytest.param("demo.seed=7", set(), id="demo-counts-by-its-images"),
    ],
)
def test_a_setting_reaches_its_own_component_only(override: str, reached: set[str]) -> None:
    before, after = _parameters(_compile()), _parameters(_compile(override))
    assert {node for node in before if before[node] != after[node]} == reached


def test_a_start_from_serving_asks_for_what_serves_under_its_own_name() -> None:
    (trainer,) = (text for node, text in _parameters(_compile("trainer.start=serving")).items() if node == "Trainer")
    assert '"/ws/serving/demo"' in trainer
    assert "/ws/serving" not in _parameters(_compile())["Trainer"]


def test_another_compiler_reaches_what_it_has_a_say_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _parameters(_compile())
    (tmp_path / "edgetpu_compiler").write_text("#!/bin/sh\n")
    (tmp_path / "edgetpu_compiler").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    after = _parameters(_compile())
    assert {node for node in before if before[node] != after[node]} == {"EdgeTpuPreflight", "EdgeTpuExporter"}


def test_equal_configs_give_equal_pipelines() -> None:
    assert _parameters(_compile()) == _parameters(_compile())


def test_training_waits_for_the_verdict_on_the_data_and_takes_nothing_from_it() -> None:
    compiled = _compile()
    (trainer,) = (n.pipeline_node for n in compiled.nodes if n.pipeline_node.node_info.id == "Trainer")
    assert "AnnotationValidator" in trainer.upstream_nodes
    assert set(trainer.inputs.inputs) == {"examples", "label_map"}
