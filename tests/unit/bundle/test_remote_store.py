"""Pushing to, and rolling back in, an object store: real HTTP to moto's S3 server."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from reefline.bundle.checking import verify_bundle
from reefline.bundle.remote_bundle import open_bundle
from reefline.bundle.remote_home import RemoteHome
from reefline.bundle.store import (
    NO_BASELINE,
    Baseline,
    PushRecord,
    fetch_bundle,
    list_models,
    locate_bundle,
    push_bundle,
    read_bundle_manifest,
    read_current,
    resolve_baseline,
    rollback,
)
from reefline.errors import BundleError, StorageError, WorkspaceError
from reefline.evaluation.report import EvaluationReport
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.system.files import cache_directory
from tests.factories_evaluation import make_facts, make_metrics, make_scores, write_candidate
from tests.s3_server import run_s3_server

REPO = Path(__file__).resolve().parents[3]


def facts_against(version: int | None, **overrides):
    """Return facts of a candidate that the gate compared with the given version."""
    scores = make_scores(baseline=make_metrics(), baseline_version=version or 0)
    return make_facts(evaluation=EvaluationReport(scores, ()), **overrides)


def push(tmp_path: Path, serving: str, content: bytes) -> PushRecord:
    facts = facts_against(read_current(serving, "detector"))
    return push_bundle(write_candidate(tmp_path / "candidate", content), facts, serving)


def objects(serving: str) -> list[str]:
    return [stored.name for stored in open_storage(serving).list_objects()]


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_pushes_and_what_they_leave(tmp_path, s3_folder):
    first = push(tmp_path, s3_folder, b"one")
    second = push(tmp_path, s3_folder, b"two")

    assert (first.version, str(first.path)) == (1, f"{s3_folder}/detector/1")
    assert second.sha256 == hashlib.sha256(b"two").hexdigest()
    assert (first.reason, second.reason) == ("nothing served before", "replaces version 1")
    assert objects(f"{s3_folder}/detector") == [
        ".claims/1",
        ".claims/2",
        "1/labels.txt",
        "1/manifest.json",
        "1/model_int8.tflite",
        "2/labels.txt",
        "2/manifest.json",
        "2/model_int8.tflite",
        "CURRENT",
    ]
    assert open_storage(f"{s3_folder}/detector").read("CURRENT").data == b"2\n"
    assert read_bundle_manifest(s3_folder, "detector", 2).replaces == 1
    assert list(list_models(s3_folder)) == ["detector"]


def test_fetched_bundle_is_what_was_pushed(tmp_path, s3_folder):
    push(tmp_path, s3_folder, b"one")

    fetch_bundle(s3_folder, "detector", 1, tmp_path / "copy")

    assert verify_bundle(tmp_path / "copy").version == 1
    assert (tmp_path / "copy" / "model_int8.tflite").read_bytes() == b"one"


def test_the_very_model_that_serves_is_not_pushed_again(tmp_path, s3_folder):
    push(tmp_path, s3_folder, b"one")
    record = push(tmp_path, s3_folder, b"one")

    assert record.version == 1 and "this very model" in record.reason
    assert ".claims/2" not in objects(f"{s3_folder}/detector")


def test_damaged_serving_bundle_is_pushed_anew(tmp_path, s3_folder):
    push(tmp_path, s3_folder, b"one")
    open_storage(f"{s3_folder}/detector/1").write("model_int8.tflite", b"eno")

    assert push(tmp_path, s3_folder, b"one").version == 2


def test_version_that_the_gate_did_not_see_is_not_replaced(tmp_path, s3_folder):
    push(tmp_path, s3_folder, b"one")
    candidate = write_candidate(tmp_path / "candidate", b"two")

    with pytest.raises(BundleError, match="version 1 serves, but the candidate was compared with version 0"):
        push_bundle(candidate, facts_against(None), s3_folder)

    assert ".claims/2" not in objects(f"{s3_folder}/detector")


def test_rollback_and_versions_after_it(tmp_path, s3_folder):
    for content in (b"one", b"two"):
        push(tmp_path, s3_folder, content)

    record = rollback(s3_folder, "detector")

    assert (record.withdrawn_version, record.serving_version) == (2, 1)
    assert read_current(s3_folder, "detector") == 1
    assert push(tmp_path, s3_folder, b"three").version == 3
    assert read_bundle_manifest(s3_folder, "detector", 3).replaces == 1
    rollback(s3_folder, "detector")
    with pytest.raises(BundleError, match="version 1 replaced no other"):
        rollback(s3_folder, "detector")


def test_withdrawn_model_is_not_pushed_again(tmp_path, s3_folder):
    for content in (b"one", b"two"):
        push(tmp_path, s3_folder, content)
    rollback(s3_folder, "detector")

    record = push(tmp_path, s3_folder, b"two")

    assert (record.version, record.path) == (2, locate_bundle(s3_folder, "detector", 2))
    assert record.sha256 == hashlib.sha256(b"two").hexdigest() and not record.serves
    assert record.reason == (
        "version 2 holds this model and was withdrawn by a rollback; nothing pushed. "
        f"To serve it again: reefline rollback --serving {s3_folder} --model detector --to 2"
    )
    assert read_current(s3_folder, "detector") == 1
    assert ".claims/3" not in objects(f"{s3_folder}/detector")
    assert push(tmp_path, s3_folder, b"three").version == 3


def test_version_that_serves_again_is_not_withdrawn(tmp_path, s3_folder):
    for content in (b"one", b"two"):
        push(tmp_path, s3_folder, content)
    rollback(s3_folder, "detector")
    rollback(s3_folder, "detector", to=2)
    push(tmp_path, s3_folder, b"three")

    assert push(tmp_path, s3_folder, b"two").version == 4
    assert "version 1 holds this model" in push(tmp_path, s3_folder, b"one").reason


def test_rollback_that_loses_a_race_withdraws_nothing(tmp_path, s3_folder, monkeypatch):
    for content in (b"one", b"two"):
        push(tmp_path, s3_folder, content)

    def lose(*_):
        raise BundleError("another push was faster")

    with monkeypatch.context() as patch:
        patch.setattr(RemoteHome, "write_current", lose)
        with pytest.raises(BundleError, match="another push was faster"):
            rollback(s3_folder, "detector")
    push(tmp_path, s3_folder, b"three")

    assert push(tmp_path, s3_folder, b"two").version == 4


def test_rollback_where_nothing_serves(s3_folder):
    with pytest.raises(BundleError, match="no version serves; push a bundle first"):
        rollback(s3_folder, "detector")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        pytest.param("labels.txt", None, r"^{}/labels\.txt: missing, but the manifest lists it", id="missing"),
        pytest.param("labels.txt", b"1", r"^{}/labels\.txt: 1 bytes found, 8 expected", id="size"),
        pytest.param("labels.txt", b"dog\ncat\n", r"^{}/labels\.txt: sha256 .* found", id="content"),
        pytest.param("manifest.json", b"{", r"^{}/manifest\.json: ", id="manifest"),
        pytest.param("manifest.json", None, r"^{}/manifest\.json: missing; restore the bundle", id="no-manifest"),
    ],
)
def test_rollback_to_a_damaged_bundle_changes_nothing(tmp_path, s3_folder, name, data, message):
    for content in (b"one", b"two"):
        push(tmp_path, s3_folder, content)
    storage = open_storage(f"{s3_folder}/detector/1")
    storage.write(name, data) if data is not None else storage.delete(name)

    with pytest.raises(BundleError, match=message.format(f"{s3_folder}/detector/1")):
        rollback(s3_folder, "detector")

    assert read_current(s3_folder, "detector") == 2


@pytest.mark.parametrize("data", [b"", b"one", b"0", b"\xff"], ids=["empty", "word", "zero", "binary"])
def test_damaged_current(s3_folder, data):
    open_storage(f"{s3_folder}/detector").write("CURRENT", data)

    with pytest.raises(BundleError, match=r"detector/CURRENT: .* a version expected"):
        read_current(s3_folder, "detector")


def test_baselines(tmp_path, s3_folder):
    candidate = write_candidate(tmp_path / "new", b"three")
    assert resolve_baseline(s3_folder, "detector", candidate) == NO_BASELINE
    push(tmp_path, s3_folder, b"one")
    assert resolve_baseline(s3_folder, "detector", write_candidate(tmp_path / "one", b"one")) == NO_BASELINE
    push(tmp_path, s3_folder, b"two")
    assert resolve_baseline(s3_folder, "detector", candidate).version == 2
    first = Baseline(1, hashlib.sha256(b"one").hexdigest())
    assert resolve_baseline(s3_folder, "detector", write_candidate(tmp_path / "two", b"two")) == first
    open_storage(f"{s3_folder}/detector/1").delete("manifest.json")
    assert resolve_baseline(s3_folder, "detector", write_candidate(tmp_path / "two", b"two")) == NO_BASELINE


def test_a_stale_writer_of_current_loses(tmp_path, s3_folder):
    """Both saw version 1 serve, as between two pushes that began at once."""
    push(tmp_path, s3_folder, b"one")
    stale = RemoteHome(Location.parse(s3_folder) / "detector")
    seen = stale.read_current()
    push(tmp_path, s3_folder, b"two")

    with pytest.raises(BundleError, match=r"version 2 serves now, version 1 did at the start: .* run again"):
        stale.write_current(9, seen)

    assert read_current(s3_folder, "detector") == 2


def test_the_second_of_two_first_pushes_loses(tmp_path, s3_folder):
    stale = RemoteHome(Location.parse(s3_folder) / "detector")
    push(tmp_path, s3_folder, b"one")

    with pytest.raises(BundleError, match="version 1 serves now, none did at the start"):
        stale.write_current(9, None)


def test_a_claimed_version_is_nobody_elses(tmp_path, s3_folder):
    homes = [RemoteHome(Location.parse(s3_folder) / "detector") for _ in range(3)]

    assert [home.claim_version(None) for home in homes] == [1, 2, 3]
    assert push(tmp_path, s3_folder, b"one").version == 4


PUSH_WHEN_TOLD = """
    import os, sys
    from pathlib import Path
    from reefline.bundle.store import push_bundle
    from reefline.errors import BundleError
    from reefline.evaluation.report import EvaluationReport
    from tests.factories_evaluation import make_facts, make_scores, write_candidate

    serving, folder = sys.argv[1:]
    candidate = write_candidate(Path(folder), os.urandom(300_000))
    report = EvaluationReport(make_scores(baseline_version=1), ())
    sys.stdin.readline()
    try:
        print("pushed", push_bundle(candidate, make_facts(evaluation=report), serving).version)
    except BundleError as error:
        print("lost", error)
