"""COCO evaluation of a model in memory, traced once and reused.

Relies on `inputs.eval_input` and `model_lib_v2.prepare_eval_dict`, which `model_lib_v2.eager_eval_loop` calls. That
loop retraces its function at each call, and prepares each image's record outside any trace; here both are traced once.
Metrics equal those of the API's own evaluator, which needs a fork of pycocotools for each class's AP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.evaluation.coco_metrics import CocoMetrics, compute_metrics
from reefline.od_api.gzip_input import install_gzip_reader
from reefline.od_api.tracing import without_autograph
from reefline.structures.detections import Detections, GroundTruth, ScoredImage

if TYPE_CHECKING:
    import numpy as np
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

# The OD API's names of COCO's numbers, by field of CocoMetrics.
_METRIC_NAMES = {
    "map": "DetectionBoxes_Precision/mAP",
    "map_50": "DetectionBoxes_Precision/mAP@.50IOU",
    "map_75": "DetectionBoxes_Precision/mAP@.75IOU",
    "map_small": "DetectionBoxes_Precision/mAP (small)",
    "map_medium": "DetectionBoxes_Precision/mAP (medium)",
    "map_large": "DetectionBoxes_Precision/mAP (large)",
    "ar_1": "DetectionBoxes_Recall/AR@1",
    "ar_10": "DetectionBoxes_Recall/AR@10",
    "ar_100": "DetectionBoxes_Recall/AR@100",
    "ar_small": "DetectionBoxes_Recall/AR@100 (small)",
    "ar_medium": "DetectionBoxes_Recall/AR@100 (medium)",
    "ar_large": "DetectionBoxes_Recall/AR@100 (large)",
}
# pycocotools' "no ground truth".
_UNMEASURED = -1.0
_TOTAL_LOSS = "Loss/total_loss"
# Detections below this only clutter a picture; metrics count every detection whatever its score.
_MIN_DRAWN_SCORE = 0.3


@dataclass(frozen=True)
class EvaluationOutcome:
    """Metrics and mean losses by the OD API's names, each class's AP, and sample pictures.

    Metrics are 0..1, or -1 without ground truth. `class_ap` holds pairs of name and AP, 0..1 or None without ground
    truth. Pictures are uint8 [height, width, 3], detections on the left and ground truth on the right.
    """

    scalars: dict[str, float]
    class_ap: tuple[tuple[str, float | None], ...]
    pictures: tuple[np.ndarray, ...]

    @property
    def map(self) -> float | None:
        """COCO mAP, 0..1; None if the split has no ground truth."""
        return _measured(self.scalars[_METRIC_NAMES["map"]])

    @property
    def map_50(self) -> float | None:
        """COCO mAP at IoU 0.5, 0..1; None if the split has no ground truth."""
        return _measured(self.scalars[_METRIC_NAMES["map_50"]])

    @property
    def loss(self) -> float:
        """The mean of the total loss over the split."""
        return self.scalars[_TOTAL_LOSS]


def _measured(value: float) -> float | None:
    return None if value == _UNMEASURED else value


class Evaluation:
    """The evaluation of one model on the eval split; run it once per checkpoint."""

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
        """Evaluate the model with its current weights on every image of the split."""
        pictures: list[np.ndarray] = []
        losses: list[dict[str, float]] = []
        images: list[ScoredImage] = []
        with without_autograph():
            for features, labels in self._dataset:
                image_losses, eval_dict = self._function(features, labels)
                losses.append({name: float(value) for name, value in image_losses.items()})
                if len(pictures) < self._config.eval_config.num_visualizations:
                    pictures.append(self._draw(eval_dict))
                images.append(_read_image(eval_dict))
        metrics = compute_metrics(images, [each["name"] for _, each in sorted(self._category_index.items())])
        mean_losses = {name: sum(loss[name] for loss in losses) / len(losses) for name in losses[0]}
        return EvaluationOutcome(
            scalars=_name_metrics(metrics) | mean_losses,
            class_ap=tuple((name, each.ap) for name, each in metrics.per_class.items()),
            pictures=tuple(pictures),
        )

    def _evaluate_image(self, features: dict[str, Any], labels: dict[str, Any]) -> tuple[dict, dict]:
        """Compute losses, detections and the eval_dict of a batch of one image."""
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


def _name_metrics(metrics: CocoMetrics) -> dict[str, float]:
    values = {name: getattr(metrics, field) for field, name in _METRIC_NAMES.items()}
    return {name: _UNMEASURED if value is None else value for name, value in values.items()}


def _read_image(eval_dict: dict[str, Any]) -> ScoredImage:
    """Return the one image of an eval_dict, whose boxes are y_min, x_min, y_max, x_max in pixels."""
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
