"""The OD API's own loops, AutoGraph and all, give the same numbers as ours: losses of training, metrics of evaluation.

Nothing of theirs is changed but the compat shims and the reader of gzip records. Both sides get one seed and one order
of the data, and make their own weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reefline.od_api import compat, model_config
from reefline.settings import TrainerSettings
from tests.factories_training import write_labels, write_records

pytestmark = pytest.mark.slow

SEED = 7
STEPS = 20
BATCH_SIZE = 4
LOSS_TOLERANCE = 1e-4
METRIC_TOLERANCE = 1e-6
# A step that moves weights far makes two roundings of one sum drift apart, which is not what is asked here.
LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Case:
    """A template and the smallest input that its feature extractor takes in good time."""

    template: str
    input_size_px: int


CASES = (
    Case("ssd_mobilenet_v2_tiny", 96),
    Case("ssd_mobilenet_v2_fpnlite_320", 128),
    Case("efficientdet_d0", 256),
)


@dataclass(frozen=True)
class Setting:
    """One case, ready to be trained: its config, as a message and as a file, and a folder to write in."""

    config: Any
    path: Path
    directory: Path


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.template)
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    compat.apply()
    directory = tmp_path_factory.mktemp(request.param.template)
    write_records(directory / "Split-train" / "data_tfrecord-00000-of-00001.gz", 24)
    write_records(directory / "Split-eval" / "data_tfrecord-00000-of-00001.gz", 10)
    write_labels(directory / "label_map.pbtxt")
    config = make_config(request.param, directory)
    model_config.write_pipeline_config(config, directory / "pipeline.config")
    return Setting(config, directory / "pipeline.config", directory)


def make_config(case: Case, directory: Path) -> Any:
    """Build a config whose batches come in one order: nothing is shuffled or augmented and one reader reads."""
    settings = TrainerSettings(
        model=case.template,
        input_size=case.input_size_px,
        batch_size=BATCH_SIZE,
        num_steps=STEPS,
        steps_per_eval=STEPS,
        learning_rate=LEARNING_RATE,
        warmup_steps=5,
        augmentations=(),
        sample_images=1,
    )
    files = model_config.TrainingFiles(
        train_records=(str(directory / "Split-train" / "*"),),
        eval_records=(str(directory / "Split-eval" / "*"),),
        label_map=directory / "label_map.pbtxt",
        max_boxes_per_image=4,
    )
    config = model_config.build_pipeline_config(model_config.load_template(settings.model), settings, files)
    config.train_input_reader.shuffle = False
    config.train_input_reader.num_readers = 1
    return config


def seed_everything() -> None:
    """Seed what draws the weights: TensorFlow's operations, and Keras' initializers through a generator of their own.

    Without the latter they draw from Python's `random`, of which the first import of some modules takes a part.
    """
    import tensorflow as tf

    tf.keras.utils.set_random_seed(SEED)


@pytest.fixture(scope="module")
def our_training(setting: Setting) -> tuple[list[dict[str, float]], str]:
    """Return our losses, step by step, and the checkpoint after the last of them."""
    from reefline.od_api.train_step import TrainStep

    seed_everything()
    step = TrainStep(setting.config)
    losses = [step.run().losses for _ in range(STEPS)]
    return losses, step.checkpoint().save(str(setting.directory / "ours" / "ckpt"))


def test_losses_of_training_are_those_of_train_loop(
    setting: Setting, our_training: tuple[list[dict[str, float]], str]
) -> None:
    from object_detection import model_lib_v2

    seed_everything()
    model_lib_v2.train_loop(
        pipeline_config_path=str(setting.path),
        model_dir=str(setting.directory / "theirs"),
        num_steps_per_iteration=1,
    )
    ours, theirs = our_training[0], read_losses(setting.directory / "theirs" / "train")
    assert len(ours) == len(theirs) == STEPS
    for step, (mine, their) in enumerate(zip(ours, theirs, strict=True), start=1):
        assert mine.keys() == their.keys() >= {"Loss/total_loss", "Loss/regularization_loss"}
        assert mine == pytest.approx(their, rel=LOSS_TOLERANCE), f"step {step}"
    totals = [losses["Loss/total_loss"] for losses in ours]
    assert len({round(total, 3) for total in totals}) > STEPS // 2, "the losses hardly moved: nothing was trained"


def read_losses(logs: Path) -> list[dict[str, float]]:
    """Read what train_loop wrote for TensorBoard: one dictionary a step."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs), size_guidance={"tensors": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith("Loss/")]
    by_step: dict[int, dict[str, float]] = {}
    for tag in tags:
        for event in events.Tensors(tag):
            by_step.setdefault(event.step, {})[tag] = float(tf.make_ndarray(event.tensor_proto))
    return [by_step[step] for step in sorted(by_step)]


def test_metrics_are_those_of_eager_eval_loop(
    setting: Setting, our_training: tuple[list[dict[str, float]], str]
) -> None:
    prefix = our_training[1]
    ours, theirs = evaluate_ours(setting, prefix), evaluate_theirs(setting, prefix)
    metrics = {name for name in theirs if name.startswith("DetectionBoxes")}
    assert len(metrics) == 12
    assert ours.keys() == theirs.keys()
    for name in sorted(theirs):
        if name in metrics:
            assert ours[name] == pytest.approx(theirs[name], abs=METRIC_TOLERANCE), name
        else:
            assert ours[name] == pytest.approx(theirs[name], rel=LOSS_TOLERANCE), name
    assert max(theirs[name] for name in metrics) > 0.01, "the model found nothing: equal metrics say nothing"


def evaluate_ours(setting: Setting, prefix: str) -> dict[str, float]:
    """Restore the checkpoint and evaluate twice, so that what is kept from the first time is compared too."""
    from reefline.od_api.evaluation import Evaluation
    from reefline.od_api.train_step import TrainStep

    step = TrainStep(setting.config)
    step.checkpoint().restore(prefix).expect_partial()
    evaluation = Evaluation(setting.config, step.model)
    evaluation.run()
    return evaluation.run().scalars


def evaluate_theirs(setting: Setting, prefix: str) -> dict[str, float]:
    """Do what `model_lib_v2.eval_continuously` does with one checkpoint."""
    import tensorflow as tf
    from object_detection import inputs, model_lib_v2

    read: Callable[..., dict[str, Any]] = model_lib_v2.MODEL_BUILD_UTIL_MAP["get_configs_from_pipeline_file"]
    configs = read(str(setting.path))
    model = model_lib_v2.MODEL_BUILD_UTIL_MAP["detection_model_fn_base"](
        model_config=configs["model"], is_training=True
    )
    dataset = inputs.eval_input(configs["eval_config"], configs["eval_input_config"], configs["model"], model=model)
    step = tf.Variable(0, trainable=False, dtype=tf.int64)
    tf.train.Checkpoint(step=step, model=model).restore(prefix).expect_partial()
    with tf.summary.create_file_writer(str(setting.directory / "theirs" / "eval")).as_default():
        metrics = model_lib_v2.eager_eval_loop(model, configs, dataset, global_step=step)
    return {name: float(value) for name, value in metrics.items()}
