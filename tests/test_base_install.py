"""What `pip install reefline` leaves out, no command for devices needs: neither in a process nor in its sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from typer.testing import CliRunner

from reefline.cli import app
from reefline.system import extras
from reefline.system.extras import Extra

REPO_DIR = Path(__file__).resolve().parents[1]
PROJECT = tomli.loads((REPO_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULE_OF = {"pillow": "PIL"}
DEVICE_COMMANDS = {"analyze", "parse-log", "compile", "detect", "rollback", "verify-bundle"}
# It inspects the installation, whatever that is, and takes the name of a variable from the OD API's room.
INSPECTS = "doctor"

# Hides the packages named in the first argument, and imports the modules in the others.
IMPORT_WITHOUT = """
import importlib, sys

HIDDEN = set(sys.argv[1].split(","))


class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ImportError(f"{name} is not installed here")


sys.meta_path.insert(0, Hiding())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def base_requirements() -> list[Requirement]:
    parsed = [Requirement(text) for text in PROJECT["dependencies"]]
    return [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]


def needed_extra(command: object) -> Extra | None:
    return getattr(command, "needed_extra", None)


def device_modules() -> dict[str, str]:
    """Return the modules of the commands that run without the pipeline, by the command's name."""
    return {
        f"{command.name}": f"{command.callback.__module__}"
        for command in app.registered_commands
        if needed_extra(command.cls) is not Extra.PIPELINE and command.name != INSPECTS and command.callback
    }


def find_source(module: str) -> Path | None:
    path = REPO_DIR.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imports_of(node: ast.AST) -> Iterator[str]:
    """Yield what a source imports, inside functions too, but not what only a type checker sees."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield f"{node.module}"
        yield from (name for alias in node.names if find_source(name := f"{node.module}.{alias.name}"))
    for child in ast.iter_child_nodes(node):
        yield from imports_of(child)


def follow(module: str) -> tuple[set[str], set[str]]:
    """Return the modules of this repository that a module reaches by imports, and the packages that these import."""
    own: set[str] = set()
    packages: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        source = find_source(name)
        if source is None:
            packages.add(name.partition(".")[0])
        elif name not in own:
            own.add(name)
            waiting += imports_of(ast.parse(source.read_text(encoding="utf-8")))
    return own, packages - sys.stdlib_module_names


def with_dependencies(names: Iterator[str]) -> set[str]:
    """Return distributions and all that they depend on, by normalized name."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        required = [Requirement(text) for text in metadata.requires(name) or ()]
        waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def packages_of(distribution: metadata.Distribution) -> set[str]:
    """Return the top-level packages and modules that a distribution installs."""
    return {path.parts[0].partition(".")[0] for path in distribution.files or () if path.suffix in (".py", ".so")}


def import_name(distribution: str) -> str:
    return MODULE_OF.get(distribution, distribution.replace("-", "_"))


def test_every_command_for_devices_needs_no_extra() -> None:
    needs_nothing = {command.name for command in app.registered_commands if needed_extra(command.cls) is None}
    assert needs_nothing >= DEVICE_COMMANDS


@pytest.mark.parametrize("command", sorted(device_modules()))
def test_commands_for_devices_import_only_what_is_installed_with_them(command: str) -> None:
    own, packages = follow(device_modules()[command])
    base = {import_name(requirement.name) for requirement in base_requirements()}
    optional = {module for extra in Extra if extra is not Extra.PIPELINE for module in extras.MODULES[extra]}
    assert packages <= base | optional
    assert not {name for name in own if name.partition(".")[0] != "reefline"}


def test_every_base_dependency_is_imported_by_a_command_for_devices() -> None:
    imported = set().union(*(follow(module)[1] for module in device_modules().values()))
    assert {import_name(requirement.name) for requirement in base_requirements()} <= imported


def test_modules_of_commands_for_devices_load_where_nothing_else_is_installed() -> None:
    modules = set().union(*(follow(module)[0] for module in device_modules().values()))
    installed = with_dependencies(requirement.name for requirement in base_requirements())
    kept = set().union(*(packages_of(metadata.distribution(name)) for name in installed))
    hidden = set().union(*(packages_of(one) for one in metadata.distributions())) - kept - {"reefline"}
    assert hidden >= {"tensorflow", "tfx", "apache_beam", "ml_metadata", "pycocotools", "matplotlib", "kfp", "cv2"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT, ",".join(hidden), "reefline.cli", *sorted(modules)],
        cwd=REPO_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_every_extra_names_modules_and_stands_in_pyproject() -> None:
    assert {extra.value for extra in Extra} == set(PROJECT["optional-dependencies"]) - {"dev"}
    assert set(extras.MODULES) == set(Extra)


@pytest.mark.parametrize(
    "command",
    sorted(f"{one.name}" for one in app.registered_commands if needed_extra(one.cls) is Extra.PIPELINE),
)
def test_commands_of_the_pipeline_name_the_line_to_type(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES, Extra.PIPELINE, ("no_such_module",))
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: `reefline {command}` needs the pipeline: pip install 'reefline[pipeline]' (Python 3.10)\n"
    )
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["local_runner.py"], id="local_runner"),
        pytest.param(["kubeflow_runner.py", "lint"], id="kubeflow_runner"),
    ],
)
def test_runners_name_the_line_to_type(arguments: list[str]) -> None:
    blocked = "import sys; sys.modules['tfx'] = None; import runpy; sys.argv = sys.argv[1:]; "
    run = f"{blocked}runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", run, *arguments], cwd=REPO_DIR, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: `{' '.join(arguments)}` needs the pipeline: pip install 'reefline[pipeline]' (Python 3.10)\n"
    )
