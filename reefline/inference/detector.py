"""Running a trained detector on one image: the protocol of all detectors, and the TFLite model behind it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from reefline.errors import BundleError
from reefline.structures.detections import Detections
from reefline.tflite.postprocess import read_postprocess_op

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_logger = logging.getLogger(__name__)
# How a model expects pixels of 0..255: (pixel - mean) / std.
PLAIN_PIXELS = (0.0, 1.0)


class Detector(Protocol):
    """Anything that detects objects in an image."""

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> Detections:
        """Return the detections in an image, uint8 [height, width, 3], with boxes in pixels of that image."""


@dataclass(frozen=True, eq=False)
class TimedDetections:
    """The detections in an image, and how long the model ran, without decoding, resizing and reading the results."""

    detections: Detections
    latency_ms: float


class TfliteDetector:
    """A TFLite detector with its post-processing inside: one image size, fractions and 0-based classes out.

    The input is plain pixels, uint8 or float32 of 0..255: a float model of Reefline has its preprocessing in its graph.
    """

    def __init__(
        self,
        path: Path,
        num_threads: int = 2,
        delegates: Sequence[Any] = (),
        normalization: tuple[float, float] = PLAIN_PIXELS,
    ) -> None:
        """Load the model; `delegates` come from `ai_edge_litert.interpreter.load_delegate`.

        `normalization` is the mean and the standard deviation that a float model expects pixels to be scaled by.

        XNNPACK refuses some models that the runtime's own kernels run: little training can leave a quantized
        convolution whose input scale * kernel scale / output scale is 256 or more. They run without XNNPACK.

        Raises:
            BundleError: the file is not a TFLite detector with RGB images of uint8 or float32 as input, or the runtime
                cannot run it.
        """
        import numpy as np

        self._postprocess = read_postprocess_op(path)
        self._normalization = normalization
        self._interpreter, self._uses_xnnpack = _load_interpreter(path, num_threads, delegates)
        details = self._interpreter.get_input_details()[0]
        self._input_index: int = details["index"]
        self._dtype: Any = details["dtype"]
        shape = tuple(int(size) for size in details["shape"])
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or self._dtype not in (np.uint8, np.float32):
            raise BundleError(
                f"{path}: input {shape} of {np.dtype(self._dtype)} found, one RGB image [1, height, width, 3] of uint8 "
                "or float32 expected; export the model again"
            )
        self._height_px, self._width_px = shape[1], shape[2]

    @property
    def num_classes(self) -> int:
        """How many classes the model distinguishes."""
        return self._postprocess.num_classes

    @property
    def uses_xnnpack(self) -> bool:
        """Whether XNNPACK, the runtime's fast kernels for CPUs, can run the model."""
        return self._uses_xnnpack

    def warm_up(self) -> None:
        """Run the model once on a black image: the first run is slower, as weights are packed or sent to the TPU."""
        import numpy as np

        self._infer(np.zeros((self._height_px, self._width_px, 3), np.uint8))

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> Detections:
        """Return the detections in an image, uint8 [height, width, 3], with boxes in pixels of that image."""
        return self.detect_timed(image_rgb).detections

    def detect_timed(self, image_rgb: npt.NDArray[np.uint8]) -> TimedDetections:
        """Return what `detect` returns, and how long the model ran."""
        latency_ms = self._infer(resize_like_training(image_rgb, self._height_px, self._width_px))
        op = self._postprocess
        detections = to_detections(
            image_rgb,
            boxes_yxyx=self._interpreter.get_tensor(op.boxes_index)[0],
            class_indices=self._interpreter.get_tensor(op.classes_index)[0],
            scores=self._interpreter.get_tensor(op.scores_index)[0],
            count=float(self._interpreter.get_tensor(op.count_index)[0]),
        )
        return TimedDetections(detections, latency_ms)

    def _infer(self, resized_rgb: npt.NDArray[np.uint8]) -> float:
        """Run the model on an image of its input size and return the milliseconds that it took."""
        import numpy as np

        image = resized_rgb[np.newaxis].astype(self._dtype)
        if self._normalization != PLAIN_PIXELS and self._dtype is np.float32:
            mean, std = self._normalization
            image = (image - np.float32(mean)) / np.float32(std)
        self._interpreter.set_tensor(self._input_index, image)
        started_s = time.perf_counter()
        self._interpreter.invoke()
        return (time.perf_counter() - started_s) * 1000.0


