"""reefline/cleanup: what stays, what goes, and the sizes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reefline.bundle.store import rollback
from reefline.cleanup import plan as plan_module
from reefline.cleanup import removal
from reefline.cleanup.plan import CleanupPlan, Kind, plan_cleanup
from reefline.cleanup.removal import remove_planned
from reefline.errors import BundleError
from reefline.system.lock_file import try_lock
from tests.factories_workspace import WorkspaceFactory


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkspaceFactory:
    """Return an empty workspace whose runs ML Metadata knows."""
    factory = WorkspaceFactory(tmp_path / "ws")
    monkeypatch.setattr(plan_module, "read_runs", lambda _metadata_db: factory.runs)
    return factory


def _clean(workspace: WorkspaceFactory, keep: int) -> CleanupPlan:
    plan = plan_cleanup(workspace.root, keep)
    remove_planned(plan)
    return plan


def _reports(workspace: WorkspaceFactory) -> list[str]:
    return sorted(path.name[-2:] for path in (workspace.root / "reports").glob("2*/"))


def _bundles(workspace: WorkspaceFactory) -> list[str]:
    return sorted(path.name for path in (workspace.root / "serving" / "detector").iterdir() if path.is_dir())


def test_the_newest_runs_stay_with_what_they_reused(workspace: WorkspaceFactory) -> None:
    first = workspace.add()
    workspace.add(images="b")
    workspace.add(reused=first)
    plan = _clean(workspace, 1)

    assert _reports(workspace) == ["03"]
    assert workspace.list_artifacts() == [
        "Trainer/model_run/1",
        "VocExampleGen/examples/1",
        "VocExampleGen/label_map/1",
    ]
    assert {Path(folder).parts[-1] for folder in plan.gone_artifacts.values()} == {"2"}
    assert (plan.runs, len(plan.reports)) == (3, 2)


def test_image_lists_and_index_follow_the_runs(workspace: WorkspaceFactory) -> None:
    for images in ("a", "b", "b"):
        workspace.add(images=images)
    reports = workspace.root / "reports"
    assert len(list((reports / ".images").iterdir())) == 2
    _clean(workspace, 2)

    assert len(list((reports / ".images").iterdir())) == 1
    page = (reports / "index.html").read_text(encoding="utf-8")
    assert "20260301T120001" not in page and "./20260301T120002/index.html" in page
    assert (reports / "latest" / "summary.json").is_file()


def test_runs_that_failed_at_once_displace_nothing(workspace: WorkspaceFactory) -> None:
    """Three typing errors in a row, for example, and then `gc --keep 2`."""
    workspace.add()
    workspace.add()
    for _ in range(3):
        workspace.add(stopped=True, reused=workspace.runs[-1])
    _clean(workspace, 2)
    assert _reports(workspace) == ["01", "02", "04", "05"]
    assert "Trainer/model_run/2" in workspace.list_artifacts()


def test_the_newest_training_that_can_be_resumed_stays(workspace: WorkspaceFactory) -> None:
    for _ in range(2):
        workspace.add(stopped=True)
    for _ in range(2):
        workspace.add()
    plan = _clean(workspace, 1)

    (kept,) = (workspace.root / "artifacts/Trainer/model_run/.unfinished").glob("*[0-9a-f]")
    assert (kept / "ckpt-1.index").read_bytes() == b"work"
    assert _reports(workspace) == ["02", "04"]
    assert "VocExampleGen/examples/2" in workspace.list_artifacts()
    assert "VocExampleGen/examples/1" not in workspace.list_artifacts()
    (share,) = [share for share in plan.measure() if share.kind is Kind.TRAININGS]
    assert (share.number, len(plan.unfinished)) == (1, 1)


def test_what_serves_and_its_predecessor_stay_with_their_runs(workspace: WorkspaceFactory) -> None:
    for content in (b"one", b"two", b"three"):
        workspace.add(pushes=content)
    workspace.add()
    _clean(workspace, 1)

    assert _bundles(workspace) == ["2", "3"]
    assert _reports(workspace) == ["02", "03", "04"]
    assert {"Trainer/model_run/2", "Trainer/model_run/3"} <= set(workspace.list_artifacts())
    assert rollback(workspace.root / "serving", "detector").serving_version == 2


def test_the_training_behind_what_serves_stays_without_its_run(workspace: WorkspaceFactory) -> None:
    """After metadata.db was deleted: `trainer.start: serving` reads the checkpoint."""
    workspace.add(pushes=b"one")
    workspace.add()
    workspace.runs = workspace.runs[:1]
    _clean(workspace, 1)
    assert "Trainer/model_run/1" in workspace.list_artifacts()


def test_bundles_that_kept_runs_pushed_stay(workspace: WorkspaceFactory) -> None:
    """Otherwise the next cached run would push them again."""
    for content in (b"one", b"two", b"three", b"four"):
        workspace.add(pushes=content)
    _clean(workspace, 3)
    assert _bundles(workspace) == ["2", "3", "4"]


def test_a_damaged_serving_bundle_stops_before_anything_is_removed(workspace: WorkspaceFactory) -> None:
    workspace.add(pushes=b"one")
    workspace.add()
    (workspace.root / "serving/detector/1/manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"manifest\.json: .*restore the bundle or push again"):
        _clean(workspace, 1)
    assert _reports(workspace) == ["01", "02"]


def test_folders_of_other_people_stay(workspace: WorkspaceFactory) -> None:
    workspace.add()
    workspace.add()
    notes = workspace.root / "reports" / "notes"
    own = workspace.root / "artifacts" / "Trainer" / "model_run" / "mine"
    for folder in (notes, own):
        folder.mkdir()
    _clean(workspace, 1)
    assert notes.is_dir() and own.is_dir()


def test_files_of_other_people_stay(workspace: WorkspaceFactory) -> None:
    """In Python 3.10, a pattern that ends with a slash finds files too."""
    workspace.add()
    workspace.add()
    trainer = workspace.root / "artifacts" / "Trainer"
    files = [trainer / "model_run" / "2026", trainer / ".system" / "stateful_working_dir" / "notes.txt"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    plan = _clean(workspace, 1)
    assert all(file.is_file() for file in files) and not {*files} & {*plan.artifacts}


def test_the_lock_of_a_removed_training_goes_and_those_of_others_stay(workspace: WorkspaceFactory) -> None:
    for _ in range(2):
        workspace.add(stopped=True)
    for _ in range(2):
        workspace.add()
    unfinished = workspace.root / "artifacts/Trainer/model_run/.unfinished"
    assert len(list(unfinished.glob("*.lock"))) == 2
    # A clean-up that was killed leaves a lock without its folder.
    (unfinished / "0123456789abcdef.lock").touch()
    held = try_lock(unfinished / "fedcba9876543210.lock")
    assert held is not None
    with held:
        _clean(workspace, 1)
    (kept,) = (path for path in unfinished.iterdir() if path.is_dir())
    locks = {path.name for path in unfinished.glob("*.lock")}
    assert locks == {f"{kept.name}.lock", "fedcba9876543210.lock"}


def test_a_file_with_links_counts_once_and_only_if_all_go(workspace: WorkspaceFactory) -> None:
    workspace.add()
    workspace.add()
    old = workspace.root / "artifacts/Trainer/model_run/1"
    finished = workspace.root / "artifacts/Trainer/model_run/.unfinished/abc"
    finished.mkdir(parents=True)
    (old / "training.json").write_bytes(b"x" * 500)
    os.link(old / "training.json", finished / "training.json")
    os.link(old / "content.bin", workspace.root / "elsewhere.bin")
    plan = plan_cleanup(workspace.root, 1)

    (share,) = [share for share in plan.measure() if share.kind is Kind.ARTIFACTS]
    # Three artifacts of 1,000 bytes, one of which has a link outside, and 500 bytes with two links.
    assert (share.number, share.bytes) == (4, 2500)
    assert finished in plan.artifacts and not plan.unfinished


def test_the_links_of_a_finished_training_stay_with_it(workspace: WorkspaceFactory) -> None:
    workspace.add()
    kept = workspace.root / "artifacts/Trainer/model_run/1"
    finished = workspace.root / "artifacts/Trainer/model_run/.unfinished/abc"
    finished.mkdir(parents=True)
    (kept / "training.json").write_bytes(b"x")
    os.link(kept / "training.json", finished / "training.json")
    _clean(workspace, 1)
    assert finished.is_dir()


def test_a_plan_follows_a_workspace_that_was_moved(workspace: WorkspaceFactory, tmp_path: Path) -> None:
    workspace.add()
    workspace.add()
    workspace.root = workspace.root.rename(tmp_path / "moved")
    _clean(workspace, 1)
    assert workspace.list_artifacts() == [
        "Trainer/model_run/2",
        "VocExampleGen/examples/2",
        "VocExampleGen/label_map/2",
    ]


STEPS = ("remove_folder", "mark_deleted", "remove_superseded", "write_index")


@pytest.mark.parametrize(
    ("step", "calls_before"),
    [(step, calls) for step in STEPS for calls in range(5 if step == "remove_folder" else 1)],
    ids=lambda value: str(value),
)
def test_a_clean_up_that_was_killed_is_completed_by_the_next(
    workspace: WorkspaceFactory, monkeypatch: pytest.MonkeyPatch, step: str, calls_before: int
) -> None:
    for content in (b"one", b"two", b"three"):
        workspace.add(pushes=content)
    workspace.add()
    calls = iter(range(calls_before))
    real = getattr(removal, step)

    def die(*arguments: object) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(removal, step, die)
        with pytest.raises(KeyboardInterrupt):
            _clean(workspace, 1)
    # Nothing that stays is touched, whenever it is killed.
    assert {"Trainer/model_run/2", "Trainer/model_run/3", "Trainer/model_run/4"} <= set(workspace.list_artifacts())
    _clean(workspace, 1)
    assert (_bundles(workspace), _reports(workspace)) == (["2", "3"], ["02", "03", "04"])
    assert not [name for name in workspace.list_artifacts() if name.endswith("/1")]
