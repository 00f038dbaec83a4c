"""Feature pyramids that the Edge TPU can compute.

The OD API's pyramids upsample a map by stacking it with itself and reshaping, through tensors of rank 5, which the Edge
TPU does not support: everything after that, nearly half of an FPN-lite's operators, stays on the CPU. The class has an
option for TensorFlow's nearest-neighbour resize, but no field of pipeline.config sets it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def native_upsampling() -> Iterator[None]:
    """Build models inside with RESIZE_NEAREST_NEIGHBOR in their pyramids: same weights, same values.

    Relies on `feature_map_generators.KerasFpnTopDownFeatureMaps`, which extractors create at a model's first call.
    """
    from object_detection.models import feature_map_generators

    pyramid = feature_map_generators.KerasFpnTopDownFeatureMaps
    original = pyramid.__init__

    @functools.wraps(original)
    def with_native_resizing(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **{**options, "use_native_resize_op": True})

    # The class itself cannot be replaced: its methods look it up by name.
    pyramid.__init__ = with_native_resizing
    try:
        yield
    finally:
        pyramid.__init__ = original
