"""Fine-tuning for int8: the same model with other filters, and the same operators after the export."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reefline.bundle.layout import INT8_FILE
from reefline.errors import RecordError
from reefline.export.export_model import ExportInputs, export_model, find_int8_checkpoint
from reefline.od_api import compat, model_config
from reefline.settings import EdgeTpuTarget, ExporterSettings, TrainerSettings
from reefline.structures.artifacts import ExamplesFolder, LabelMapFolder, ModelFolder, ModelRunFolder
from reefline.tflite.reader import read_graph
from reefline.training.int8_fine_tuning import Int8FineTuning, fine_tune_for_int8, make_int8_config
from reefline.training.job import TrainingJob
from tests.factories_training import build_config, make_tiny_settings, write_splits

STEPS = 3
MODEL_PARTS = ("model/_feature_extractor/", "model/_box_predictor/")
TINY = make_tiny_settings(learning_rate=0.05, num_steps=100, seed=7)
FPN_LITE = TINY.model_copy(update={"model": "ssd_mobilenet_v2_fpnlite_320", "batch_size": 2})


def start_run(folder: Path, settings: TrainerSettings) -> Path:
    """Return what Trainer leaves after three steps."""
    compat.apply()
    import tensorflow as tf

    from reefline.od_api.train_step import TrainStep, seed_everything

    data = write_splits(folder / "data", train=8, evaluation=2)
    config = build_config(data, settings)
    run = folder / "model_run"
    run.mkdir()
    model_config.write_pipeline_config(config, run / "pipeline.config")
    TrainingJob(settings, "", folder).write(ModelRunFolder(run).job)
    seed_everything(settings.seed)
    step = TrainStep(config)
    for _ in range(3):
        step.run()
    tf.train.CheckpointManager(step.checkpoint(), str(run / "best"), max_to_keep=1).save()
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_run(tmp_path_factory.mktemp("tiny"), TINY)


def read_run(run: Path, **changes: Any) -> tuple[Any, Int8FineTuning]:
    import tensorflow as tf

    checkpoint = tf.train.latest_checkpoint(str(run / "best"))
    records = tuple((run.parent / "data" / "Split-train").iterdir())
    tuning = Int8FineTuning(checkpoint, records, run.parent / "data" / "label_map.pbtxt", STEPS, TINY.seed)
    return model_config.read_pipeline_config(run / "pipeline.config"), replace(tuning, **changes)


def read_variables(prefix: str) -> dict[str, np.ndarray]:
    """Return a checkpoint's variables of the model, without the optimizer's."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(prefix)
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(MODEL_PARTS)]
    return {name: reader.get_tensor(name) for name in names if "/.OPTIMIZER_SLOT/" not in name}


@pytest.fixture(scope="module")
def tuned(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fine_tune_for_int8(*read_run(run), tmp_path_factory.mktemp("tuned"))


def test_filters_are_trained_and_statistics_stay(run: Path, tuned: str) -> None:
    before, after = read_variables(read_run(run)[1].checkpoint), read_variables(tuned)
    assert before.keys() == after.keys()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert not [name for name in moved if "/moving_" in name]
    filters = [name for name in before if "/kernel/" in name or "/depthwise_kernel/" in name]
    assert len(filters) > 50
    assert len([name for name in filters if name in moved]) > 0.9 * len(filters)


def test_one_seed_gives_one_result_without_augmentations(run: Path, tuned: str, tmp_path: Path) -> None:
    first, again = read_variables(tuned), read_variables(fine_tune_for_int8(*read_run(run), tmp_path / "again"))
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_fine_tuning_has_its_own_schedule(run: Path) -> None:
    config, tuning = read_run(run, steps=200)
    made = make_int8_config(config, tuning)
    rate = made.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert rate.learning_rate_base == pytest.approx(0.005)
    assert rate.warmup_learning_rate == pytest.approx(0.0005)
    assert (rate.warmup_steps, rate.total_steps, made.train_config.num_steps) == (20, 200, 200)
    assert made.model.ssd.freeze_batchnorm
    assert list(made.train_input_reader.tf_record_input_reader.input_path) == [str(tuning.train_records[0])]
    assert not config.model.ssd.freeze_batchnorm


def test_a_run_without_its_job_is_refused_before_anything_is_trained(run: Path, tmp_path: Path) -> None:
    inputs = make_inputs(run, tmp_path)
    inputs.model_run.job.unlink()
    with pytest.raises(RecordError, match=r"job\.json: cannot read it"):
        export_model(inputs, make_exporter_settings(STEPS), EdgeTpuTarget.REQUIRED, ModelFolder(tmp_path / "model"))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [TINY, FPN_LITE], ids=["ssd", "fpn_lite"])
def test_export_has_the_operators_of_the_model_that_was_not_fine_tuned(
    settings: TrainerSettings, tmp_path: Path
) -> None:
    inputs = make_inputs(start_run(tmp_path, settings), tmp_path)
    files, records, checkpoints = [], [], []
    for steps in (0, STEPS):
        folder = ModelFolder(tmp_path / f"steps_{steps}")
        export_model(inputs, make_exporter_settings(steps), EdgeTpuTarget.REQUIRED, folder)
        files.append(folder.bundle / INT8_FILE)
        records.append(json.loads((folder.bundle / "export.json").read_text()))
        checkpoints.append(Path(find_int8_checkpoint(folder, inputs.model_run)))
    plain, tuned = ([operator.name for operator in read_graph(file).operators] for file in files)
    assert plain == tuned
    assert Counter(tuned)["DEQUANTIZE"] == 2
    assert [record.pop("quantization_aware_steps") for record in records] == [0, STEPS]
    assert records[0] == records[1]
    # What a diagnosis would measure.
    assert [checkpoint.parent for checkpoint in checkpoints] == [inputs.model_run.best, folder.fine_tuned]
    assert files[0].read_bytes() != files[1].read_bytes()


def make_exporter_settings(steps: int) -> ExporterSettings:
    return ExporterSettings(calibration_images=4, quantization_aware_steps=steps)


def make_inputs(run: Path, folder: Path) -> ExportInputs:
    """Return the inputs of an export of a copy of the run, as a test may take parts of it away."""
    copy = folder / "copy"
    shutil.copytree(run, copy)
    data = run.parent / "data"
    return ExportInputs(ModelRunFolder(copy), ExamplesFolder(data), LabelMapFolder(data))