def _load_interpreter(path: Path, num_threads: int, delegates: Sequence[Any]) -> tuple[Any, bool]:
    """Return an interpreter that is ready to run, and whether it uses XNNPACK where no other delegate does.

    Raises:
        BundleError: the runtime cannot run the model.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    def load(resolver: OpResolverType) -> Any:
        interpreter = Interpreter(
            model_path=str(path),
            num_threads=num_threads,
            experimental_delegates=list(delegates),
            experimental_op_resolver_type=resolver,
        )
        interpreter.allocate_tensors()
        return interpreter

    try:
        return load(OpResolverType.AUTO), True
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if "XNNPack" in reason and not delegates:
            _logger.warning("%s: XNNPACK cannot run it (%s); running it without, which is slower", path, reason)
            with contextlib.suppress(ValueError, RuntimeError):
                return load(OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES), False
        raise BundleError(
            f"{path}: the runtime cannot run it ({reason}); "
            "if it is compiled for the Edge TPU, run it there; otherwise export the model again"
        ) from error


def resize_like_training(image_rgb: npt.NDArray[np.uint8], height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    """Return an image of uint8 [h, w, 3] in the given size, rounded to uint8.

    Source of the rule: the OD API's fixed_shape_resizer is TensorFlow 1's bilinear resize, whose pixels are points at
    their top left corner. `tf.image.resize` puts them at their centre, which shifts a shrunken image against training.
    NumPy does it in float32 and in the order of TensorFlow's kernel (resize_bilinear_op.cc), so that a bundle runs
    without TensorFlow and sees the same pixels.
    """
    import numpy as np

    top, bottom, y_lerp = _interpolate(image_rgb.shape[0], height_px)
    left, right, x_lerp = _interpolate(image_rgb.shape[1], width_px)
    x_lerp = x_lerp[np.newaxis, :, np.newaxis]

    def blend_row(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        row = image_rgb[rows]
        near, far = row[:, left].astype(np.float32), row[:, right].astype(np.float32)
        return near + (far - near) * x_lerp

    upper = blend_row(top)
    resized = upper + (blend_row(bottom) - upper) * y_lerp[:, np.newaxis, np.newaxis]
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)


def _interpolate(
    size_px: int, new_size_px: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return for each new pixel of an axis the old ones before and behind it, and how far it is from the first."""
    import numpy as np

    position = np.arange(new_size_px, dtype=np.float32) * (np.float32(size_px) / np.float32(new_size_px))
    floor = np.floor(position)
    before = np.minimum(floor.astype(np.int64), size_px - 1)
    return before, np.minimum(before + 1, size_px - 1), position - floor


def to_detections(
    image_rgb: npt.NDArray[np.uint8],
    boxes_yxyx: npt.NDArray[np.float32],
    class_indices: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    count: float,
) -> Detections:
    """Turn fractions y_min, x_min, y_max, x_max into pixels, clipped to the image; keep the first `count` rows.

    The OD API's post-processing clips as well (`clip_window`), TFLite's does not.
    """
    import numpy as np

    kept = round(count)
    height_px, width_px = image_rgb.shape[:2]
    extent_px = np.array([width_px, height_px, width_px, height_px], dtype=np.float64)
    fractions: npt.NDArray[np.float64] = boxes_yxyx[:kept, [1, 0, 3, 2]].astype(np.float64)
    return Detections(
        boxes_xyxy_px=np.clip(fractions, 0.0, 1.0) * extent_px,
        class_indices=np.rint(class_indices[:kept]).astype(np.int64),
        scores=scores[:kept].astype(np.float64),
    )
