"""pipeline/local/light_imports.py on a package written by the test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.local.light_imports import defer_package

PACKAGE = "deferred_for_a_test"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text(f"from {PACKAGE}.heavy import weight\n")
    (folder / "heavy.py").write_text("weight = 1000\n")
    (folder / "light.py").write_text("weight = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield PACKAGE
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def test_a_module_below_does_not_run_the_packages_init(package: str) -> None:
    defer_package(package)
    assert importlib.import_module(f"{package}.light").weight == 1
    assert f"{package}.heavy" not in sys.modules


def test_a_name_of_the_package_runs_it_after_all(package: str) -> None:
    defer_package(package)
    assert importlib.import_module(package).weight == 1000
    assert f"{package}.heavy" in sys.modules


def test_a_missing_name(package: str) -> None:
    defer_package(package)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing


def test_an_imported_package_stays_as_it_is(package: str) -> None:
    module = importlib.import_module(package)
    defer_package(package)
    assert sys.modules[package] is module


def test_no_such_package() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package_here: not installed; run `make setup`"):
        defer_package("no_such_package_here")
