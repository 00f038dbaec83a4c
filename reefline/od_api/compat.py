"""Shims that the TF2 Object Detection API 2.8 needs on TensorFlow 2.16, NumPy 1.26 and Pillow 12.

Each process that uses `object_detection` calls `apply()` at its start; library functions rely on it. Each shim is one
function whose docstring gives its reason; tests/unit/od_api/test_compat.py fails once a shim is no longer needed.
"""

from __future__ import annotations

import os
import sys
import types
import warnings

LEGACY_KERAS_VARIABLE = "TF_USE_LEGACY_KERAS"


def apply() -> None:
    """Select legacy Keras and apply all shims; a second call changes nothing.

    Raises:
        RuntimeError: TensorFlow was already imported with Keras 3, on which the OD API's models cannot be built.
    """
    select_legacy_keras()
    _silence_python_version()
    _restore_estimator()
    _restore_control_flow_ops()
    _restore_font_getsize()
    _restore_numpy_aliases()


def select_legacy_keras() -> None:
    """Select Keras 2, whose layers the OD API subclasses; TensorFlow 2.16 uses Keras 3 unless told before its import.

    Raises:
        RuntimeError: TensorFlow was already imported with Keras 3.
    """
    if os.environ.get(LEGACY_KERAS_VARIABLE) in ("1", "true", "True"):
        return
    if "tensorflow" in sys.modules:
        raise RuntimeError(f"tensorflow was imported without {LEGACY_KERAS_VARIABLE}=1: call compat.apply() first")
    os.environ[LEGACY_KERAS_VARIABLE] = "1"


def _silence_python_version() -> None:
    """google.api_core, which TensorFlow imports, warns of Python 3.10, the newest that TFX 1.16 has all wheels for."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.api_core\.")


def _restore_estimator() -> None:
    """TensorFlow 2.16 dropped `tf.compat.v1.estimator`; the TF2 code path uses only its ModeKeys and type names."""
    import tensorflow as tf

    if hasattr(tf.compat.v1, "estimator"):
        return
    estimator = types.ModuleType("tensorflow.compat.v1.estimator")

    class ModeKeys:
        TRAIN = "train"
        EVAL = "eval"
        PREDICT = "infer"

    class _Removed:
        def __init__(self, *_args: object, **_kwargs: object) -> None:
            raise NotImplementedError("tf.estimator was removed from TensorFlow; Reefline uses the OD API's TF2 path")

    for name, value in {
        "ModeKeys": ModeKeys,
        "Estimator": _Removed,
        "EstimatorSpec": _Removed,
        "tpu": types.SimpleNamespace(TPUEstimator=_Removed, TPUEstimatorSpec=_Removed),
    }.items():
        setattr(estimator, name, value)
    tf.compat.v1.estimator = estimator
    sys.modules[estimator.__name__] = estimator


def _restore_control_flow_ops() -> None:
    """tf_slim calls `control_flow_ops.case` and `.cond`, which moved to other modules."""
    from tensorflow.python.ops import cond as cond_module
    from tensorflow.python.ops import control_flow_case, control_flow_ops

    if not hasattr(control_flow_ops, "case"):
        control_flow_ops.case = control_flow_case.case
    if not hasattr(control_flow_ops, "cond"):
        control_flow_ops.cond = cond_module.cond


def _restore_font_getsize() -> None:
    """Pillow 10 dropped `getsize`; the OD API measures its box labels with it."""
    from PIL import ImageFont

    if hasattr(ImageFont.FreeTypeFont, "getsize"):
        return

    def getsize(font: ImageFont.FreeTypeFont, text: str) -> tuple[int, int]:
        left, top, right, bottom = font.getbbox(text)
        return int(right - left), int(bottom - top)

    ImageFont.FreeTypeFont.getsize = getsize  # type: ignore[attr-defined]
    if not hasattr(ImageFont.ImageFont, "getsize"):
        ImageFont.ImageFont.getsize = getsize  # type: ignore[attr-defined]


def _restore_numpy_aliases() -> None:
    """NumPy 1.24 dropped `np.float`, `np.bool` and `np.int`, aliases of the built-in types."""
    import numpy as np

    for name, builtin in {"float": float, "bool": bool, "int": int}.items():
        if name not in np.__dict__:
            setattr(np, name, builtin)
