"""The files of a bundle: the TFLite model that is judged, and its labels."""

from __future__ import annotations

from pathlib import Path

from reefline.errors import BundleError
from reefline.evaluation.scores import Precision
from reefline.tflite.labels import LABELS_FILE, parse_labels

INT8_FILE = "model_int8.tflite"
EDGE_TPU_FILE = "model_int8_edgetpu.tflite"
FLOAT_FILE = "model_float.tflite"


def find_shipped_model(bundle: Path) -> Path:
    """Return the TFLite file of a bundle that the verdict is about: int8, or float without int8.

    Raises:
        BundleError: the folder holds neither.
    """
    for name in (INT8_FILE, FLOAT_FILE):
        if (bundle / name).is_file():
            return bundle / name
    raise BundleError(f"{bundle}: neither {INT8_FILE} nor {FLOAT_FILE} found; export the model again")


def precision_of(shipped_model: Path) -> Precision:
    """Return the arithmetic of a shipped TFLite file, by its name."""
    return Precision.INT8 if shipped_model.name == INT8_FILE else Precision.FLOAT


def read_labels(bundle: Path) -> tuple[str, ...]:
    """Return the class names of labels.txt: line n is the 0-based class n.

    Raises:
        BundleError: labels.txt is missing or not UTF-8 text.
    """
    path = bundle / LABELS_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot read it ({error}); export the model again") from error
    return parse_labels(text)
