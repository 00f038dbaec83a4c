"""COCO evaluation of a model in memory, traced once and kept.

Stands on `inputs.eval_input`, `model_lib_v2.prepare_eval_dict` and `eval_util.get_evaluators`: what
`model_lib_v2.eager_eval_loop` calls. That loop traces its function anew each time it is called, and prepares each
image's record outside of any trace; here both are traced the first time and then reused.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.evaluation.coco_metrics import compute_metrics
from reefline.od_api.gzip_input import install_gzip_reader
from reefline.od_api.tracing import without_autograph
from reefline.structures.detections import Detections, GroundTruth, ScoredImage

if TYPE_CHECKING:
    import numpy as np
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

_MAP = "DetectionBoxes_Precision/mAP"
_MAP_50 = "DetectionBoxes_Precision/mAP@.50IOU"
_TOTAL_LOSS = "Loss/total_loss"
# Below this a detection is noise to the eye; metrics count every detection whatever its score.
_MIN_DRAWN_SCORE = 0.3


@dataclass(frozen=True)
class EvaluationOutcome:
    """The OD API's metrics and mean losses by name, each class's AP, and sample pictures.

    `class_ap` holds pairs of name and AP, 0..1 or None without ground truth. Pictures are uint8 [height, width, 3],
    detections left and ground truth right.
    """

    scalars: dict[str, float]
    class_ap: tuple[tuple[str, float | None], ...]
    pictures: tuple[np.ndarray, ...]

    @property
    def map(self) -> float | None:
        """COCO mAP, 0..1; None where the split holds no ground truth."""
        return _measured(self.scalars[_MAP])

    @property
    def map_50(self) -> float | None:
        """COCO mAP at IoU 0.5, 0..1; None where the split holds no ground truth."""
        return _measured(self.scalars[_MAP_50])

    @property
    def loss(self) -> float:
        """The mean of the total loss over the split."""
        return self.scalars[_TOTAL_LOSS]


def _measured(value: float) -> float | None:
    """Turn pycocotools' -1, which stands for "no ground truth", into None."""
    return None if value < 0 else value


class Evaluation:
    """The evaluation of one model on the eval split; call it as often as there are checkpoints."""

    def __init__(self, config: TrainEvalPipelineConfig, model: Any) -> None:
        """Build the input; the first call traces."""
        import tensorflow as tf
        from object_detection import inputs
        from object_detection.utils import label_map_util

        install_gzip_reader()
        self._config = config
        self._model = model
        reader = config.eval_input_reader[0]
        self._category_index = label_map_util.create_category_index_from_labelmap(reader.label_map_path)
        with without_autograph():
            self._dataset = inputs.eval_input(config.eval_config, reader, config.model, model=model)
        self._function = tf.function(
            self._evaluate_image, autograph=False, input_signature=list(self._dataset.element_spec)
        )

    def run(self) -> EvaluationOutcome:
        """Evaluate the model as it is now on every image of the split."""
        from object_detection import eval_util

        eval_config = self._config.eval_config
        evaluators = eval_util.get_evaluators(
            eval_config,
            list(self._category_index.values()),
            eval_util.evaluator_options_from_eval_config(eval_config),
        )
        pictures: list[np.ndarray] = []
        losses: list[dict[str, float]] = []
        images: list[ScoredImage] = []
        with without_autograph(), _quiet():
            for features, labels in self._dataset:
                image_losses, eval_dict = self._function(features, labels)
                losses.append({name: float(value) for name, value in image_losses.items()})
                if len(pictures) < eval_config.num_visualizations:
                    pictures.append(self._draw(eval_dict))
                for evaluator in evaluators:
                    evaluator.add_eval_dict(eval_dict)
                images.append(_read_image(eval_dict))
            scalars = {name: float(value) for evaluator in evaluators for name, value in evaluator.evaluate().items()}
        scalars |= {name: sum(loss[name] for loss in losses) / len(losses) for name in losses[0]}
        return EvaluationOutcome(scalars=scalars, class_ap=self._measure_classes(images), pictures=tuple(pictures))

    def _measure_classes(self, images: list[ScoredImage]) -> tuple[tuple[str, float | None], ...]:
        """Return each class's AP: the OD API's own `include_metrics_per_category` needs a fork of pycocotools."""
        names = [self._category_index[class_id]["name"] for class_id in sorted(self._category_index)]
        return tuple((name, metrics.ap) for name, metrics in compute_metrics(images, names).per_class.items())

    def _evaluate_image(self, features: dict[str, Any], labels: dict[str, Any]) -> tuple[dict, dict]:
        """Compute losses, detections and the evaluator's record for a batch of one image."""
        import tensorflow as tf
        from object_detection import model_lib, model_lib_v2
        from object_detection.core import standard_fields

        self._model._is_training = False
        tf.keras.backend.set_learning_phase(False)
        boxes = labels[standard_fields.InputDataFields.groundtruth_boxes]
        unstacked = model_lib.unstack_batch(dict(labels), unpad_groundtruth_tensors=boxes.shape[1] is not None)
        losses, predictions = model_lib_v2._compute_losses_and_predictions_dicts(
            self._model,
            features,
            unstacked,
            training_step=None,
            add_regularization_loss=self._config.train_config.add_regularization_loss,
        )
        true_shapes = features[standard_fields.InputDataFields.true_image_shape]
        detections = self._model.postprocess(predictions, true_shapes)
        eval_dict, _ = model_lib_v2.prepare_eval_dict(detections, dict(labels), features)
        return dict(losses), eval_dict

    def _draw(self, eval_dict: dict[str, Any]) -> np.ndarray:
        """Return detections and ground truth side by side, [height, width, 3] uint8."""
        from object_detection.utils import visualization_utils

        side_by_side = visualization_utils.draw_side_by_side_evaluation_image(
            eval_dict,
            category_index=self._category_index,
            max_boxes_to_draw=self._config.eval_config.max_num_boxes_to_visualize,
            min_score_thresh=_MIN_DRAWN_SCORE,
            use_normalized_coordinates=False,
        )
        return side_by_side[0][0].numpy()


def _read_image(eval_dict: dict[str, Any]) -> ScoredImage:
    """Return the one image of an evaluator's record; its boxes are y_min, x_min, y_max, x_max in pixels."""
    from object_detection.core.standard_fields import DetectionResultFields, InputDataFields

    def read(name: str, count: int, dtype: str) -> np.ndarray:
        values: np.ndarray = eval_dict[name].numpy()[0][:count].astype(dtype)
        return values

    objects = int(eval_dict[InputDataFields.num_groundtruth_boxes][0])
    detected = int(eval_dict[DetectionResultFields.num_detections][0])
    corner_order = [1, 0, 3, 2]
    return ScoredImage(
        GroundTruth(
            read(InputDataFields.groundtruth_boxes, objects, "float64")[:, corner_order],
            read(InputDataFields.groundtruth_classes, objects, "int64") - 1,
        ),
        Detections(
            read(DetectionResultFields.detection_boxes, detected, "float64")[:, corner_order],
            read(DetectionResultFields.detection_classes, detected, "int64") - 1,
            read(DetectionResultFields.detection_scores, detected, "float64"),
        ),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep pycocotools' tables, which it prints, off the terminal."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
