"""pipeline/local/light_imports.py on a package written by the test, and on TFX in a process of its own."""

from __future__ import annotations

import importlib
import importlib.abc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.local.light_imports import DelayedModule, defer_package, delay

PACKAGE = "delayed_for_a_test"
REPO_DIR = Path(__file__).resolve().parents[4]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text(f"from {PACKAGE}.heavy import weight\n__version__ = '2'\n")
    (folder / "heavy.py").write_text("weight = 1000\nclass Engine: pass\n")
    (folder / "light.py").write_text("weight = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield PACKAGE
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def _is_loaded(package: str) -> bool:
    return f"{package}.heavy" in sys.modules


def test_importing_runs_nothing_and_using_a_name_does(package: str) -> None:
    with delay([DelayedModule(package)]):
        module = importlib.import_module(package)
    assert not _is_loaded(package)
    assert module.weight == 1000
    assert _is_loaded(package) and type(module) is type(sys)


def test_a_package_tells_its_version(package: str) -> None:
    with delay([DelayedModule(package)]):
        assert importlib.import_module(package).__version__ == "2"


def test_what_inspect_asks_runs_nothing(package: str) -> None:
    with delay([DelayedModule(package)]):
        module = importlib.import_module(package)
        assert not hasattr(module, "__wrapped__") and module.__file__
    assert not _is_loaded(package)


def test_a_module_below_an_open_package_does_not_run_it(package: str) -> None:
    with delay([DelayedModule(package, is_open=True)]):
        assert importlib.import_module(f"{package}.light").weight == 1
    assert not _is_loaded(package)


def test_a_deferred_package_is_an_open_one(package: str) -> None:
    defer_package(package)
    assert importlib.import_module(f"{package}.light").weight == 1
    assert not _is_loaded(package)
    assert importlib.import_module(package).weight == 1000


def test_a_module_below_a_package_runs_the_package_first(package: str) -> None:
    with delay([DelayedModule(package)]):
        assert importlib.import_module(f"{package}.light").weight == 1
    assert _is_loaded(package)


def test_a_module_that_the_package_imports_itself_exists_once(package: str) -> None:
    with delay([DelayedModule(package)]):
        heavy = importlib.import_module(f"{package}.heavy")
    heavy.weight = 7
    assert importlib.import_module(f"{package}.heavy") is sys.modules[PACKAGE].heavy is heavy  # type: ignore[attr-defined]
    assert importlib.reload(heavy).weight == 1000


def test_an_early_module_runs_without_its_package(package: str) -> None:
    with delay([DelayedModule(package, early=(f"{package}.light",))]):
        assert f"{package}.light" in sys.modules
    assert not _is_loaded(package)


def test_a_stand_in_has_a_path_and_refuses_to_be_used(package: str) -> None:
    with delay([DelayedModule(package), DelayedModule(f"{package}.heavy", stand_ins=("Engine",))]):
        engine = importlib.import_module(f"{package}.heavy").Engine
        assert (engine.__module__, engine.__qualname__) == (f"{package}.heavy", "Engine")
        with pytest.raises(RuntimeError, match=r"heavy\.Engine is only a stand-in here"):
            engine()
        with pytest.raises(RuntimeError, match=r"heavy\.Engine is only a stand-in here"):
            type("Sub", (engine,), {})
    real = importlib.import_module(f"{package}.heavy").Engine
    assert real is not engine and isinstance(real(), real)


def test_a_second_delay_gives_out_stand_ins_again(package: str) -> None:
    modules = [DelayedModule(package, stand_ins=("weight",))]
    with delay(modules):
        pass
    with delay(modules):
        assert importlib.import_module(package).weight.__name__ == "weight"
    assert importlib.import_module(package).weight == 1000


def test_a_module_that_fails_can_be_tried_again(package: str, tmp_path: Path) -> None:
    heavy = tmp_path / PACKAGE / "heavy.py"
    heavy.write_text("raise OSError('no disk')\n")
    with delay([DelayedModule(package)]):
        module = importlib.import_module(package)
    with pytest.raises(OSError, match="no disk"):
        _ = module.weight
    heavy.write_text("weight = 1000  # as before\n")
    assert module.weight == 1000


def _run_in_threads(*calls: Callable[[], object]) -> list[object]:
    """Return what each call returned in a thread of its own, all begun at once; a deadlock fails the test."""
    barrier, results = threading.Barrier(len(calls)), dict[int, object]()

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = calls[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    return [results[index] for index in range(len(calls))]


def test_threads_that_use_a_module_at_once_run_it_once(package: str, tmp_path: Path) -> None:
    (tmp_path / PACKAGE / "__init__.py").write_text("import time\ntime.sleep(0.2)\nweight = time.monotonic()\n")
    with delay([DelayedModule(package)]):
        module = importlib.import_module(package)
    found = _run_in_threads(*[lambda: module.weight] * 4)
    assert found == [module.weight] * 4


def test_a_module_below_waits_for_another_thread_that_runs_the_package(package: str, tmp_path: Path) -> None:
    (tmp_path / PACKAGE / "__init__.py").write_text("import time\ntime.sleep(0.3)\nweight = 5\n")
    (tmp_path / PACKAGE / "light.py").write_text(f"import sys\nseen = vars(sys.modules[{PACKAGE!r}]).get('weight')\n")
    with delay([DelayedModule(package)]):
        module = importlib.import_module(package)

    def import_late() -> object:
        time.sleep(0.1)
        return importlib.import_module(f"{package}.light").seen

    assert _run_in_threads(lambda: module.weight, import_late) == [5, 5]


@pytest.mark.parametrize(
    ("before_user", "before_importer"),
    [
        pytest.param(0.0, 0.15, id="importer-last"),
        pytest.param(0.15, 0.0, id="user-last"),
        pytest.param(0, 0, id="both"),
    ],
)
def test_a_package_and_what_it_imports_do_not_wait_for_each_other(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_user: float, before_importer: float
) -> None:
    (tmp_path / PACKAGE / "__init__.py").write_text(
        f"import time\ntime.sleep(0.3)\nfrom {PACKAGE}.heavy import weight\n"
    )
    with delay([DelayedModule(package)]):
        module = importlib.import_module(package)
    # Python holds the lock of the module below already when it asks where to load it from.
    monkeypatch.setattr(sys, "meta_path", [_Slow(f"{package}.heavy"), *sys.meta_path])

    def use() -> object:
        time.sleep(before_user)
        return module.weight

    def import_below() -> object:
        time.sleep(before_importer)
        return importlib.import_module(f"{package}.heavy").weight

    assert _run_in_threads(use, import_below) == [1000, 1000]


class _Slow(importlib.abc.MetaPathFinder):
    """Delays the first import of a module."""

    def __init__(self, name: str) -> None:
        self._names = {name}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in self._names:
            self._names.clear()
            time.sleep(0.4)


@pytest.mark.parametrize("pickler", ["cloudpickle", "dill", "pickle"])
def test_a_delayed_module_is_pickled_by_name(package: str, pickler: str) -> None:
    library = importlib.import_module(pickler)
    with delay([DelayedModule(package)]):
        module = importlib.import_module(package)
    assert library.loads(library.dumps(module)) is module
    assert not _is_loaded(package)


def test_a_missing_name(package: str) -> None:
    with (
        delay([DelayedModule(package)]),
        pytest.raises(AttributeError, match="has no attribute 'nothing'"),
    ):
        _ = importlib.import_module(package).nothing


def test_an_imported_package_stays_as_it_is(package: str) -> None:
    module = importlib.import_module(package)
    with delay([DelayedModule(package, stand_ins=("weight",))]):
        assert sys.modules[package] is module and module.weight == 1000


def test_no_such_package() -> None:
    with (
        pytest.raises(ModuleNotFoundError, match="no_such_package_here: not installed; run `make setup`"),
        delay([DelayedModule("no_such_package_here")]),
    ):
        pass


_COMPILE = """
import sys
from pipeline.local.light_imports import TFX_IMPORTS, delay
with delay(TFX_IMPORTS):
    from tfx.dsl.compiler.compiler import Compiler
    from tfx.components.statistics_gen.component import StatisticsGen
    import pipeline.local.dag_runner, pipeline.pipeline
    spec = StatisticsGen.EXECUTOR_SPEC.class_path
loaded = [name for name in ("tensorflow.python", "apache_beam.io", "tensorflow_data_validation.api", "pandas",
          "tensorflow_model_analysis.api", "docker.api", "IPython") if name in sys.modules]
print(spec, loaded)
from tfx.utils.import_utils import import_class_by_path
from tfx.dsl.components.base import base_beam_executor
executor = import_class_by_path(spec)
assert issubclass(executor, base_beam_executor.BaseBeamExecutor)
executor(base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=[]))._make_beam_pipeline()
import tensorflow as tf
print(int(tf.constant(3)) + 4)
"""


def test_tfx_is_imported_without_its_libraries_and_executes_with_them() -> None:
    run = subprocess.run([sys.executable, "-c", _COMPILE], cwd=REPO_DIR, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["tfx.components.statistics_gen.executor.Executor []", "7"], run.stderr
