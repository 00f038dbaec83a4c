"""The first training images, as the model sees them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from reefline.formats.tf_example import read_examples
from reefline.od_api.export import read_input_size

if TYPE_CHECKING:
    import numpy as np
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig


def read_training_images(config: TrainEvalPipelineConfig, count: int) -> list[np.ndarray]:
    """Return up to `count` images of the train records, evenly from all files: float32 [height, width, 3], 0..255.

    They are resized like training's (TensorFlow 1's bilinear resize), and not augmented.
    """
    import tensorflow as tf

    patterns = list(config.train_input_reader.tf_record_input_reader.input_path)
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    size = read_input_size(config)
    each = -(-count // max(1, len(files)))
    encoded = [example.encoded_jpeg for path in files for example in islice(read_examples([path]), each)]
    return [_decode(image, size.height_px, size.width_px) for image in encoded[:count]]


def _decode(encoded: bytes, height_px: int, width_px: int) -> np.ndarray:
    import tensorflow as tf

    pixels = tf.cast(tf.io.decode_jpeg(encoded, channels=3), tf.float32)
    resized: np.ndarray = tf.compat.v1.image.resize(pixels[tf.newaxis], (height_px, width_px))[0].numpy()
    return resized
