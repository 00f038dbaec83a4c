"""pipeline/fingerprint.py on a small repository written by the test, and on a copy of this one."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from pipeline.fingerprint import REPO_DIR, code_fingerprint

FILES = {
    "components/__init__.py": "",
    "components/trainer/__init__.py": "",
    "components/trainer/component.py": (
        "import numpy\n\ndef run():\n    from reefline.boxes import Box\n    from reefline import late\n"
    ),
    "components/driver.py": "from reefline.resolved import y\n",
    "components/pusher/__init__.py": "",
    "components/pusher/component.py": "from components.pusher.driver import D\nfrom reefline.other import x\n",
    "components/pusher/driver.py": "from components.driver import Base\nimport reefline.resolved\n",
    "reefline/__init__.py": "",
    "reefline/boxes.py": "from . import errors\n",
    "reefline/errors.py": "",
    "reefline/late.py": "import reefline.late\n",
    "reefline/other.py": "",
    "reefline/resolved.py": "",
}


@pytest.fixture
def repo_dir(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        pytest.param("components/trainer/component.py", True, id="own"),
        pytest.param("reefline/boxes.py", True, id="imported-in-a-function"),
        pytest.param("reefline/late.py", True, id="imported-as-a-name"),
        pytest.param("reefline/errors.py", True, id="imported-relatively-by-what-it-imports"),
        pytest.param("components/__init__.py", True, id="own-package"),
        pytest.param("reefline/__init__.py", True, id="package-of-what-it-imports"),
        pytest.param("reefline/other.py", False, id="another-components"),
        pytest.param("components/pusher/component.py", False, id="another-component"),
    ],
)
def test_only_what_is_reached_counts(repo_dir: Path, changed: str, differs: bool) -> None:
    before = code_fingerprint("components.trainer", repo_dir=repo_dir)
    with (repo_dir / changed).open("a") as file:
        file.write("\nCHANGED = 1\n")
    assert (code_fingerprint("components.trainer", repo_dir=repo_dir) != before) == differs


def test_place_and_time_do_not_count(repo_dir: Path, tmp_path: Path) -> None:
    before = code_fingerprint("components.trainer", repo_dir=repo_dir)
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    repo_dir.rename(moved)
    (moved / "reefline/boxes.py").touch()
    assert code_fingerprint("components.trainer", repo_dir=moved) == before


def test_files_count_by_content(repo_dir: Path, tmp_path: Path) -> None:
    template = tmp_path / "a.config"
    template.write_text("x: 1")
    before = code_fingerprint("components.trainer", files=[template], repo_dir=repo_dir)
    assert before != code_fingerprint("components.trainer", repo_dir=repo_dir)
    template.write_text("x: 2")
    assert code_fingerprint("components.trainer", files=[template], repo_dir=repo_dir) != before


def test_tools_count(repo_dir: Path) -> None:
    known = {
        code_fingerprint("components.trainer", tools=tools, repo_dir=repo_dir) for tools in ([], [""], ["a"], ["b"])
    }
    assert len(known) == 4


def test_library_versions_count(repo_dir: Path, monkeypatch) -> None:
    before = code_fingerprint("components.trainer", repo_dir=repo_dir)
    monkeypatch.setattr("pipeline.fingerprint.metadata.version", lambda name: f"{name} 99")
    assert code_fingerprint("components.trainer", repo_dir=repo_dir) != before


def test_versions_of_all_that_decodes_images_count(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        name.partition(".")[0]
        for path in (REPO_DIR / "reefline" / "images").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported(node)
    }
    # typing_extensions only annotates.
    libraries = sorted(found - sys.stdlib_module_names - {"reefline", "typing_extensions"})
    assert {"PIL", "numpy", "simplejpeg"} <= set(libraries)
    for library in libraries:
        (repo_dir / "components" / "trainer" / "component.py").write_text(f"import {library}\n")
        monkeypatch.undo()
        before = code_fingerprint("components.trainer", repo_dir=repo_dir)
        monkeypatch.setattr("pipeline.fingerprint.metadata.version", lambda name: f"{name} 99")
        assert code_fingerprint("components.trainer", repo_dir=repo_dir) != before, library


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_no_such_module(repo_dir: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"components\.nothing: not a module of this repository"):
        code_fingerprint("components.nothing", repo_dir=repo_dir)


@pytest.mark.parametrize(
    ("component", "changed", "differs"),
    [
        pytest.param("components.trainer", "reefline/training/loop.py", True, id="training-by-its-loop"),
        pytest.param("components.trainer", "reefline/evaluation/gate.py", False, id="training-not-by-the-gate"),
        pytest.param("components.evaluator", "reefline/evaluation/gate.py", True, id="evaluator-by-the-gate"),
        pytest.param("components.pusher", "reefline/bundle/store.py", True, id="pusher-by-the-store"),
        # A push copies files and reaches nothing that made them.
        pytest.param("components.pusher", "reefline/export/export_model.py", False, id="pusher-not-by-the-export"),
        pytest.param("components.pusher", "reefline/od_api/export.py", False, id="pusher-not-by-the-od-api"),
        pytest.param("components.pusher", "reefline/evaluation/gate.py", False, id="pusher-not-by-the-gate"),
        pytest.param("components.pusher", "reefline/settings.py", False, id="pusher-not-by-the-settings"),
        pytest.param("components.pusher", "components/driver.py", False, id="pusher-not-by-the-base-of-drivers"),
    ],
)
def test_a_changed_file_redoes_its_own_components(tmp_path: Path, component: str, changed: str, differs: bool) -> None:
    for package in ("components", "pipeline", "reefline"):
        shutil.copytree(REPO_DIR / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_fingerprint(component, repo_dir=tmp_path)
    with (tmp_path / changed).open("a") as file:
        file.write("\nCHANGED = 1\n")
    assert (code_fingerprint(component, repo_dir=tmp_path) != before) == differs
