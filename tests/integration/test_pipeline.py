"""pipeline/pipeline.py: what a changed setting reaches, read from the compiled pipeline without running it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.compiler.compiler import Compiler

from pipeline.pipeline import Places, create_pipeline
from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config
from reefline.report import section

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


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """The parameters of demo.yaml as it is; compiling takes seconds, because it reads all sources."""
    return _parameters(_compile())


def _find_differences(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {node for node in before if before[node] != after[node]}


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
    ],
)
def test_a_setting_reaches_its_own_component_and_the_page_that_shows_it(
    plain: dict[str, str], override: str, reached: set[str]
) -> None:
    assert _find_differences(plain, _parameters(_compile(override))) == {*reached, "ReviewReport"}


def test_a_signing_key_reaches_the_pusher_alone(plain: dict[str, str]) -> None:
    signed = _parameters(_compile("push.signing_key=env:KEY"))
    assert _find_differences(plain, signed) == {"Pusher"}
    assert "env:KEY" in signed["Pusher"]


@pytest.mark.parametrize(
    "override",
    [
        pytest.param("demo.seed=7", id="demo-counts-by-its-images"),
        pytest.param("model_card.owner=me", id="card-is-on-the-runs-own-page"),
    ],
)
def test_a_setting_that_no_component_reads_redoes_nothing(plain: dict[str, str], override: str) -> None:
    assert _parameters(_compile(override)) == plain


@pytest.mark.parametrize(
    ("template", "reached"),
    [
        pytest.param("page.css", {"ReviewReport"}, id="page"),
        pytest.param("quality.html", {"ReviewReport"}, id="section"),
        pytest.param("verdict.html", set(), id="section-of-the-run"),
        pytest.param("index.html", set(), id="index"),
    ],
)
def test_a_changed_template_redoes_the_page_alone_and_only_if_it_shows_it(
    plain: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, template: str, reached: set[str]
) -> None:
    shutil.copytree(section.TEMPLATE_DIR, tmp_path / "templates")
    monkeypatch.setattr(section, "TEMPLATE_DIR", tmp_path / "templates")
    with (tmp_path / "templates" / template).open("a") as file:
        file.write("p { color: red; }")
    assert _find_differences(plain, _parameters(_compile())) == reached


def test_a_model_that_is_never_compiled_is_reviewed_without_a_preflight() -> None:
    never = ("edgetpu=never", "gate.min_edgetpu_ops=null", "gate.max_quantization_drop=null")
    inputs = [
        set(node.pipeline_node.inputs.inputs)
        for compiled in (_compile(), _compile(*never))
        for node in compiled.nodes
        if node.pipeline_node.node_info.id == "ReviewReport"
    ]
    assert inputs[0] - inputs[1] == {"preflight"}
    assert "examples" not in inputs[0]


def test_a_start_from_serving_asks_for_what_serves_under_its_own_name(plain: dict[str, str]) -> None:
    (trainer,) = (text for node, text in _parameters(_compile("trainer.start=serving")).items() if node == "Trainer")
    assert '"/ws/serving/demo"' in trainer
    assert "/ws/serving" not in plain["Trainer"]


def test_another_compiler_reaches_what_it_has_a_say_in(
    plain: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edgetpu_compiler").write_text("#!/bin/sh\n")
    (tmp_path / "edgetpu_compiler").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    after = _parameters(_compile())
    assert _find_differences(plain, after) == {"EdgeTpuPreflight", "EdgeTpuExporter"}


def test_equal_configs_give_equal_pipelines(plain: dict[str, str]) -> None:
    assert _parameters(_compile()) == plain


def test_training_waits_for_the_verdict_on_the_data_and_takes_nothing_from_it() -> None:
    compiled = _compile()
    (trainer,) = (n.pipeline_node for n in compiled.nodes if n.pipeline_node.node_info.id == "Trainer")
    assert "AnnotationValidator" in trainer.upstream_nodes
    assert set(trainer.inputs.inputs) == {"examples", "label_map"}
