"""The real export of untrained models, what is remembered of it, and that training does not notice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reefline.edgetpu.preflight_report import Preflight
from reefline.edgetpu.record import PlacementSource
from reefline.export.preflight import examine_untrained, preflight_model
from reefline.od_api import compat, model_config
from reefline.settings import CompilerSettings, ExporterSettings
from tests.factories_compiler import COMPILED_FILE, make_compiler
from tests.factories_training import build_config, make_tiny_settings, write_splits

SUCCESS = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 1013 ms.

Input model: model_int8.tflite
Output model: model_int8_edgetpu.tflite
Number of Edge TPU subgraphs: 1
Total number of operations: 101
Operation log: model_int8_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU.
Number of operations that will run on Edge TPU: 97
Number of operations that will run on CPU: 4
"""


def make_config(input_size_px: int = 96, classes: int = 3):
    compat.apply()
    return model_config.build_model_config(model_config.load_template("ssd_mobilenet_v2_tiny"), input_size_px, classes)


@pytest.fixture(scope="module")
def found() -> Preflight:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        return examine_untrained(make_config(), ExporterSettings())


@pytest.fixture
def without_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_an_untrained_model_shows_what_will_map(found: Preflight) -> None:
    assert found.conforms
    assert found.problems == ()
    assert [op.op for op in found.left_out] == ["DEQUANTIZE", "DEQUANTIZE", "CUSTOM:TFLite_Detection_PostProcess"]
    assert (found.edgetpu.ops_on_tpu, found.edgetpu.ops_on_cpu, found.edgetpu.ops_uncertain) == (98, 3, 0)
    assert found.edgetpu.source is PlacementSource.PREDICTION
    parameters, latency = found.forecast
    assert "all cached (prediction)" in parameters and "ms with a USB accelerator" in latency


@pytest.mark.usefixtures("without_compiler")
def test_an_answer_is_remembered_by_what_it_depends_on(
    found: Preflight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined: list[int] = []

    def count(config: object, settings: object) -> Preflight:
        examined.append(1)
        return found

    # The examination itself is tested above; here only how often it is asked for counts.
    monkeypatch.setattr("reefline.export.preflight.examine_untrained", count)
    memory = tmp_path / "memory"

    def ask(config=None, settings: ExporterSettings | None = None, code: str = "a") -> int:
        before = len(examined)
        answer = preflight_model(config or make_config(), settings or ExporterSettings(), memory, code)
        assert answer == found
        return len(examined) - before

    assert ask() == 1
    assert ask() == 0
    assert ask(settings=ExporterSettings(calibration_images=7, quantization_aware_steps=9)) == 0
    trained_longer = make_config()
    trained_longer.train_config.num_steps = 99
    assert ask(trained_longer) == 0
    assert ask(make_config(128)) == 1
    assert ask(make_config(classes=4)) == 1
    assert ask(settings=ExporterSettings(max_detections=7)) == 1
    assert ask(code="b") == 1
    for file in memory.iterdir():
        file.write_text("{")
    assert ask() == 1
    assert ask() == 0


@pytest.mark.usefixtures("without_compiler")
def test_a_memory_that_cannot_be_written_costs_nothing(
    found: Preflight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reefline.export.preflight.examine_untrained", lambda config, settings: found)
    (tmp_path / "file").write_text("")
    assert preflight_model(make_config(), ExporterSettings(), tmp_path / "file" / "memory", "a") == found


def test_an_image_that_gave_no_answer_is_asked_again(
    found: Preflight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reefline.export.preflight.examine_untrained", lambda config, settings: found)
    settings = ExporterSettings(compiler=CompilerSettings(image="compiler"))
    assert preflight_model(make_config(), settings, tmp_path / "memory", "a") == found
    assert not (tmp_path / "memory").exists()


def test_a_compiler_overrides_the_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = make_compiler(tmp_path / "bin", SUCCESS, output=COMPILED_FILE)
    monkeypatch.setenv("PATH", str(stand_in.folder))
    memory = tmp_path / "memory"
    asked = preflight_model(make_config(), ExporterSettings(), memory, "a")
    assert asked.edgetpu.source is PlacementSource.COMPILER
    assert (asked.edgetpu.ops_on_tpu, asked.edgetpu.ops_on_cpu) == (97, 4)
    (remembered,) = memory.iterdir()
    assert Preflight.from_json(json.loads(remembered.read_text())) == asked


def test_training_is_the_same_with_and_without_a_preflight_before_it(tmp_path: Path) -> None:
    from reefline.od_api.train_step import TrainStep, seed_everything

    compat.apply()
    data = write_splits(tmp_path, train=8, evaluation=1)
    config = build_config(data, make_tiny_settings(batch_size=2, num_steps=2))
    # One order of the images: the readers of a real training take turns in an order of the moment.
    config.train_input_reader.shuffle = False
    config.train_input_reader.num_readers = 1

    def run_steps() -> list[float]:
        seed_everything(3)
        step = TrainStep(config)
        return [float(step.run().total_loss) for _ in range(2)]

    without = run_steps()
    examine_untrained(make_config(), ExporterSettings())
    np.testing.assert_array_equal(run_steps(), without)
