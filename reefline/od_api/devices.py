"""Devices: TensorFlow's distribution strategies by name, GPU memory, and advice for when it runs out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reefline.errors import ConfigError, OutOfMemoryError
from reefline.settings import DistributionStrategy

if TYPE_CHECKING:
    import tensorflow as tf

# A stride of the OD API's feature maps: other input sizes leave cells partly outside the image.
_INPUT_STEP_PX = 32
_MIN_SUGGESTED_INPUT_PX = 96


def create_strategy(kind: DistributionStrategy, batch_size: int) -> tf.distribute.Strategy:
    """Return TensorFlow's own strategy; each step divides `batch_size` images among its devices.

    Call it before anything else uses a device: multi_worker is only available at a process's start.

    Raises:
        ConfigError: multi_worker without TF_CONFIG, or too late; or the batch cannot be divided among the devices.
    """
    import tensorflow as tf

    let_gpu_memory_grow()
    if kind is DistributionStrategy.NONE:
        return tf.distribute.get_strategy()
    strategy = tf.distribute.MirroredStrategy() if kind is DistributionStrategy.MIRRORED else _join_workers()
    devices = strategy.num_replicas_in_sync
    if batch_size % devices:
        raise ConfigError(
            f"trainer.batch_size: {batch_size} images cannot be divided evenly among {devices} devices; use a multiple "
            f"of {devices}"
        )
    return strategy


def _join_workers() -> tf.distribute.Strategy:
    import tensorflow as tf

    if not os.environ.get("TF_CONFIG"):
        raise ConfigError(
            "trainer.strategy: multi_worker needs the environment variable TF_CONFIG, which lists the cluster's "
            "workers and this process's index; set it for each worker (docs/models.md)"
        )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"trainer.strategy: cannot join the other workers: {error}") from error


def count_gpus() -> int:
    """Return how many GPUs TensorFlow sees."""
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def let_gpu_memory_grow() -> None:
    """Allocate GPU memory as needed instead of all at once, which leaves some for an evaluation in another process."""
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        # Already in use: growth was set when the process began, or another choice was made.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(device, True)


@contextlib.contextmanager
def explained_out_of_memory(batch_size: int, input_size_px: int) -> Iterator[None]:
    """Turn TensorFlow's "OOM when allocating tensor" into advice.

    Raises:
        OutOfMemoryError: memory ran out inside.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        if "no space left" in str(error).lower():
            raise
        raise OutOfMemoryError(describe_out_of_memory(batch_size, input_size_px)) from error


def describe_out_of_memory(batch_size: int, input_size_px: int) -> str:
    """Return what ran out of memory and what to try: half the batch, or an input of about 0.7 times the side."""
    smaller_px = max(_MIN_SUGGESTED_INPUT_PX, int(input_size_px * 0.7) // _INPUT_STEP_PX * _INPUT_STEP_PX)
    remedies = []
    if batch_size > 1:
        remedies.append(f"trainer.batch_size={max(1, batch_size // 2)}")
    if smaller_px < input_size_px:
        remedies.append(f"trainer.input_size={smaller_px}")
    advice = f"try {' or '.join(remedies)}" if remedies else "this model needs a device with more memory"
    return (
        f"out of memory with trainer.batch_size {batch_size} at {input_size_px} x {input_size_px} px: {advice}; "
        "trainer.isolate_evaluation=true frees the memory that evaluations use"
    )
