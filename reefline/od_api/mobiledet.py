"""MobileDet for the Edge TPU as a Keras feature extractor, which the OD API has for TensorFlow 1 only.

Architecture: "MobileDets: Searching for Object Detection Architectures for Mobile Accelerators", arXiv 2004.14525.
Blocks, initial values and normalization follow the OD API's models/ssd_mobiledet_feature_extractor.py; a test compares
the feature maps. Its early layers are regular convolutions, which suit the Edge TPU better than depthwise ones.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from typing import Any

FEATURE_EXTRACTOR = "ssd_mobiledet_edgetpu_keras"
_STEM_FILTERS = 32
# Filters are multiples of this, rounded half up.
_FILTER_BASE = 8
_WEIGHT_DECAY = 4e-5
_NORM_MOMENTUM, _NORM_EPSILON = 0.99, 0.01
# The standard deviation of a unit normal distribution that is cut at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


class _Kind(enum.Enum):
    """The blocks of the search space: a 1x1 and a depthwise, one regular, or three small convolutions before a 1x1."""

    INVERTED = "inverted bottleneck"
    FUSED = "fused convolution"
    TUCKER = "Tucker convolution"


@dataclass(frozen=True)
class _Block:
    """One block; `expansion` multiplies the input's filters, a Tucker block has the ranks 0.25 and 0.75 instead."""

    kind: _Kind
    filters: int
    expansion: int = 8
    kernel_px: int = 3
    stride: int = 1
    residual: bool = True


def _inverted(filters: int, expansion: int = 8, **options: Any) -> _Block:
    return _Block(_Kind.INVERTED, filters, expansion, **options)


def _fused(filters: int, expansion: int = 8, **options: Any) -> _Block:
    return _Block(_Kind.FUSED, filters, expansion, **options)


# The stages C1 to C5 of the paper's Edge TPU model; C4 and C5 are what the detector reads.
_STAGES: tuple[tuple[_Block, ...], ...] = (
    (_Block(_Kind.TUCKER, 16, residual=False),),
    (_fused(16, stride=2, residual=False), _fused(16, 4), _fused(16), _fused(16, 4)),
    (_fused(40, kernel_px=5, stride=2, residual=False), _fused(40, 4), _fused(40, 4), _fused(40, 4)),
    (
        _inverted(72, stride=2, residual=False),
        _inverted(72),
        _fused(72, 4),
        _fused(72, 4),
        _inverted(96, kernel_px=5, residual=False),
        _inverted(96, kernel_px=5),
        _inverted(96),
        _inverted(96),
    ),
    (
        _inverted(120, kernel_px=5, stride=2, residual=False),
        _inverted(120),
        _inverted(120, 4, kernel_px=5),
        _inverted(120),
        _inverted(384, kernel_px=5, residual=False),
    ),
)


def scale_filters(filters: int, multiplier: float) -> int:
    """Return a number of filters times a depth multiplier, rounded half up to a multiple of 8, at least 8."""
    return max(int(filters * multiplier / _FILTER_BASE + 0.5) * _FILTER_BASE, _FILTER_BASE)


