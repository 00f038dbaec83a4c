"""What TensorBoard shows of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reefline.od_api.evaluation import EvaluationOutcome


class TrainingLog:
    """Writes logs/train and logs/eval below a folder, in TensorBoard's format."""

    def __init__(self, directory: Path, *, is_chief: bool = True) -> None:
        """Write below `directory`; of several workers only the chief writes."""
        import tensorflow as tf

        def open_writer(name: str) -> tf.summary.SummaryWriter:
            return tf.summary.create_file_writer(str(directory / name)) if is_chief else tf.summary.create_noop_writer()

        self._train, self._eval = open_writer("train"), open_writer("eval")

    def step(self, losses: Mapping[str, float], learning_rate: float, step: int) -> None:
        """Write the losses of a training step under the OD API's names, and the learning rate it used."""
        import tensorflow as tf

        with self._train.as_default(step=step):
            for name, value in {**losses, "learning_rate": learning_rate}.items():
                tf.summary.scalar(name, value)
        self._train.flush()

    def evaluation(self, outcome: EvaluationOutcome, step: int) -> None:
        """Write an evaluation: losses, the 12 COCO numbers, AP of each class, and pictures."""
        import tensorflow as tf

        with self._eval.as_default(step=step):
            for name, value in outcome.scalars.items():
                tf.summary.scalar(name, value)
            for label, ap in outcome.class_ap:
                if ap is not None:
                    tf.summary.scalar(f"PerClass_AP/{label}", ap)
            for index, picture in enumerate(outcome.pictures):
                tf.summary.image(f"detections_and_ground_truth/{index}", picture[None])
        self._eval.flush()
