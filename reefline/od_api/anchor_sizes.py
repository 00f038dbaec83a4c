"""The sizes of a model's anchors, computed without TensorFlow, whose import takes longer than a review page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

# What `create_ssd_anchors` uses for the finest feature map under `reduce_boxes_in_lowest_layer`.
_LOWEST_LAYER_SCALE = 0.1


def list_anchor_sizes(config: TrainEvalPipelineConfig) -> tuple[tuple[float, float], ...]:
    """Return width and height of each kind of anchor as fractions of the model's input; every position repeats them.

    The formulas are those of the OD API's `create_ssd_anchors` and `MultiscaleGridAnchorGenerator`. Other generators
    and models other than SSD return an empty tuple.
    """
    if config.model.WhichOneof("model") != "ssd":
        return ()
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    width_px, height_px = int(resizer.width), int(resizer.height)
    settings = config.model.ssd.anchor_generator
    kind = settings.WhichOneof("anchor_generator_oneof")
    if not width_px or not height_px:
        return ()
    if kind == "multiscale_anchor_generator":
        return tuple(
            (width / width_px, height / height_px)
            for width, height in _multiscale_sizes_px(settings.multiscale_anchor_generator)
        )
    if kind == "ssd_anchor_generator":
        shorter_px = min(width_px, height_px)
        ssd = settings.ssd_anchor_generator
        base_width = ssd.base_anchor_width * shorter_px / width_px
        base_height = ssd.base_anchor_height * shorter_px / height_px
        return tuple(
            (scale * math.sqrt(aspect) * base_width, scale / math.sqrt(aspect) * base_height)
            for scale, aspect in _ssd_shapes(ssd)
        )
    return ()


def _multiscale_sizes_px(settings: Any) -> Iterator[tuple[float, float]]:
    octaves = range(settings.scales_per_octave)
    for level in range(settings.min_level, settings.max_level + 1):
        for octave, aspect in itertools.product(octaves, settings.aspect_ratios):
            side_px = 2**level * settings.anchor_scale * 2 ** (octave / settings.scales_per_octave)
            yield side_px * math.sqrt(aspect), side_px / math.sqrt(aspect)


def _ssd_shapes(settings: Any) -> Iterator[tuple[float, float]]:
    """Yield the scale and the aspect of each anchor."""
    layers = settings.num_layers
    step = (settings.max_scale - settings.min_scale) / max(1, layers - 1)
    scales = list(settings.scales) or [settings.min_scale + step * index for index in range(layers)]
    for layer, (scale, next_scale) in enumerate(zip(scales[:layers], [*scales[1:], 1.0], strict=False)):
        if layer == 0 and settings.reduce_boxes_in_lowest_layer:
            yield from ((_LOWEST_LAYER_SCALE, 1.0), (scale, 2.0), (scale, 0.5))
            continue
        yield from ((scale, aspect) for aspect in settings.aspect_ratios)
        if settings.interpolated_scale_aspect_ratio > 0:
            yield math.sqrt(scale * next_scale), settings.interpolated_scale_aspect_ratio
