"""reefline/verification/installation.py: each check with good and bad results."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

from reefline.system import extras
from reefline.system.extras import Extra
from reefline.verification import installation
from reefline.verification.installation import Health
from tests.factories_compiler import make_compiler

REPO_DIR = Path(__file__).resolve().parents[3]

COMPILER_ON_X86 = installation.check_compiler(Path("bin/edgetpu_compiler"), Path("bin/docker"), "x86_64")
DOCKER_ON_X86 = installation.check_compiler(None, Path("bin/docker"), "x86_64")
PODMAN_ON_ARM = installation.check_compiler(None, Path("bin/podman"), "aarch64")
NOTHING_ON_X86 = installation.check_compiler(None, None, "x86_64")
NOTHING_ON_ARM = installation.check_compiler(None, None, "aarch64")


def _missing(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def test_versions_are_those_of_pyproject() -> None:
    pinned = dict(
        re.findall(r'^    "([\w.-]+)(?:\[\w+\])?==([\w.]+)",$', (REPO_DIR / "pyproject.toml").read_text(), re.M)
    )
    assert {name: pinned.get(name) for name in installation.REQUIRED_VERSIONS} == installation.REQUIRED_VERSIONS


@pytest.mark.parametrize(
    ("check", "health", "remedy"),
    [
        pytest.param(installation.check_python("3.10.2"), Health.GOOD, "", id="python-3.10"),
        pytest.param(
            installation.check_python("3.11.1"), Health.PROBLEM, "needs Python 3.10: run `make setup`", id="python"
        ),
        pytest.param(
            installation.check_python("3.1.0"), Health.PROBLEM, "needs Python 3.10", id="python-3.1-is-not-3.10"
        ),
        pytest.param(installation.check_distribution("a", "1.0", lambda _: "1.0"), Health.GOOD, "", id="version"),
        pytest.param(
            installation.check_distribution("a", "1.0", lambda _: "2.0"),
            Health.PROBLEM,
            "expected 1.0",
            id="other-version",
        ),
        pytest.param(
            installation.check_distribution("a", "1.0", _missing), Health.PROBLEM, "a 1.0 is required", id="missing"
        ),
        pytest.param(installation.check_legacy_keras({}), Health.GOOD, "", id="keras-unset"),
        pytest.param(installation.check_legacy_keras({"TF_USE_LEGACY_KERAS": "1"}), Health.GOOD, "", id="keras-on"),
        pytest.param(
            installation.check_legacy_keras({"TF_USE_LEGACY_KERAS": "0"}),
            Health.PROBLEM,
            "needs Keras 2",
            id="keras-off",
        ),
        pytest.param(installation.check_disk(Path("none/yet"), 10**12), Health.GOOD, "", id="disk-plenty"),
        pytest.param(
            installation.check_disk(Path("none/yet"), 5 * 10**9), Health.NOTE, "enough to start", id="disk-some"
        ),
        pytest.param(installation.check_disk(Path("none/yet"), 10**9), Health.PROBLEM, "needs 2 GB", id="disk-full"),
        pytest.param(COMPILER_ON_X86, Health.GOOD, "", id="compiler"),
        pytest.param(DOCKER_ON_X86, Health.NOTE, "unless exporter.compiler.image names an image", id="engine-alone"),
        pytest.param(PODMAN_ON_ARM, Health.NOTE, "this is aarch64: podman needs emulation", id="engine-on-arm"),
        pytest.param(NOTHING_ON_X86, Health.NOTE, "set exporter.compiler.image to an image", id="no-compiler"),
        pytest.param(NOTHING_ON_ARM, Health.NOTE, "this is aarch64", id="no-compiler-on-arm"),
    ],
)
def test_checks(check: installation.Check, health: Health, remedy: str) -> None:
    assert check.health is health
    assert remedy in check.remedy
    assert bool(check.remedy) == (health is not Health.GOOD)


def test_object_detection_that_is_another_package(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "object_detection").mkdir()
    (tmp_path / "object_detection" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    # Whatever test came before may have imported the real one, whose place Python then remembers.
    monkeypatch.delitem(sys.modules, "object_detection", raising=False)
    check = installation.check_object_detection()
    assert check.health is Health.PROBLEM
    assert "another package of the same name" in check.found


def test_everything_is_examined(tmp_path: Path) -> None:
    names = {check.name for check in installation.examine(tmp_path)}
    assert {"Python", "tensorflow", "protobuf", "legacy Keras", "OD API", "disk", "edgetpu_compiler"} <= names


def test_without_the_pipeline_only_its_lack_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES, Extra.PIPELINE, ("no_such_module",))
    runtime, pipeline = installation.examine(tmp_path)
    assert (runtime.name, runtime.health) == ("ai-edge-litert", Health.GOOD)
    assert (pipeline.health, pipeline.found) == (Health.NOTE, "not installed")
    assert "run `make setup` in a checkout" in pipeline.remedy


def test_a_missing_runtime_is_a_problem() -> None:
    def find_none(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    check = installation.check_runtime(find_none)
    assert (check.health, check.found) == (Health.PROBLEM, "not installed")


@pytest.mark.parametrize(
    ("engines", "found"),
    [
        pytest.param((), "not on the PATH, and neither is docker or podman", id="none"),
        pytest.param(("podman",), "not on the PATH; {}/podman can run it in a container", id="podman"),
    ],
)
def test_the_path_is_searched_for_a_container_engine(
    engines: tuple[str, ...], found: str, tmp_path: Path, monkeypatch
) -> None:
    make_compiler(tmp_path / "bin", "", engines=engines or ("unused",))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (check,) = (check for check in installation.examine(tmp_path) if check.name == "edgetpu_compiler")
    assert check.found == found.format(tmp_path / "bin")
