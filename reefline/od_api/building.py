"""Building a detection model: the OD API's `model_builder.build`, and where its result has to be corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reefline.od_api.mobiledet import register_mobiledet
from reefline.od_api.tracing import without_autograph

if TYPE_CHECKING:
    from object_detection.protos.model_pb2 import DetectionModel


def build_model(model_config: DetectionModel, *, is_training: bool) -> Any:
    """Return the model that the `model` of a pipeline.config describes; its variables appear at its first prediction.

    Raises:
        ValueError: the OD API cannot build it.
    """
    from object_detection.builders import model_builder

    apply_depth_multiplier_once()
    register_mobiledet()
    with without_autograph():
        return model_builder.build(model_config, is_training=is_training)


def apply_depth_multiplier_once() -> None:
    """Keep MobileNetV1's depth multiplier from being applied twice; a second call changes nothing.

    Keras' MobileNet multiplies the filters of each layer before it asks for the layer; the OD API's override of those
    layers (keras_models/mobilenet_v1.py, `_LayersOverride.Conv2D`) multiplies again: 18 filters instead of 24 in the
    first layer at 0.75. A multiplier of 1.0 hides it.
    """
    from object_detection.models.keras_models import mobilenet_v1

    override = mobilenet_v1._LayersOverride
    if not hasattr(override, "applies_depth_once"):
        multiply_twice = override.__init__

        def multiply_once(self: Any, *args: Any, **kwargs: Any) -> None:
            multiply_twice(self, *args, **kwargs)
            self._alpha = 1.0

        override.__init__ = multiply_once
        override.applies_depth_once = True
