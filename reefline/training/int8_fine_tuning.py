"""Fine-tuning a trained detector for int8: a few hundred more steps with int8's rounding simulated."""

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

# The weights are good already: only the best of those nearby is wanted.
LEARNING_RATE_FRACTION = 0.1
WARMUP_FRACTION = 0.1


@dataclass(frozen=True)
class Int8FineTuning:
    """What is fine-tuned: `checkpoint` is a prefix, `train_records` are files, `steps` is positive."""

    checkpoint: str
    train_records: Sequence[Path]
    label_map: Path
    steps: int
    seed: int


def fine_tune_for_int8(od_config: TrainEvalPipelineConfig, tuning: Int8FineTuning, directory: Path) -> str:
    """Return the prefix of a new checkpoint in `directory`: the same model, less sensitive to int8's rounding.

    The learning rate peaks at a tenth of the training's and falls to 0; batch normalization keeps its statistics. The
    same seed gives the same result without augmentations: the OD API augments images in parallel, and which image gets
    which random number depends on timing.

    Raises:
        TrainingDivergedError: a loss that is NaN or infinite.
        CheckpointError: the checkpoint cannot be read or does not fit.
        OutOfMemoryError: a batch does not fit in the device's memory.
    """
    import tensorflow as tf

    od_config = make_int8_config(od_config, tuning)
    seed_everything(tuning.seed)
    step = TrainStep(od_config)
    step.load_fine_tune_checkpoint(tuning.checkpoint, CheckpointType.DETECTION)
    simulate_int8(step.model)
    batch_size = od_config.train_config.batch_size
    with (
        TrainingProgress(tuning.steps) as progress,
        explained_out_of_memory(batch_size, read_input_size(od_config).width_px),
    ):
        progress.note(f"Fine-tuning for int8: {tuning.steps} steps from {tuning.checkpoint}.")
        for number in range(1, tuning.steps + 1):
            result = step.run()
            check_finite(result, number)
            progress.step(number, result.total_loss)
    directory.mkdir(parents=True, exist_ok=True)
    return str(tf.train.Checkpoint(model=step.model).save(str(directory / "int8")))


def make_int8_config(od_config: TrainEvalPipelineConfig, tuning: Int8FineTuning) -> TrainEvalPipelineConfig:
    """Return a copy of a training's config with the fine-tuning's schedule, records and frozen normalization."""
    copy = type(od_config)()
    copy.CopyFrom(od_config)
    copy.model.ssd.freeze_batchnorm = True
    reader = copy.train_input_reader
    reader.label_map_path = str(tuning.label_map)
    reader.tf_record_input_reader.input_path[:] = [str(path) for path in tuning.train_records]
    # Several readers interleave files in an order that varies from run to run.
    reader.num_readers = 1
    copy.train_config.num_steps = tuning.steps
    rate = copy.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    rate.learning_rate_base *= LEARNING_RATE_FRACTION
    rate.warmup_learning_rate = rate.learning_rate_base * LEARNING_RATE_FRACTION
    rate.warmup_steps = int(tuning.steps * WARMUP_FRACTION)
    rate.total_steps = tuning.steps
    return copy
