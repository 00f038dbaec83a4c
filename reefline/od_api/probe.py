"""Inspects a model before training: its shapes, its anchors, and the memory that a batch needs.

Relies on `model_builder.build`, `SSDMetaArch.predict`, `region_similarity_calculator.IouSimilarity` and
`optimizer_builder.build`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.od_api.building import build_model
from reefline.od_api.tracing import without_autograph

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

# Operators whose outputs are views, constants or inputs, and take no extra memory during training.
_FREE_OPERATORS = frozenset({"Identity", "ReadVariableOp", "Placeholder", "Reshape", "Pack", "ExpandDims", "Cast"})
# What tracing and the input pipeline need besides the batch: 400 MB with SSD MobileNetV2 at 192 px and batch 1.
_FIXED_BYTES = 400 * 1000**2
# The weights, their gradients, the optimizer's slots, and a copy during the update.
_WEIGHT_COPIES = 4
_LEARNING_RATE_SAMPLES = 21
# The stride of an SSD's first feature map; each next map has half the side.
_FIRST_SSD_STRIDE = 16
# Comparing a box with 77,000 anchors (a feature pyramid at 640 px) takes 0.3 MB for each of its intermediate values.
_BOXES_AT_ONCE = 32


@dataclass(frozen=True)
class ModelFacts:
    """The built model; shapes start with the batch, sizes are height, width in pixels."""

    template: str
    input_size_px: tuple[int, int]
    image_batch: tuple[int, ...]
    feature_maps: tuple[tuple[int, ...], ...]
    anchors: int
    box_encodings: tuple[int, ...]
    class_scores: tuple[int, ...]
    trainable_parameters: int
    total_parameters: int


@dataclass(frozen=True)
class AnchorFit:
    """How well anchors cover the sampled boxes: of `boxes`, `missed` have no anchor with an IoU of `threshold` or more.

    Of the missed, `smaller` are smaller in area than every anchor, and `larger` larger than every anchor.
    """

    threshold: float
    boxes: int
    missed: int
    smaller: int
    larger: int
    median_best_iou: float

    @property
    def missed_fraction(self) -> float:
        """The share of boxes that no anchor covers, 0..1."""
        return self.missed / self.boxes if self.boxes else 0.0


@dataclass(frozen=True)
class ModelProbe:
    """Facts of an untrained model; anchors are [anchors, 4] y_min, x_min, y_max, x_max as fractions of the input."""

    facts: ModelFacts
    anchors_yxyx: np.ndarray
    weights_bytes: int
    activation_bytes_per_image: int

    def estimate_training_bytes(self, batch_size: int) -> int:
        """Return approximately how much memory training needs."""
        return estimate_training_bytes(self.weights_bytes, self.activation_bytes_per_image, batch_size)


def estimate_training_bytes(weights_bytes: int, activation_bytes_per_image: int, batch_size: int) -> int:
    """Return approximately how much memory training needs.

    The backward pass needs every activation of the forward pass. Measured peaks of SSD MobileNetV2 at 192 and 300 px
    with batches of 8 and 32 are 0.85 to 0.95 of this estimate.
    """
    return _FIXED_BYTES + _WEIGHT_COPIES * weights_bytes + batch_size * activation_bytes_per_image


def probe_model(config: TrainEvalPipelineConfig, template: str) -> ModelProbe:
    """Build a separate model, run it on one grey image, and trace it.

    Raises:
        ValueError: the OD API cannot build the model; TensorFlow's own errors pass through.
    """
    import tensorflow as tf

    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    height_px, width_px = resizer.height, resizer.width
    with without_autograph():
        model = build_model(config.model, is_training=True)

        def predict(images: Any) -> Any:
            return model.predict(*model.preprocess(images))

        predictions = predict(tf.fill([1, height_px, width_px, 3], 128.0))
        anchors = model.anchors.get().numpy()
        traced = tf.function(predict, autograph=False).get_concrete_function(
            tf.TensorSpec([1, height_px, width_px, 3], tf.float32)
        )
    batch_size = config.train_config.batch_size

    def batched(shape: Any) -> tuple[int, ...]:
        return (batch_size, *(int(side) for side in shape[1:]))

    facts = ModelFacts(
        template=template,
        input_size_px=(height_px, width_px),
        image_batch=(batch_size, height_px, width_px, 3),
        feature_maps=tuple(batched(feature_map.shape) for feature_map in predictions["feature_maps"]),
        anchors=len(anchors),
        box_encodings=batched(predictions["box_encodings"].shape),
        class_scores=batched(predictions["class_predictions_with_background"].shape),
        trainable_parameters=_count_values(model.trainable_variables),
        total_parameters=_count_values(model.variables),
    )
    return ModelProbe(facts, anchors, count_bytes(model.variables), _sum_activation_bytes(traced.graph))


def _count_values(variables: Sequence[Any]) -> int:
    return sum(int(variable.shape.num_elements()) for variable in variables)


def count_bytes(variables: Sequence[Any]) -> int:
    """Return the memory that the values of variables take."""
    return sum(int(variable.shape.num_elements()) * variable.dtype.size for variable in variables)


def _sum_activation_bytes(graph: Any) -> int:
    """Return the size of all images and feature maps that a graph's operators output for one image."""
    return sum(
        output.shape.num_elements() * output.dtype.size
        for operator in graph.get_operations()
        if operator.type not in _FREE_OPERATORS
        for output in operator.outputs
        if output.dtype.is_floating and output.shape.rank == 4 and output.shape.is_fully_defined()
    )


