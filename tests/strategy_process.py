"""Some training steps with a strategy, in a separate process: run as a module, with folder, records and strategy.

Prints as JSON the total loss of each step and the sum of all weights after them, with batch normalization frozen; last
the loss of one step with it. (Over a batch of 4 and feature maps of one cell, normalization turns the last bit of a sum
into the third digit of the next loss, so that later steps cannot be compared.) Images differ, their boxes do not: the
OD API divides each device's loss by its own number of matched anchors, so that only then two devices can equal one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.formats.tf_example import write_examples
from reefline.settings import DistributionStrategy
from reefline.structures.boxes import BoxXyxyPx
from tests.factories_training import draw_example, make_tiny_settings, write_labels

if TYPE_CHECKING:
    import tensorflow as tf

    from reefline.od_api.train_step import TrainStep

REPO_DIR = Path(__file__).resolve().parents[1]
STEPS = 4
GLOBAL_BATCH = 4
SETTINGS = make_tiny_settings(batch_size=GLOBAL_BATCH, num_steps=STEPS, learning_rate=0.001, warmup_steps=0)


def write_strategy_records(folder: Path) -> None:
    """Write `whole/`, one file of batches, and `halves/`, two files whose parts make up the same batches."""
    box = BoxXyxyPx(20.0, 20.0, 80.0, 80.0)
    drawn = [draw_example(2 * index) for index in range(STEPS * GLOBAL_BATCH)]
    examples = [
        dataclasses.replace(each, objects=tuple(item._replace(box_xyxy_px=box) for item in each.objects))
        for each in drawn
    ]
    half = GLOBAL_BATCH // 2
    batches = [examples[start : start + GLOBAL_BATCH] for start in range(0, len(examples), GLOBAL_BATCH)]
    for name in ("whole", "halves"):
        (folder / name).mkdir(parents=True)
    write_examples(folder / "whole" / "a.gz", examples)
    write_examples(folder / "halves" / "a.gz", [example for batch in batches for example in batch[:half]])
    write_examples(folder / "halves" / "b.gz", [example for batch in batches for example in batch[half:]])
    write_labels(folder / "label_map.pbtxt")


def start(folder: Path, records: str, strategy: DistributionStrategy, cluster: str = "") -> subprocess.Popen[str]:
    """Start one process of a training."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"} | ({"TF_CONFIG": cluster} if cluster else {})
    command = [sys.executable, "-m", __name__, str(folder), records, strategy.value]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPO_DIR, env=environment, stdout=pipe, stderr=pipe, text=True)


def finish(processes: Sequence[subprocess.Popen[str]], timeout_s: float = 240.0) -> list[list[float]]:
    """Wait for the processes and return what each printed."""
    results = []
    for process in processes:
        output, errors = process.communicate(timeout=timeout_s)
        if process.returncode:
            raise RuntimeError(errors[-3000:])
        results.append(json.loads(output.splitlines()[-1]))
    return results


def _main(folder: Path, records: str, kind: DistributionStrategy) -> None:
    from reefline.od_api import compat

    compat.apply()
    import tensorflow as tf

    from reefline.od_api.devices import create_strategy

    if kind is DistributionStrategy.MIRRORED:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = create_strategy(kind, GLOBAL_BATCH)
    with_frozen = _make_step(folder, records, strategy, freeze=True)
    losses = [with_frozen.run().total_loss for _ in range(STEPS)]
    weights = sum(float(tf.reduce_sum(tf.abs(weight))) for weight in with_frozen.model.trainable_variables)
    with_live = _make_step(folder, records, strategy, freeze=False)
    print(json.dumps([*losses, weights, with_live.run().total_loss]))


def _make_step(folder: Path, records: str, strategy: tf.distribute.Strategy, *, freeze: bool) -> TrainStep:
    import tensorflow as tf

    from reefline.od_api import model_config
    from reefline.od_api.train_step import TrainStep

    paths = tuple(str(path) for path in sorted((folder / records).iterdir()))
    files = model_config.TrainingFiles(paths, paths, folder / "label_map.pbtxt")
    config = model_config.build_pipeline_config(model_config.load_template(SETTINGS.model), SETTINGS, files)
    config.train_input_reader.shuffle = False
    config.train_input_reader.num_readers = 1
    config.model.ssd.freeze_batchnorm = freeze
    if strategy.num_replicas_in_sync > 1:
        config = model_config.with_synchronized_batch_norm(config)
    step = TrainStep(config, strategy)
    # Not every strategy draws the first weights in the same order.
    for index, weight in enumerate(step.model.trainable_variables):
        if weight.shape.rank == 4:
            fan_in = float(tf.reduce_prod(weight.shape[:3] if weight.shape[3] > 1 else weight.shape[:2]))
            weight.assign(tf.random.stateless_normal(weight.shape, (0, index), stddev=fan_in**-0.5))
    return step


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], DistributionStrategy(sys.argv[3]))
