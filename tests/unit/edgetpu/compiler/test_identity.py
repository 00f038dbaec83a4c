"""What of a compiler a cache sees; engines are scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.edgetpu.compiler.identity import identify_compiler
from reefline.settings import CompilerSettings

IMAGE = CompilerSettings(image="coral:16")
PLAIN = CompilerSettings()


@pytest.fixture(autouse=True)
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_no_compiler_is_nothing() -> None:
    assert identify_compiler(PLAIN) == ""
    assert identify_compiler(IMAGE) == ""


def test_another_compiler_on_the_path_is_seen(bin_dir: Path) -> None:
    _write(bin_dir / "edgetpu_compiler", "echo 15.0")
    before = identify_compiler(PLAIN)
    _write(bin_dir / "edgetpu_compiler", "echo 16.0")
    assert before != identify_compiler(PLAIN) != ""


def test_an_image_is_known_by_its_id(bin_dir: Path) -> None:
    _write(bin_dir / "docker", '[ "$*" = "image inspect --format {{.Id}} coral:16" ] && echo sha256:1234')
    assert identify_compiler(IMAGE) == "docker sha256:1234"


def test_a_missing_image_has_no_id(bin_dir: Path) -> None:
    _write(bin_dir / "podman", "echo no such image >&2; exit 1")
    assert identify_compiler(IMAGE) == "podman "


def test_an_engine_that_hangs_is_not_waited_for(bin_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reefline.edgetpu.compiler.identity._ENGINE_TIMEOUT_S", 0.2)
    _write(bin_dir / "docker", "exec /bin/sleep 60")
    assert identify_compiler(IMAGE) == "docker"
