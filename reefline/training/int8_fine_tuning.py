"""Fine-tuning a trained detector for int8: some hundred steps more, with int8's rounding simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.od_api.devices import explained_out_of_memory
from reefline.od_api.export import read_input_size
from reefline.od_api.int8_simulation import simulate_int8
from reefline.od_api.train_step import TrainStep, check_finite, seed_everything
from reefline.settings import CheckpointType
from reefline.training.progress import TrainingProgress

if TYPE_CHECKING:
    from reefline.od_api.model_config import TrainEvalPipelineConfig

# The weights are good already: what is wanted is the best of the values near them.
LEARNING_RATE_FRACTION = 0.1
WARMUP_FRACTION = 0.1


@dataclass(frozen=True)
class FineTuning:
    """What is fine-tuned: `checkpoint` is a prefix, `train_records` are files, `steps` positive."""

    checkpoint: str
    train_records: Sequence[Path]
    label_map: Path
    steps: int
    seed: int


def fine_tune_for_int8(config: TrainEvalPipelineConfig, tuning: FineTuning, directory: Path) -> str:
    """Return the prefix of a new checkpoint in `directory`, which fits the same model and takes int8's rounding better.

    The learning rate is a tenth of the training's at its highest and falls to 0; batch normalization keeps its
    statistics. One seed gives one result where nothing is augmented: the OD API augments images in parallel, and which
    of them draws which random number is a matter of the moment.

    Raises:
        TrainingDivergedError: a loss that is NaN or infinite.
        CheckpointError: the checkpoint cannot be read or does not fit.
        OutOfMemoryError: the device has no room for a batch.
    """
    import tensorflow as tf

    config = make_fine_tuning_config(config, tuning)
    seed_everything(tuning.seed)
    step = TrainStep(config)
    step.load_fine_tune_checkpoint(tuning.checkpoint, CheckpointType.DETECTION)
    simulate_int8(step.model)
    batch_size = config.train_config.batch_size
    with (
        TrainingProgress(tuning.steps) as progress,
        explained_out_of_memory(batch_size, read_input_size(config).width_px),
    ):
        progress.note(f"fine-tuning for int8: {tuning.steps} steps from {tuning.checkpoint}")
        for number in range(1, tuning.steps + 1):
            result = step.run()
            check_finite(result, number)
            progress.step(number, result.total_loss)
    directory.mkdir(parents=True, exist_ok=True)
    return str(tf.train.Checkpoint(model=step.model).save(str(directory / "int8")))


def make_fine_tuning_config(config: TrainEvalPipelineConfig, tuning: FineTuning) -> TrainEvalPipelineConfig:
    """Return a copy of a training's config with the fine-tuning's schedule, records and frozen normalization."""
    copy = type(config)()
    copy.CopyFrom(config)
    copy.model.ssd.freeze_batchnorm = True
    reader = copy.train_input_reader
    reader.label_map_path = str(tuning.label_map)
    reader.tf_record_input_reader.input_path[:] = [str(path) for path in tuning.train_records]
    # Several readers take turns in an order that is not the same twice.
    reader.num_readers = 1
    copy.train_config.num_steps = tuning.steps
    rate = copy.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    rate.learning_rate_base *= LEARNING_RATE_FRACTION
    rate.warmup_learning_rate = rate.learning_rate_base * LEARNING_RATE_FRACTION
    rate.warmup_steps = int(tuning.steps * WARMUP_FRACTION)
    rate.total_steps = tuning.steps
    return copy
