"""The first training images, as the model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from reefline.formats.tf_example import read_examples
from reefline.od_api.export import InputSize, read_input_size

if TYPE_CHECKING:
    import numpy as np
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig


class TrainingImages(Sequence["np.ndarray"]):
    """Images as float32 [height, width, 3], 0..255; each is decoded when it is asked for, so that few fill memory."""

    def __init__(self, encoded: Sequence[bytes], size: InputSize) -> None:
        """Keep encoded images, and the size that they are resized to."""
        self._encoded = encoded
        self._size = size

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._encoded)

    def __getitem__(self, index: Any) -> Any:
        """Return one image, decoded and resized as the OD API does: TensorFlow 1's bilinear resize."""
        import tensorflow as tf

        pixels = tf.cast(tf.io.decode_jpeg(self._encoded[index], channels=3), tf.float32)
        return tf.compat.v1.image.resize(pixels[tf.newaxis], (self._size.height_px, self._size.width_px))[0].numpy()


def read_training_images(config: TrainEvalPipelineConfig, count: int) -> TrainingImages:
    """Return up to `count` images of the train records, evenly from all files; they are not augmented."""
    import tensorflow as tf

    patterns = list(config.train_input_reader.tf_record_input_reader.input_path)
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    each = -(-count // max(1, len(files)))
    encoded = [example.encoded_jpeg for path in files for example in islice(read_examples([path]), each)]
    return TrainingImages(encoded[:count], read_input_size(config))
