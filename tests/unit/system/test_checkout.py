from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reefline.system.checkout import Checkout, read_checkout


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("one")
    _git(tmp_path, "add", "a.py")
    _git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_commit_and_whether_files_differ_from_it(checkout: Path) -> None:
    commit = _git(checkout, "rev-parse", "HEAD")
    (checkout / "new.txt").write_text("")
    assert read_checkout(checkout) == Checkout(commit, is_dirty=False)
    (checkout / "a.py").write_text("two")
    assert read_checkout(checkout) == Checkout(commit, is_dirty=True)


def test_another_projects_checkout_around_the_sources_does_not_count(checkout: Path) -> None:
    (checkout / "site-packages").mkdir()
    assert read_checkout(checkout / "site-packages") == Checkout()


def test_without_a_commit_or_git_there_is_none(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_checkout(tmp_path / "nowhere") == Checkout()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_checkout(checkout) == Checkout()
