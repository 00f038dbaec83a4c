"""The environment that TensorFlow and TFX are imported in."""

from __future__ import annotations

import os
import sys
import tempfile

from reefline.od_api.compat import LEGACY_KERAS_VARIABLE


def prepare_home() -> None:
    """Give a pod whose user has no home folder one."""
    os.environ.setdefault("HOME", tempfile.gettempdir())


def prepare_environment() -> None:
    """Set what a pod may lack, before anything imports TensorFlow, and defer what TFX imports without need."""
    from pipeline.local.light_imports import defer_package

    prepare_home()
    os.environ.setdefault(LEGACY_KERAS_VARIABLE, "1")
    defer_package("tfx.components")


def stand_in_for_stock_components() -> None:
    """Let TFX's compiler for KFP ask whether a node is a FileBasedExampleGen or an InfraValidator: none of ours is.

    It looks both up in `tfx.components`, which would import all stock components, Model Analysis and Kubernetes
    included, for 10 seconds.
    """
    package = sys.modules["tfx.components"]
    for name in ("FileBasedExampleGen", "InfraValidator"):
        vars(package).setdefault(name, type(name, (), {}))
