"""One training step of the OD API, traced once.

Stands on `model_builder.build`, `inputs.train_input`, `optimizer_builder.build` and `model_lib_v2.eager_train_step`:
what `model_lib_v2.train_loop` calls, without its own loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.errors import TrainingDivergedError
from reefline.od_api.building import build_model
from reefline.od_api.gzip_input import install_gzip_reader
from reefline.od_api.random_choice import install_random_choice
from reefline.od_api.tracing import without_autograph
from reefline.od_api.transfer import TransferReport, restore_what_fits
from reefline.settings import CheckpointType

if TYPE_CHECKING:
    import tensorflow as tf
    from object_detection.protos.model_pb2 import DetectionModel
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig


@dataclass(frozen=True)
class StepResult:
    """What one step gave: the losses by the OD API's names, and the source ids of the images in its batch."""

    losses: dict[str, float]
    source_ids: tuple[str, ...]

    @property
    def total_loss(self) -> float:
        """The loss that was minimised."""
        return self.losses["Loss/total_loss"]


class TrainStep:
    """The model, its optimizer, its input and the function that runs one step."""

    def __init__(self, config: TrainEvalPipelineConfig, strategy: tf.distribute.Strategy | None = None) -> None:
        """Build the model with all its variables, the optimizer and the input; the first step traces.

        `strategy` spreads each batch over several devices; the default is one device.
        """
        import tensorflow as tf
        from object_detection.builders import optimizer_builder

        install_gzip_reader()
        install_random_choice()
        self._config = config
        self._train_config = config.train_config
        self._strategy = strategy if strategy is not None else tf.distribute.get_strategy()
        with self._strategy.scope(), without_autograph():
            self.model = build_model(config.model, is_training=True)
            self.dataset = self._strategy.distribute_datasets_from_function(self._build_input)
            self.global_step = tf.Variable(
                0,
                trainable=False,
                dtype=tf.int64,
                name="global_step",
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            self.optimizer, (self._learning_rate,) = optimizer_builder.build(
                self._train_config.optimizer, global_step=self.global_step
            )
        # Before any trace: a function that creates variables is traced twice, and layers created inside a replica's
        # function cannot wait there for other replicas' statistics.
        self._create_variables()
        self._batches = iter(self.dataset)
        self._function = tf.function(self._run_on_devices, autograph=False, reduce_retracing=True)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._learning_rate() if callable(self._learning_rate) else self._learning_rate)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one of several workers that writes files."""
        return bool(self._strategy.extended.should_checkpoint)

    def checkpoint(self) -> tf.train.Checkpoint:
        """Return a checkpoint object with the names that the OD API's scripts use."""
        import tensorflow as tf

        return tf.train.Checkpoint(step=self.global_step, model=self.model, optimizer=self.optimizer)

    def _create_variables(self) -> None:
        """Create the variables of model and optimizer by one eager prediction.

        `model_lib_v2._ensure_model_is_built` traces the loss instead, which takes AutoGraph most of a minute.
        """
        with self._strategy.scope():
            self._predict_once(self.model)
            self.optimizer._create_all_weights(self.model.trainable_variables)

    def _predict_once(self, model: Any) -> None:
        import tensorflow as tf

        resizer = self._config.model.ssd.image_resizer.fixed_shape_resizer
        with without_autograph():
            model._is_training = False
            tf.keras.backend.set_learning_phase(False)
            model.predict(*model.preprocess(tf.zeros([1, resizer.height, resizer.width, 3])))

    def load_fine_tune_checkpoint(self, prefix: str, checkpoint_type: CheckpointType) -> TransferReport:
        """Start from all weights of a checkpoint that fit the model; the report lists what did not.

        Raises:
            CheckpointError: the checkpoint cannot be read, or belongs to another architecture.
        """
        return restore_what_fits(self.model, prefix, checkpoint_type)

    def load_with(self, load: Callable[[Any], TransferReport], model_config: DetectionModel) -> TransferReport:
        """Set the weights by a function that traces the model it gets.

        With several devices that is a single copy, built from `model_config`: synchronized batch normalization traces
        into other operators.
        """
        import tensorflow as tf

        if self._strategy is tf.distribute.get_strategy():
            return load(self.model)
        single = build_model(model_config, is_training=True)
        self._predict_once(single)
        report = load(single)
        with self._strategy.scope():
            for mine, loaded in zip(self.model.variables, single.variables, strict=True):
                mine.assign(loaded.numpy())
        return report

    def run(self) -> StepResult:
        """Train on the next batch."""
        batch = next(self._batches)
        with self._strategy.scope(), without_autograph():
            losses = self._function(*batch)
        source_ids = self._strategy.experimental_local_results(batch[0]["source_id"])
        return StepResult(
            losses={name: float(value) for name, value in losses.items()},
            source_ids=tuple(name.decode("utf-8", "replace") for names in source_ids for name in names.numpy()),
        )

    def _build_input(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        from object_detection import inputs

        return inputs.train_input(
            self._train_config,
            self._config.train_input_reader,
            self._config.model,
            model=self.model,
            input_context=context,
        )

    def _run_on_devices(self, features: dict[str, Any], labels: dict[str, Any]) -> dict[str, Any]:
        """Train on each device's part of a batch; the parts' losses add up to the batch's."""
        import tensorflow as tf

        strategy = self._strategy
        parts = strategy.run(self._run_batch, args=(features, labels))
        return {name: strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for name, part in parts.items()}

    def _run_batch(self, features: dict[str, Any], labels: dict[str, Any]) -> dict[str, Any]:
        from object_detection import model_lib_v2

        train_config = self._train_config
        losses = model_lib_v2.eager_train_step(
            self.model,
            features,
            labels,
            train_config.unpad_groundtruth_tensors,
            self.optimizer,
            training_step=self.global_step,
            add_regularization_loss=train_config.add_regularization_loss,
            clip_gradients_value=train_config.gradient_clipping_by_norm or None,
            num_replicas=self._strategy.num_replicas_in_sync,
        )
        self.global_step.assign_add(1)
        return dict(losses)


def check_finite(result: StepResult, step: int) -> None:
    """Refuse a loss that is NaN or infinite.

    Raises:
        TrainingDivergedError: a loss is not finite; the message names the batch's files.
    """
    bad = sorted(name for name, value in result.losses.items() if not math.isfinite(value))
    if not bad:
        return
    raise TrainingDivergedError(
        f"step {step}: {', '.join(f'{name} is {result.losses[name]}' for name in bad)}; expected finite losses. "
        f"Lower trainer.learning_rate, or check this batch's files: {', '.join(result.source_ids)}"
    )


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy, TensorFlow and Keras.

    Unseeded, Keras draws initial weights from Python's generator, which some modules also use while they are imported:
    models would depend on what was imported before.
    """
    import tensorflow as tf

    tf.keras.utils.set_random_seed(seed)
