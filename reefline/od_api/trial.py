"""A miniature run: a few training steps and a few evaluated images, timed."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.od_api import compat
from reefline.od_api.devices import explained_out_of_memory, let_gpu_memory_grow
from reefline.od_api.evaluation import Evaluation
from reefline.od_api.probe import count_bytes
from reefline.od_api.train_step import StepResult, TrainStep, seed_everything

if TYPE_CHECKING:
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

# When the first step ends, some batches are already prepared; only later steps show the input pipeline's speed too.
WARM_STEPS = 8
TIMED_STEPS = 5
# Where a step takes long, a few are enough.
MAX_WARM_S = 60.0
MIN_WARM_STEPS = 3


def load_libraries() -> float:
    """Import everything that training imports, with the shims it needs, and return the seconds that took."""
    started_s = time.monotonic()
    compat.apply()
    from object_detection import eval_util, inputs, model_lib_v2

    del eval_util, inputs, model_lib_v2
    let_gpu_memory_grow()
    return time.monotonic() - started_s


@dataclass(frozen=True)
class StepTrial:
    """The result of each step in order, and seconds: building, the first step, and a later step."""

    results: tuple[StepResult, ...]
    build_s: float
    first_step_s: float
    step_s: float
    weights_bytes: int
    optimizer_bytes: int


@dataclass(frozen=True)
class EvaluationTrial:
    """Seconds per image, and the first evaluation's extra seconds."""

    first_s: float
    image_s: float


class Trial:
    """A training run that ends after a few steps and an evaluation."""

    def __init__(self, config: TrainEvalPipelineConfig, seed: int) -> None:
        """Build the model and its input."""
        seed_everything(seed)
        started_s = time.monotonic()
        self._config = config
        self.step = TrainStep(config)
        self._build_s = time.monotonic() - started_s

    def train(self) -> StepTrial:
        """Run the first step and a few more.

        Raises:
            OutOfMemoryError: the batch does not fit in memory; the message says what to try.
        """
        resizer = self._config.model.ssd.image_resizer.fixed_shape_resizer
        with explained_out_of_memory(self._config.train_config.batch_size, resizer.height):
            started_s = time.monotonic()
            results = [self.step.run()]
            first_step_s = time.monotonic() - started_s
            step_s = self._time_steps(results)
        return StepTrial(
            results=tuple(results),
            build_s=self._build_s,
            first_step_s=first_step_s,
            step_s=step_s,
            weights_bytes=count_bytes(self.step.model.variables),
            optimizer_bytes=count_bytes(_variables(self.step.optimizer)),
        )

    def _time_steps(self, results: list[StepResult]) -> float:
        """Run steps, append their results, and return the median seconds of the last ones."""
        seconds: list[float] = []
        while len(seconds) < WARM_STEPS and (len(seconds) < MIN_WARM_STEPS or sum(seconds) < MAX_WARM_S):
            started_s = time.monotonic()
            results.append(self.step.run())
            seconds.append(time.monotonic() - started_s)
        return statistics.median(seconds[-TIMED_STEPS:])

    def evaluate(self, images: int) -> EvaluationTrial:
        """Evaluate the `images` of the eval records twice: the first time traces, the second does not."""
        evaluation = Evaluation(self._config, self.step.model)
        seconds = []
        for _ in range(2):
            started_s = time.monotonic()
            evaluation.run()
            seconds.append(time.monotonic() - started_s)
        first_s, again_s = seconds
        return EvaluationTrial(first_s=max(0.0, first_s - again_s), image_s=again_s / images)


def _variables(optimizer: Any) -> list[Any]:
    """Return an optimizer's slots and counters: a method of older optimizers, a property of newer ones."""
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def read_gpu_limit_bytes() -> int | None:
    """Return the memory of the first GPU that TensorFlow may use; None without a GPU."""
    from tensorflow.python.client import device_lib

    return next((int(d.memory_limit) for d in device_lib.list_local_devices() if d.device_type == "GPU"), None)


def read_gpu_peak_bytes() -> int | None:
    """Return the peak memory use of the first GPU; None without a GPU."""
    import tensorflow as tf

    if not tf.config.list_logical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