"""


def test_of_pushes_at_once_one_wins(tmp_path, s3_folder):
    """Real processes; each judged its candidate against version 1."""
    push(tmp_path, s3_folder, b"one")
    children = [run(PUSH_WHEN_TOLD, s3_folder, str(tmp_path / str(number))) for number in range(4)]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [child.communicate(timeout=120)[0].split(maxsplit=1) for child in children]

    assert sorted(answer[0] for answer in answers) == ["lost", "lost", "lost", "pushed"]
    (winner,) = (int(answer[1]) for answer in answers if answer[0] == "pushed")
    assert read_current(s3_folder, "detector") == winner
    assert all("run again" in answer[1] for answer in answers if answer[0] == "lost")
    fetch_bundle(s3_folder, "detector", winner, tmp_path / "copy")


PUSH_UNTIL_KILLED = """
    import os, signal, sys
    from pathlib import Path
    from reefline.bundle.remote_home import RemoteHome
    from reefline.bundle.store import push_bundle
    from reefline.evaluation.report import EvaluationReport
    from tests.factories_evaluation import make_facts, make_scores, write_candidate

    serving, folder, step = sys.argv[1:]
    setattr(RemoteHome, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    report = EvaluationReport(make_scores(baseline_version=1), ())
    push_bundle(write_candidate(Path(folder), b"two"), make_facts(evaluation=report), serving)
"""


@pytest.mark.parametrize(
    ("step", "complete"),
    [
        pytest.param("_check_sizes", False, id="before-the-manifest"),
        pytest.param("write_current", True, id="before-CURRENT"),
    ],
)
def test_killed_push_leaves_the_old_version_serving(tmp_path, s3_folder, step, complete):
    push(tmp_path, s3_folder, b"one")
    child = run(PUSH_UNTIL_KILLED, s3_folder, str(tmp_path / "killed"), step)
    child.communicate(timeout=120)

    assert child.returncode == -signal.SIGKILL
    assert "2/model_int8.tflite" in objects(f"{s3_folder}/detector")
    assert RemoteHome(Location.parse(s3_folder) / "detector").has_bundle(2) is complete
    assert read_current(s3_folder, "detector") == 1
    assert push(tmp_path, s3_folder, b"two").version == 3
    assert rollback(s3_folder, "detector").serving_version == 1


@pytest.mark.parametrize(
    ("destination", "environment", "message"),
    [
        pytest.param(
            "s3://no-such-bucket/x", {}, r"no such bucket; .*\. The current version keeps serving\.", id="bucket"
        ),
        pytest.param(None, {"AWS_ACCESS_KEY_ID": "wrong"}, r"access denied .* The current version", id="key"),
        pytest.param(None, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, r"cannot reach .* The current", id="endpoint"),
    ],
)
def test_push_to_a_store_that_refuses(tmp_path, s3_folder, monkeypatch, destination, environment, message):
    candidate = write_candidate(tmp_path / "candidate")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(WorkspaceError, match=message):
        push_bundle(candidate, make_facts(), destination or s3_folder)


@pytest.mark.parametrize("ignored", [("absent", "match"), ("absent",), ("match",)], ids=["both", "absent", "match"])
def test_store_that_ignores_conditions_is_refused(tmp_path, s3_folder, monkeypatch, ignored):
    candidate = write_candidate(tmp_path / "candidate")
    with run_s3_server(*ignored) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)

        with pytest.raises(
            StorageError, match=r"/detector: the store ignores conditional writes, .* SeaweedFS >= 3\.97"
        ):
            push_bundle(candidate, make_facts(), s3_folder)

        assert objects(s3_folder) == []


@pytest.mark.parametrize("destination", ["hdfs://host/serving", "s3:/bucket/serving"], ids=["scheme", "collapsed"])
def test_unknown_destination_is_no_folder_of_this_machine(tmp_path, monkeypatch, destination):
    monkeypatch.chdir(tmp_path)
    candidate = write_candidate(tmp_path / "candidate")

    with pytest.raises(StorageError, match=r"not supported|one slash"):
        push_bundle(candidate, make_facts(), destination)

    assert [path.name for path in tmp_path.iterdir()] == ["candidate"]


def test_opened_bundle_is_cached_by_its_manifest(tmp_path, s3_folder):
    push(tmp_path, s3_folder, b"one")
    uri = str(locate_bundle(s3_folder, "detector", 1))

    cached = open_bundle(uri)

    manifest = open_storage(uri).read("manifest.json").data
    assert cached == cache_directory() / "bundles" / hashlib.sha256(manifest).hexdigest()
    open_storage(uri).delete("model_int8.tflite")
    assert open_bundle(uri) == cached, "it is not downloaded again"
    (cached / "model_int8.tflite").write_bytes(b"bad")
    with pytest.raises(BundleError, match=r"^s3://.*/1/model_int8\.tflite: missing"):
        open_bundle(uri)
    open_storage(uri).write("model_int8.tflite", b"one")
    assert verify_bundle(open_bundle(uri)).version == 1
    assert [path.name for path in cached.parent.iterdir() if path.name.startswith(".")] == []


def test_local_bundle_is_opened_where_it_is(tmp_path):
    assert open_bundle(str(tmp_path)) == tmp_path
    assert open_bundle(f"file://{tmp_path}") == tmp_path


def test_file_name_that_leaves_the_bundle_is_refused(tmp_path, s3_folder):
    push(tmp_path, s3_folder, b"one")
    storage = open_storage(f"{s3_folder}/detector/1")
    manifest = storage.read("manifest.json").data.replace(b'"labels.txt"', b'"../labels.txt"')
    storage.write("manifest.json", manifest)

    with pytest.raises(BundleError, match=r"files: '\.\./labels\.txt' is no file of a bundle"):
        fetch_bundle(s3_folder, "detector", 1, tmp_path / "copy" / "deep")

    assert not (tmp_path / "copy" / "labels.txt").exists()
