"""Running a detector that is a SavedModel of the Object Detection API, with TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.errors import BundleError
from reefline.inference.detector import to_detections
from reefline.structures.detections import Detections

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_OUTPUTS = frozenset({"detection_boxes", "detection_classes", "detection_scores", "num_detections"})
# Outputs whose last dimension is the number of classes.
_SCORE_TABLES = ("detection_multiclass_scores", "raw_detection_scores")


class SavedModelDetector:
    """The OD API's "image_tensor" SavedModel: any image size, fractions and 1-based classes out.

    `batch_size` is the number of images that it detects in at a time, None for any.
    """

    def __init__(self, directory: Path) -> None:
        """Load the model.

        Raises:
            BundleError: the folder holds no SavedModel with a signature serving_default for images of uint8.
        """
        import tensorflow as tf

        try:
            # Kept on self: the signature holds its variables weakly.
            self._model = tf.saved_model.load(str(directory))
            self._infer = self._model.signatures["serving_default"]
        except (OSError, KeyError) as error:
            raise BundleError(
                f"{directory}: not a SavedModel with a signature serving_default ({error}); export it again"
            ) from error
        self._input_name, spec = next(iter(self._infer.structured_input_signature[1].items()))
        if spec.dtype != tf.uint8 or spec.shape.rank not in (None, 4):
            raise BundleError(
                f"{directory}: input {spec.shape} of {spec.dtype.name} found, images [batch, height, width, 3] of "
                "uint8 expected; export it with the OD API's input type image_tensor"
            )
        missing = sorted(_OUTPUTS - set(self._infer.structured_outputs))
        if missing:
            raise BundleError(f"{directory}: no output {', '.join(missing)}; expected a detector of the OD API")
        self.batch_size: int | None = spec.shape[0] if spec.shape.rank else None

    @property
    def score_columns(self) -> int | None:
        """How many classes a score is computed for, sometimes with the background; None where that is unknown."""
        outputs = self._infer.structured_outputs
        found = (outputs[name].shape for name in _SCORE_TABLES if name in outputs)
        return next((int(shape[-1]) for shape in found if shape.rank and shape[-1] is not None), None)

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> Detections:
        """Return the detections in an image, uint8 [height, width, 3], with boxes in pixels of that image."""
        return self.detect_batch([image_rgb])[0]

    def detect_batch(self, images_rgb: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """Return what `detect` returns for each of up to `batch_size` images, which have the same size."""
        import numpy as np
        import tensorflow as tf

        # A model with a fixed batch runs on a full one.
        padding = [images_rgb[-1]] * ((self.batch_size or 0) - len(images_rgb))
        found = self._infer(**{self._input_name: tf.constant(np.stack([*images_rgb, *padding]))})
        outputs = {name: found[name].numpy() for name in _OUTPUTS}
        return [
            to_detections(
                image_rgb,
                boxes_yxyx=outputs["detection_boxes"][index],
                class_indices=outputs["detection_classes"][index] - 1,
                scores=outputs["detection_scores"][index],
                count=float(outputs["num_detections"][index]),
            )
            for index, image_rgb in enumerate(images_rgb)
        ]
