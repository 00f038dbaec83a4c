"""pipeline/local/start_check.py: missing weights stop a run that needs them, before anything else takes time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.local.start_check import check_start
from pipeline.local.workspace import Workspace, open_workspace
from reefline.errors import CheckpointError, DownloadError
from reefline.settings import Start, TrainerSettings
from reefline.training import start_files

URL = "https://localhost/weights.tar.gz"
PINNED = Start(source=URL, sha256="a" * 64)
NEW = Start(source=URL)
LOCAL = Start(source="/nowhere/weights.tar.gz")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    def download(url: str, _target: Path, **_options: object) -> None:
        raise DownloadError(f"{url}: no network")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(start_files, "download", download)
    return open_workspace(tmp_path / "ws")


def _check(workspace: Workspace, start: Start) -> None:
    check_start(TrainerSettings(model="ssd_mobilenet_v2_tiny", start=start), "m", workspace)


def test_a_download_that_a_cached_training_does_not_need_is_a_note(workspace: Workspace, capsys) -> None:
    (workspace.artifacts / "Trainer").mkdir(parents=True)
    _check(workspace, PINNED)
    out = capsys.readouterr().out
    assert out.startswith(f"note: trainer.start: {URL}: no network") and "not needed if this training is cached" in out


@pytest.mark.parametrize(
    ("start", "has_trained", "message"),
    [
        pytest.param(PINNED, False, "no network", id="nothing-cached"),
        pytest.param(NEW, True, "no network", id="unknown-hash"),
        pytest.param(LOCAL, True, r"/nowhere/weights\.tar\.gz does not exist", id="missing-file"),
    ],
)
def test_weights_that_the_run_needs_are_an_error(
    workspace: Workspace, capsys, start: Start, has_trained: bool, message: str
) -> None:
    if has_trained:
        (workspace.artifacts / "Trainer").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=message):
        _check(workspace, start)
    assert "note: " not in capsys.readouterr().out
