"""A recommendation for a generated data set: measured once, written as the run's config, and remembered."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import local_runner
from pipeline.local import recommended, run
from reefline.config.overrides import Override
from reefline.config.run_config import RunConfig, load_config
from reefline.data.demo import generate_demo_data
from reefline.errors import CheckpointError, DataError
from reefline.od_api import compat
from reefline.recommendation import recommend as recommend_module
from reefline.settings import EdgeTpuTarget
from reefline.training import starting_point
from tests.factories import make_data_set, make_jpeg

COCO_DETECTOR = Path(__file__).resolve().parents[3] / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
SCRATCH = (Override(("trainer", "start"), "scratch"),)
# The smallest model that is quick to measure.
SMALL = ("--set", "trainer.model=ssd_mobilenet_v2_tiny", "--set", "trainer.input_size=96")


@pytest.fixture(autouse=True, scope="module")
def od_api() -> None:
    compat.apply()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recommend") / "demo"
    generate_demo_data(folder, images=24)
    return folder


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Return the configs of runs whose pipelines do nothing."""
    started: list[RunConfig] = []
    monkeypatch.setattr(run, "_run_dag", lambda config, *_arguments: started.append(config))
    return started


def _run(workspace: Path, data_dir: Path, *arguments: str) -> int:
    return local_runner.main(["--workspace", str(workspace), "--data", str(data_dir), *arguments])


def test_the_recommended_file_is_the_runs_config(
    tmp_path: Path, data_dir: Path, configs: list[RunConfig], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "ws"
    assert _run(workspace, data_dir, *SMALL, "--minutes", "3") == 1  # a pipeline that does nothing blesses nothing
    out = capsys.readouterr().out
    path = workspace / "reports" / "latest" / "recommended.yaml"
    config = load_config(path)
    assert configs == [config]
    assert (config.trainer.model, config.trainer.input_size) == ("ssd_mobilenet_v2_tiny", 96)
    assert config.trainer.start.is_new_weights and config.trainer.learning_rate == 0.08
    assert 100 <= config.trainer.num_steps <= 20_000
    assert "recommended: ssd_mobilenet_v2_tiny (scratch), 96 px, batch 8" in out
    assert "reason: it is the template you chose" in out
    assert "time: about 0:0" in out and f"config: {path.parent.resolve() / path.name}" in out
    # The comments tell what the values rest on; a second reading of the file needs nothing else.
    assert path.read_text().startswith("# Recommended for 3 minutes")

    def measure_again(*_arguments: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(recommended, "recommend", measure_again)
    assert _run(workspace, data_dir, *SMALL, "--minutes", "3", "--set", "gate.min_map=0.3") == 1
    assert "config: the one recommended before for the same data and options" in capsys.readouterr().out
    again = configs[1]
    assert (again.trainer, again.data, again.gate.min_map) == (config.trainer, config.data, 0.3)


@pytest.mark.skipif(not COCO_DETECTOR.is_file(), reason="../shared/models is missing")
def test_a_recommendation_follows_the_rules(tmp_path: Path, data_dir: Path) -> None:
    found = recommend_module.recommend(data_dir, 1, (), tmp_path, lambda _line: None)
    first = found.rows[0]
    assert (first.template, first.start) == ("ssd_mobilenet_v1_300", "COCO 2017 (90 classes)")
    assert found.config["trainer"].pop("steps_per_eval") in (10, 13)  # 10 evaluations, 8 if they take long
    assert found.config["trainer"] == {
        "model": "ssd_mobilenet_v1_300",
        "start": {"source": "published"},
        "batch_size": 8,
        "num_steps": 100,
        "learning_rate": 0.02,
        "warmup_steps": 50,
        "augmentations": ["horizontal_flip", "ssd_random_crop"],
        "early_stopping_patience": None,  # a default of the trainer would stop early
    }
    assert found.config["edgetpu"] == EdgeTpuTarget.REQUIRED.value
    assert "already know COCO 2017" in found.reason
    assert any("raise --minutes" in note for note in found.notes)
    assert {row.template for row in found.rows} | {one.template for one in found.left_out} >= {
        "ssd_mobilenet_v2_320",
        "ssd_resnet50_fpn_640",
    }


def test_missing_weights_are_told_before_anything_is_measured(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(starting_point.StartCache, "_find", lambda *_arguments: None)
    told: list[str] = []
    with pytest.raises(CheckpointError, match=r"put the file with sha256 e4b118e5\w+ into .*trainer\.start=scratch$"):
        recommend_module.recommend(data_dir, 1, (), tmp_path, told.append)
    assert told == []


def test_data_that_cannot_be_ingested(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=6)
    for broken in ("image_000.jpg", "image_001.jpg"):
        (data / broken).write_bytes(make_jpeg()[:200])
    (tmp_path / "work").mkdir()
    with pytest.raises(DataError, match=r"2 of 6 images are rejected"):
        recommend_module.recommend(data, 1, SCRATCH, tmp_path / "work", lambda _line: None)
