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


def provide_stock_components() -> None:
    """Let TFX's compiler for KFP find the two stock components that it asks for by name.

    It looks them up in `tfx.components`, which would otherwise import all others first, for 6 seconds.
    """
    import tfx.components
    from tfx.components.example_gen.component import FileBasedExampleGen
    from tfx.components.infra_validator.component import InfraValidator

    # Set like this, they are there before the package itself is imported.
    vars(tfx.components).update(FileBasedExampleGen=FileBasedExampleGen, InfraValidator=InfraValidator)
