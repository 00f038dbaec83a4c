"""Makes TFX faster to import: a fully cached run should not wait for libraries that it never uses."""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any


class _DeferredPackage(types.ModuleType):
    """A package whose __init__ runs at the first access to a name in it, not when a module below it is imported."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None or "_executed" in self.__dict__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__dict__["_executed"] = True
        spec.loader.exec_module(self)
        return getattr(self, name)


def defer_package(name: str) -> None:
    """Delay a package's __init__ until a name in it is accessed; does nothing if the package is already imported.

    TFX's orchestration imports one constant from below tfx.components, whose __init__ imports all stock components,
    Keras Tuner and Model Analysis for its re-exports: 6 of the 17 seconds that importing `LocalDagRunner` takes.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{name}: not installed; run `make setup`")
    module = _DeferredPackage(name)
    module.__spec__ = spec
    module.__file__ = spec.origin
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module
