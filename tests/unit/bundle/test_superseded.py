"""reefline/bundle/superseded.py, in a local folder and in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.bundle.store import open_home, push_bundle, read_current, rollback
from reefline.bundle.superseded import find_superseded, remove_superseded
from reefline.evaluation.report import EvaluationReport
from reefline.storage.opening import open_storage
from tests.factories_evaluation import make_facts, make_metrics, make_scores, write_candidate


@pytest.fixture(params=["folder", "store"])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "serving") if request.param == "folder" else request.getfixturevalue("s3_folder")


def _push(tmp_path: Path, serving: str, *contents: bytes) -> None:
    for content in contents:
        scores = make_scores(baseline=make_metrics(), baseline_version=read_current(serving, "detector") or 0)
        facts = make_facts(evaluation=EvaluationReport(scores, ()))
        push_bundle(write_candidate(tmp_path / "candidate", content), facts, serving)


def _versions(serving: str, **options: int) -> list[int]:
    return [bundle.version for bundle in find_superseded(serving, "detector", **options)]


def test_what_serves_and_its_predecessor_are_needed(tmp_path: Path, serving: str) -> None:
    _push(tmp_path, serving, b"one", b"two", b"three", b"four")
    assert _versions(serving) == [1, 2]
    assert _versions(serving, newest=3) == [1]
    assert [b.version for b in find_superseded(serving, "detector", also_needed=(1,))] == [2]
    assert all(bundle.bytes > 100 for bundle in find_superseded(serving, "detector"))


def test_withdrawn_bundles_are_needed(tmp_path: Path, serving: str) -> None:
    """Without its manifest, a withdrawn model would be pushed again."""
    _push(tmp_path, serving, b"one", b"two", b"three")
    rollback(serving, "detector", to=1)
    assert _versions(serving) == [2]


def test_bundles_are_removed_completely(tmp_path: Path, serving: str) -> None:
    _push(tmp_path, serving, b"one", b"two", b"three")
    remove_superseded(serving, find_superseded(serving, "detector"))
    names = [stored.name for stored in open_storage(serving).list_objects()]
    assert not [name for name in names if name.startswith("detector/1/")]
    assert open_home(serving, "detector").verify(2).version == 2
    _push(tmp_path, serving, b"four")
    assert read_current(serving, "detector") == 4


def test_a_bundle_that_began_to_serve_meanwhile_stays(tmp_path: Path, serving: str) -> None:
    _push(tmp_path, serving, b"one", b"two", b"three")
    found = find_superseded(serving, "detector")
    rollback(serving, "detector", to=1)
    remove_superseded(serving, found)
    assert open_home(serving, "detector").verify(1).version == 1


def test_without_current_all_bundles_stay(tmp_path: Path, serving: str) -> None:
    _push(tmp_path, serving, b"one", b"two", b"three")
    open_storage(serving).delete("detector/CURRENT")
    assert _versions(serving) == []


def test_an_unfinished_push_stays(tmp_path: Path, s3_folder: str) -> None:
    _push(tmp_path, s3_folder, b"one", b"two", b"three", b"four")
    open_storage(s3_folder).delete("detector/1/manifest.json")
    assert _versions(s3_folder) == [2]
