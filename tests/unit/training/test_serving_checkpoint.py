from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reefline.bundle.store import push_bundle, rollback
from reefline.errors import BundleError, CheckpointError
from reefline.evaluation.report import EvaluationReport
from reefline.settings import TrainerSettings
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.job import TrainingJob
from reefline.training.serving_checkpoint import ServingCheckpoint, find_serving_checkpoint, provide_checkpoint
from tests.factories_evaluation import make_facts, make_scores, write_candidate


def push(tmp_path: Path, content: bytes, checkpoint: str, *, judged: int = 0) -> Path:
    """Push a bundle and return the folder of the model's bundles."""
    report = EvaluationReport(make_scores(baseline_version=judged), ())
    facts = make_facts(checkpoint=checkpoint, evaluation=report)
    push_bundle(write_candidate(tmp_path / "candidate", content), facts, tmp_path / "serving")
    return tmp_path / "serving" / "detector"


def test_no_model_serves_before_the_first_push(tmp_path: Path) -> None:
    assert find_serving_checkpoint(tmp_path / "serving" / "detector") is None


def test_the_serving_manifest_names_the_checkpoint(tmp_path: Path) -> None:
    push(tmp_path, b"one", "/runs/3/best/ckpt-10")
    home = push(tmp_path, b"two", "/runs/9/best/ckpt-20", judged=1)
    found = find_serving_checkpoint(home)
    assert found == ServingCheckpoint("/runs/9/best/ckpt-20", home / "2" / "manifest.json")
    assert found.model_run == Path("/runs/9")


def test_after_a_rollback_the_older_checkpoint_is_found(tmp_path: Path) -> None:
    push(tmp_path, b"one", "/runs/3/best/ckpt-10")
    home = push(tmp_path, b"two", "/runs/9/best/ckpt-20", judged=1)
    rollback(tmp_path / "serving", "detector")
    found = find_serving_checkpoint(home)
    assert found is not None
    assert found.prefix == "/runs/3/best/ckpt-10"


def test_a_manifest_without_a_checkpoint(tmp_path: Path) -> None:
    home = push(tmp_path, b"one", "")
    with pytest.raises(
        CheckpointError, match=r"1/manifest.json names no checkpoint .*set start to .*detector/1 for the weights"
    ):
        find_serving_checkpoint(home)


def test_a_damaged_current(tmp_path: Path) -> None:
    home = push(tmp_path, b"one", "/runs/3/best/ckpt-10")
    (home / "CURRENT").write_text("the newest")
    with pytest.raises(BundleError, match="'the newest' found, a version expected"):
        find_serving_checkpoint(home)


def test_a_missing_checkpoint_is_an_error(tmp_path: Path) -> None:
    gone = ServingCheckpoint(str(tmp_path / "best" / "ckpt-3"), tmp_path / "1" / "manifest.json")
    with pytest.raises(CheckpointError, match=r"1/manifest.json names the checkpoint .*ckpt-3, which no longer exists"):
        gone.check()


def test_an_existing_checkpoint_passes(tmp_path: Path) -> None:
    (tmp_path / "ckpt-3.index").write_bytes(b"index")
    ServingCheckpoint(str(tmp_path / "ckpt-3"), tmp_path / "manifest.json").check()


def test_a_checkpoint_in_an_object_store(tmp_path: Path, s3_folder: str) -> None:
    runs = open_storage(f"{s3_folder}/runs/9/best")
    prefix = f"{s3_folder}/runs/9/best/ckpt-7"
    push_bundle(write_candidate(tmp_path / "candidate"), make_facts(checkpoint=prefix), f"{s3_folder}/serving")
    found = find_serving_checkpoint(f"{s3_folder}/serving/detector")
    assert found is not None
    assert (found.prefix, found.model_run) == (prefix, Location.parse(f"{s3_folder}/runs/9"))
    with pytest.raises(
        CheckpointError, match=f"{s3_folder}/serving/detector/1/manifest.json names .* no longer exists"
    ):
        found.check()
    assert provide_checkpoint(prefix, tmp_path / "cache") is None
    for name in ("ckpt-7.index", "ckpt-7.data-00000-of-00001", "ckpt-71.index"):
        runs.write(name, name.encode())
    found.check()
    local = provide_checkpoint(prefix, tmp_path / "cache")
    assert local is not None and Path(f"{local}.index").read_bytes() == b"ckpt-7.index"
    files = sorted(path.name for path in Path(local).parent.iterdir())
    assert files == ["ckpt-7.data-00000-of-00001", "ckpt-7.index"]
    assert provide_checkpoint(prefix, tmp_path / "cache") == local
    runs.write("ckpt-7.index", b"changed")
    assert provide_checkpoint(prefix, tmp_path / "cache") != local


def test_a_checkpoint_on_this_machine_is_used_where_it_is(tmp_path: Path) -> None:
    assert provide_checkpoint(str(tmp_path / "ckpt-3"), tmp_path / "cache") is None
    (tmp_path / "ckpt-3.index").write_bytes(b"index")
    assert provide_checkpoint(str(tmp_path / "ckpt-3"), tmp_path / "cache") == str(tmp_path / "ckpt-3")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, "sha256:abc", id="equal"),
        pytest.param({"num_steps": 9}, None, id="other-settings"),
        pytest.param({"data": "e" * 64}, None, id="other-data"),
        pytest.param({"job": False}, None, id="job-deleted"),
    ],
)
def test_an_equal_training_is_found_without_ml_metadata(
    changes: dict[str, Any], expected: str | None, tmp_path: Path
) -> None:
    run = ModelRunFolder(tmp_path / "run")
    run.root.mkdir()
    home = push(tmp_path, b"one", f"{run.root}/best/ckpt-10")
    settings = TrainerSettings(model="ssd_mobilenet_v2_tiny", num_steps=5)
    if changes.get("job", True):
        TrainingJob(settings, "sha256:abc", tmp_path).write(run.job)
    found = find_serving_checkpoint(home)
    assert found is not None
    asked = settings.model_copy(update={"num_steps": changes.get("num_steps", 5)})
    data = changes.get("data", make_facts().data_fingerprint)
    assert found.find_start_of_equal_training(asked, data) == expected