class _Backbone:
    """Builds the backbone from Keras layers, which are named by their number and role."""

    def __init__(self, depth_multiplier: float, *, trains_normalization: bool) -> None:
        self._depth_multiplier = depth_multiplier
        self._trains_normalization = trains_normalization
        self._blocks = 0

    def build(self) -> Any:
        """Return a Keras model from images [batch, height, width, 3], scaled to [-1, 1], to C4 and C5."""
        import tensorflow as tf

        image = tf.keras.Input((None, None, 3))
        features = self._convolve(image, self._scale(_STEM_FILTERS), 3, "stem", stride=2)
        ends = []
        for stage in _STAGES:
            for block in stage:
                features = self._add_block(features, block)
            ends.append(features)
        return tf.keras.Model(image, ends[-2:])

    def _scale(self, filters: int) -> int:
        return scale_filters(filters, self._depth_multiplier)

    def _add_block(self, features: Any, block: _Block) -> Any:
        import tensorflow as tf

        self._blocks += 1
        name, shortcut, channels = f"block_{self._blocks}", features, int(features.shape[-1])
        filters = self._scale(block.filters)
        if block.kind is _Kind.TUCKER:
            features = self._convolve(features, scale_filters(channels, 0.25), 1, f"{name}_compress")
            rank = scale_filters(filters, 0.75)
            features = self._convolve(features, rank, block.kernel_px, f"{name}_core", stride=block.stride)
        elif block.kind is _Kind.FUSED:
            wide = channels * block.expansion
            features = self._convolve(features, wide, block.kernel_px, f"{name}_expand", stride=block.stride)
        else:
            features = self._convolve(features, channels * block.expansion, 1, f"{name}_expand")
            features = self._convolve_depthwise(features, block.kernel_px, f"{name}_depthwise", stride=block.stride)
        features = self._convolve(features, filters, 1, f"{name}_project", activate=False)
        return tf.keras.layers.Add(name=f"{name}_add")([features, shortcut]) if block.residual else features

    def _convolve(
        self, features: Any, filters: int, kernel_px: int, name: str, *, stride: int = 1, activate: bool = True
    ) -> Any:
        import tensorflow as tf

        layer = tf.keras.layers.Conv2D(
            filters,
            kernel_px,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer=tf.keras.initializers.HeNormal(),
            kernel_regularizer=_make_regularizer(),
            name=f"{name}_conv",
        )
        return self._normalize(layer(features), name, activate=activate)

    def _convolve_depthwise(self, features: Any, kernel_px: int, name: str, *, stride: int) -> Any:
        import tensorflow as tf

        # He initialization with the fan-in of one channel: Keras' own counts all channels of a depthwise kernel.
        stddev = (2.0 / kernel_px**2) ** 0.5 / _TRUNCATED_STDDEV
        layer = tf.keras.layers.DepthwiseConv2D(
            kernel_px,
            strides=stride,
            padding="same",
            use_bias=False,
            depthwise_initializer=tf.keras.initializers.TruncatedNormal(stddev=stddev),
            depthwise_regularizer=_make_regularizer(),
            name=f"{name}_conv",
        )
        return self._normalize(layer(features), name, activate=True)

    def _normalize(self, features: Any, name: str, *, activate: bool) -> Any:
        import tensorflow as tf
        from object_detection.core.freezable_batch_norm import FreezableBatchNorm

        features = FreezableBatchNorm(
            training=self._trains_normalization,
            momentum=_NORM_MOMENTUM,
            epsilon=_NORM_EPSILON,
            name=f"{name}_norm",
        )(features)
        return tf.keras.layers.ReLU(6.0, name=f"{name}_relu6")(features) if activate else features


def _make_regularizer() -> Any:
    import tensorflow as tf

    # tf_slim's l2_regularizer halves its weight, Keras' does not.
    return tf.keras.regularizers.l2(_WEIGHT_DECAY * 0.5)


@functools.cache
def make_feature_extractor_class() -> type:
    """Return the feature extractor's class, whose base needs the OD API to be imported."""
    from object_detection.meta_architectures import ssd_meta_arch
    from object_detection.models import feature_map_generators
    from object_detection.utils import ops, shape_utils

    class MobileDetEdgeTpuFeatureExtractor(ssd_meta_arch.SSDKerasFeatureExtractor):
        """SSD features from MobileDet: C4, C5, and four smaller maps on top."""

        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.classification_backbone: Any = None
            self._feature_map_generator: Any = None

        def build(self, _input_shape: Any) -> None:
            trains_normalization = self._is_training and not self._freeze_batchnorm
            backbone = _Backbone(self._depth_multiplier, trains_normalization=trains_normalization)
            self.classification_backbone = backbone.build()
            self._feature_map_generator = feature_map_generators.KerasMultiResolutionFeatureMaps(
                feature_map_layout={
                    "from_layer": ["C4", "C5", "", "", "", ""],
                    "layer_depth": [-1, -1, 512, 256, 256, 128],
                    "use_depthwise": self._use_depthwise,
                    "use_explicit_padding": False,
                },
                depth_multiplier=self._depth_multiplier,
                min_depth=self._min_depth,
                insert_1x1_conv=True,
                is_training=self._is_training,
                conv_hyperparams=self._conv_hyperparams,
                freeze_batchnorm=self._freeze_batchnorm,
                name="FeatureMaps",
            )
            self.built = True

        def preprocess(self, resized_inputs: Any) -> Any:
            return resized_inputs * (2.0 / 255.0) - 1.0

        def _extract_features(self, preprocessed_inputs: Any) -> list[Any]:
            checked = shape_utils.check_min_image_dim(33, preprocessed_inputs)
            c4, c5 = self.classification_backbone(ops.pad_to_multiple(checked, self._pad_to_multiple))
            return list(self._feature_map_generator({"C4": c4, "C5": c5}).values())

    return MobileDetEdgeTpuFeatureExtractor


def register_mobiledet() -> None:
    """Make the OD API's model builder know the feature extractor; a second call changes nothing."""
    from object_detection.builders import model_builder

    classes = model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP
    classes.setdefault(FEATURE_EXTRACTOR, make_feature_extractor_class())