def generate_anchors(config: TrainEvalPipelineConfig) -> np.ndarray:
    """Return the anchors of a model as `ModelProbe` has them, without building it.

    The sides of the feature maps follow from the input size: each is half of the one before, rounded up.
    """
    import tensorflow as tf
    from object_detection.builders import anchor_generator_builder

    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    height_px, width_px = int(resizer.height), int(resizer.width)
    settings = config.model.ssd.anchor_generator
    if settings.WhichOneof("anchor_generator_oneof") == "multiscale_anchor_generator":
        multiscale = settings.multiscale_anchor_generator
        strides = [2**level for level in range(multiscale.min_level, multiscale.max_level + 1)]
    else:
        strides = [_FIRST_SSD_STRIDE * 2**level for level in range(settings.ssd_anchor_generator.num_layers)]
    # Negated twice, floor division rounds up.
    shapes = [(-(-height_px // stride), -(-width_px // stride)) for stride in strides]
    generator = anchor_generator_builder.build(settings)
    boxes = generator.generate(shapes, im_height=height_px, im_width=width_px)
    anchors: np.ndarray = tf.concat([part.get() for part in boxes], axis=0).numpy()
    return anchors


def measure_anchor_fit(
    anchors_yxyx: np.ndarray, boxes_yxyx: Sequence[tuple[float, float, float, float]], threshold: float
) -> AnchorFit:
    """Compare boxes, fractions 0..1 of their image, with the anchors by the OD API's own IoU."""
    import numpy as np
    import tensorflow as tf
    from object_detection.core.box_list import BoxList
    from object_detection.core.region_similarity_calculator import IouSimilarity

    boxes = np.asarray(boxes_yxyx, np.float32).reshape(-1, 4)
    if not len(boxes):
        return AnchorFit(threshold, 0, 0, 0, 0, 0.0)
    anchors = BoxList(tf.constant(anchors_yxyx, tf.float32))
    parts = [boxes[start : start + _BOXES_AT_ONCE] for start in range(0, len(boxes), _BOXES_AT_ONCE)]
    best = np.concatenate(
        [tf.reduce_max(IouSimilarity().compare(BoxList(tf.constant(part)), anchors), axis=1).numpy() for part in parts]
    )
    missed = best < threshold
    areas, anchor_areas = _areas(boxes), _areas(anchors_yxyx)
    return AnchorFit(
        threshold=threshold,
        boxes=len(boxes),
        missed=int(missed.sum()),
        smaller=int((missed & (areas < anchor_areas.min())).sum()),
        larger=int((missed & (areas > anchor_areas.max())).sum()),
        median_best_iou=float(np.median(best)),
    )


def _areas(boxes_yxyx: np.ndarray) -> np.ndarray:
    areas: np.ndarray = (boxes_yxyx[:, 2] - boxes_yxyx[:, 0]) * (boxes_yxyx[:, 3] - boxes_yxyx[:, 1])
    return areas


def read_match_threshold(config: TrainEvalPipelineConfig) -> float:
    """Return the IoU from which the model matches an anchor to an object."""
    matcher = config.model.ssd.matcher
    kind = matcher.WhichOneof("matcher_oneof")
    return float(getattr(matcher, kind).matched_threshold) if kind == "argmax_matcher" else 0.5


def describe_anchor_remedy(config: TrainEvalPipelineConfig) -> str:
    """Return what to change about the anchors; a template's anchor generator decides which fields exist."""
    if config.model.ssd.anchor_generator.WhichOneof("anchor_generator_oneof") == "multiscale_anchor_generator":
        return "raise trainer.input_size for small objects, or change anchor_scale and aspect_ratios in the template"
    return "change min_scale, max_scale and aspect_ratios in the template, or choose a model with a feature pyramid"


def read_learning_rates(config: TrainEvalPipelineConfig) -> dict[int, float]:
    """Return the learning rate at evenly spaced steps of the run, including the first and the last.

    Raises:
        ValueError: the OD API cannot build the schedule.
    """
    import tensorflow as tf
    from object_detection.builders import optimizer_builder

    last = config.train_config.num_steps - 1
    steps = sorted({last * index // (_LEARNING_RATE_SAMPLES - 1) for index in range(_LEARNING_RATE_SAMPLES)})
    global_step = tf.Variable(0, trainable=False, dtype=tf.int64)
    _, (rate, *_) = optimizer_builder.build(config.train_config.optimizer, global_step=global_step)
    rates = {}
    for step in steps:
        global_step.assign(step)
        rates[step] = float(rate() if callable(rate) else rate)
    return rates
