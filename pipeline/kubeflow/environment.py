"""The environment that TensorFlow and TFX are imported in."""

from __future__ import annotations

import os
import tempfile

from reefline.od_api.compat import LEGACY_KERAS_VARIABLE


def prepare_environment() -> None:
    """Set what a pod may lack, before anything imports TensorFlow, and defer what TFX imports without need."""
    from pipeline.local.light_imports import defer_package

    os.environ.setdefault("HOME", tempfile.gettempdir())
    os.environ.setdefault(LEGACY_KERAS_VARIABLE, "1")
    defer_package("tfx.components")
