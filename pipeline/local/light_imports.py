"""Makes TFX light to import: a run that finds everything in the cache waits for no library that it never uses."""

from __future__ import annotations

import _imp
import contextlib
import importlib
import importlib.abc
import importlib.util
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import _bootstrap
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, NoReturn

_STATE = "_delayed_import"
_MOST_ATTEMPTS = 100
_PAUSE_S = 0.01
# Dunder names that modules define themselves. Others are asked for by the import system and by `inspect`.
_OWN_DUNDER_NAMES = ("__all__", "__version__")


@dataclass(frozen=True)
class DelayedModule:
    """A module whose code runs when a name in it is used, not when it is imported.

    `stand_ins` are names that TFX only mentions while it is imported: in an annotation, or to note an executor's path.
    `early` are modules below this one that TFX uses then, and that need nothing of it. Other modules below it run its
    code first, as Python does, unless `is_open`.
    """

    name: str
    stand_ins: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    is_open: bool = False


# What TFX imports before it runs a component. Docs: docs/architecture.md, "The runner".
TFX_IMPORTS = (
    DelayedModule("tensorflow", early=("tensorflow.tools.docs.doc_controls", "tensorflow.core.example.example_pb2")),
    DelayedModule("apache_beam", stand_ins=("Pipeline",)),
    DelayedModule(
        "tensorflow_data_validation",
        stand_ins=("StatsOptions",),
        early=("tensorflow_data_validation.anomalies.proto.custom_validation_config_pb2",),
    ),
    DelayedModule("tensorflow_model_analysis"),
    DelayedModule("tensorflow_model_analysis.sdk", stand_ins=("EvalConfig",)),
    DelayedModule("docker"),
    DelayedModule("tfx.components", is_open=True),
    DelayedModule("tfx.components.statistics_gen.executor", stand_ins=("Executor",)),
    DelayedModule("tfx.components.schema_gen.import_schema_gen.executor", stand_ins=("Executor",)),
    DelayedModule("tfx.components.example_validator.executor", stand_ins=("Executor",)),
)


@contextlib.contextmanager
def delay(modules: Sequence[DelayedModule]) -> Iterator[None]:
    """Delay modules that have not been imported; inside the context alone, they give out stand-ins.

    Raises:
        ModuleNotFoundError: a module is not installed.
    """
    if not any(isinstance(finder, _PackageFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PackageFirst())
    delayed = [
        (module, placed)
        for module in modules
        if isinstance(placed := sys.modules.get(module.name) or _put_in_place(module.name), _DelayedType)
    ]
    for module, placed in delayed:
        for name in module.early:
            importlib.import_module(name)
        # Another thread may have run the code meanwhile.
        state = vars(placed).get(_STATE, _State())
        state.stand_ins, state.is_open = module.stand_ins, module.is_open
    try:
        yield
    finally:
        for _, placed in delayed:
            vars(placed).get(_STATE, _State()).stand_ins = ()


def defer_package(name: str) -> None:
    """Delay a package, but not the modules below it, for the rest of the process.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    with delay([DelayedModule(name, is_open=True)]):
        return


@dataclass
class _State:
    """What a delayed module has until its code has run; `is_running` belongs to the holder of the module's lock."""

    stand_ins: tuple[str, ...] = ()
    is_open: bool = True
    is_running: bool = False


class _DelayedType(types.ModuleType):
    """The type of a module until its code has run; afterwards it is an ordinary module."""

    def __reduce__(self) -> tuple[Callable[[str], types.ModuleType], tuple[str]]:
        """Pickle the module by its name, as cloudpickle and dill do with an ordinary one."""
        return importlib.import_module, (self.__name__,)

    def __getattr__(self, name: str) -> Any:
        state = vars(self).get(_STATE)
        is_foreign = name.startswith("__") and name not in _OWN_DUNDER_NAMES
        if state is not None and not is_foreign:
            if name in state.stand_ins:
                return _make_stand_in(self.__name__, name)
            _run_code(self)
            # Not getattr: this method would answer again while the code runs in this thread.
            return types.ModuleType.__getattribute__(self, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _PackageFirst(importlib.abc.MetaPathFinder):
    """Runs the code of a delayed package when a module below it is imported, as Python does."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return where to load a module from, for one below a delayed package; None for all others."""
        package = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(package, _DelayedType):
            return None
        state = vars(package).get(_STATE)
        if state is not None:
            if state.is_open:
                return None
            with _without_import_lock():
                has_run = _run_code(package)
            if not has_run:
                return None
        if fullname in sys.modules:
            # The package has imported it; loaded again, it would be another module of the same name. Python asks the
            # module itself for the spec then.
            module = sys.modules[fullname]
            module.__spec__ = ModuleSpec(fullname, _KeepLoader(module))
            return module.__spec__
        return PathFinder.find_spec(fullname, package.__path__)


class _KeepLoader(importlib.abc.Loader):
    """Loads a module that has been imported: changes nothing."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        """Return the module."""
        return self._module

    def exec_module(self, module: types.ModuleType) -> None:
        """Give the module its spec back, which importing has replaced."""
        module.__spec__ = self._spec


def _put_in_place(name: str) -> types.ModuleType:
    """Put a delayed module where importing looks for it: in sys.modules, and in the package above it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{name}: not installed; run `make setup`")
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _DelayedType
    vars(module)[_STATE] = _State()
    sys.modules[name] = module
    package, _, last = name.rpartition(".")
    if package:
        setattr(sys.modules[package], last, module)
    return module


@contextlib.contextmanager
def _without_import_lock() -> Iterator[None]:
    """Release the lock of all imports, which Python holds while it asks a finder: other threads may have to import."""
    held = 0
    with contextlib.suppress(RuntimeError):  # this thread holds it no more
        while True:
            _imp.release_lock()
            held += 1
    try:
        yield
    finally:
        for _ in range(held):
            _imp.acquire_lock()


def _run_code(module: types.ModuleType) -> bool:
    """Run a delayed module's code unless it has run, waiting for a thread that runs it; return whether it has run.

    It has not where this thread runs it already, or where waiting would never end: two threads import modules that
    import each other, and one of them uses what the other has finished so far, as it does in Python.

    Raises:
        Exception: whatever the code raises; the next use runs it again.
    """
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        try:
            return _run_locked(module)
        except _bootstrap._DeadlockError:  # type: ignore[attr-defined]
            # The code imports a module whose thread waits for this one: that thread goes first.
            if attempt == _MOST_ATTEMPTS:
                raise
            time.sleep(_PAUSE_S)
    return False


def _run_locked(module: types.ModuleType) -> bool:
    # Python's own lock of the module: it notices deadlocks with the locks of the modules that the code imports.
    lock = _bootstrap._ModuleLockManager(module.__name__)  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except _bootstrap._DeadlockError:  # type: ignore[attr-defined]
            return False
        state, spec = vars(module).get(_STATE), module.__spec__
        if state is None or state.is_running:
            return state is None
        if spec is None or spec.loader is None:
            raise ImportError(f"{module.__name__}: has no loader")
        state.is_running = True
        try:
            spec.loader.exec_module(module)
        finally:
            state.is_running = False
        module.__class__ = types.ModuleType
        vars(module).pop(_STATE, None)
    return True


def _make_stand_in(module: str, name: str) -> type:
    """Return a class that has a name and a module, and refuses everything else."""

    def refuse(*_args: object, **_keywords: object) -> NoReturn:
        raise RuntimeError(f"{module}.{name} is only a stand-in here: import it after TFX, when it is used")

    return type(name, (), {"__module__": module, "__new__": refuse, "__init_subclass__": refuse})
