from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from reefline.bundle.checking import verify_bundle
from reefline.bundle.local_home import LocalHome
from reefline.bundle.manifest import read_manifest
from reefline.bundle.store import (
    NO_BASELINE,
    Baseline,
    fetch_bundle,
    locate_bundle,
    push_bundle,
    read_current,
    resolve_baseline,
    rollback,
)
from reefline.errors import BundleError, ConfigError, WorkspaceError
from reefline.evaluation.report import EvaluationReport
from reefline.system.files import hash_file
from tests.factories_evaluation import make_facts, make_metrics, make_scores, write_candidate

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def serving(tmp_path) -> Path:
    return tmp_path / "serving"


def facts_against(version: int | None, **overrides):
    """Return facts of a candidate that the gate compared with the given version."""
    scores = make_scores(baseline=make_metrics(), baseline_version=version or 0)
    return make_facts(evaluation=EvaluationReport(scores, ()), **overrides)


def push(tmp_path, content: bytes):
    serving = tmp_path / "serving"
    facts = facts_against(read_current(serving, "detector"))
    return push_bundle(write_candidate(tmp_path / "candidate", content), facts, serving)


def names(serving):
    return sorted(path.name for path in (serving / "detector").iterdir() if path.name != ".lock")


def test_first_push(tmp_path, serving):
    record = push(tmp_path, b"one")

    assert (record.version, record.path) == (1, serving / "detector" / "1")
    assert record.sha256 == hashlib.sha256(b"one").hexdigest()
    assert (serving / "detector" / "CURRENT").read_text() == "1\n"
    assert names(serving) == ["1", "CURRENT"]
    assert sorted(p.name for p in record.path.iterdir()) == ["labels.txt", "manifest.json", "model_int8.tflite"]
    assert record.path.stat().st_mode & 0o777 == 0o755


def test_second_push_replaces_the_first_which_stays(tmp_path, serving):
    push(tmp_path, b"one")
    record = push(tmp_path, b"two")

    assert record.version == 2
    assert read_current(serving, "detector") == 2
    assert read_manifest(record.path).replaces == 1
    assert verify_bundle(locate_bundle(serving, "detector", 1)).version == 1


def test_the_very_model_that_serves_is_not_pushed_again(tmp_path, serving):
    push(tmp_path, b"one")
    record = push(tmp_path, b"one")

    assert (record.version, record.sha256) == (1, hashlib.sha256(b"one").hexdigest())
    assert "this very model" in record.reason
    assert names(serving) == ["1", "CURRENT"]


@pytest.mark.parametrize(
    ("served", "hashed"),
    [
        pytest.param(None, ["candidate/labels.txt", "candidate/model", "push/labels.txt", "push/model"], id="first"),
        pytest.param(
            b"one", ["candidate/labels.txt", "candidate/model", "push/labels.txt", "push/model"], id="replacement"
        ),
        pytest.param(
            b"two",
            ["candidate/labels.txt", "candidate/model", "serving/labels.txt", "serving/model"],
            id="nothing-to-push",
        ),
    ],
)
def test_a_push_hashes_each_file_as_often_as_safety_needs(tmp_path, monkeypatch, served, hashed):
    if served is not None:
        push(tmp_path, served)
    paths = []
    for module in ("manifest", "checking"):
        monkeypatch.setattr(f"reefline.bundle.{module}.hash_file", lambda path: paths.append(path) or hash_file(path))
    push(tmp_path, b"two")

    places = {"candidate": "candidate", "1": "serving"}
    names = [f"{places.get(path.parent.name, 'push')}/{path.name.replace('_int8.tflite', '')}" for path in paths]
    assert sorted(names) == hashed


def test_damaged_serving_bundle_is_pushed_anew(tmp_path, serving):
    first = push(tmp_path, b"one")
    (first.path / "model_int8.tflite").write_bytes(b"broken")

    assert push(tmp_path, b"one").version == 2


def test_versions_grow_after_a_rollback(tmp_path, serving):
    push(tmp_path, b"one")
    push(tmp_path, b"two")
    rollback(serving, "detector")
    record = push(tmp_path, b"three")

    assert record.version == 3
    assert read_manifest(record.path).replaces == 1


def test_versions_grow_numerically(tmp_path, serving):
    for number in range(11):
        push(tmp_path, bytes([number]))

    assert read_current(serving, "detector") == 11


def test_rollback_moves_current_and_keeps_the_withdrawn_bundle(tmp_path, serving):
    push(tmp_path, b"one")
    push(tmp_path, b"two")

    record = rollback(serving, "detector")

    assert (record.withdrawn_version, record.serving_version) == (2, 1)
    assert read_current(serving, "detector") == 1
    assert verify_bundle(locate_bundle(serving, "detector", 2)).version == 2


def test_withdrawn_model_is_not_pushed_again(tmp_path, serving):
    for content in (b"one", b"two"):
        push(tmp_path, content)
    rollback(serving, "detector")

    record = push(tmp_path, b"two")

    assert (record.version, record.path) == (2, locate_bundle(serving, "detector", 2))
    assert record.sha256 == hashlib.sha256(b"two").hexdigest() and not record.serves
    assert record.reason == (
        "version 2 holds this model and was withdrawn by a rollback; nothing pushed. "
        f"To serve it again: reefline rollback --serving {serving} --model detector --to 2"
    )
    assert read_current(serving, "detector") == 1
    assert names(serving) == [".withdrawn", "1", "2", "CURRENT"]
    assert push(tmp_path, b"three").version == 3


def test_version_that_serves_again_is_not_withdrawn(tmp_path, serving):
    for content in (b"one", b"two"):
        push(tmp_path, content)
    rollback(serving, "detector")
    rollback(serving, "detector", to=2)
    push(tmp_path, b"three")

    assert push(tmp_path, b"two").version == 4
    assert "version 1 holds this model" in push(tmp_path, b"one").reason


def test_bundle_of_a_killed_push_is_not_withdrawn(tmp_path, serving):
    """A crash between the bundle and CURRENT leaves a complete bundle that never served."""
    push(tmp_path, b"one")
    push(tmp_path, b"two")
    (serving / "detector" / "CURRENT").write_text("1\n")

    assert push(tmp_path, b"two").version == 3


def test_rollback_that_loses_a_race_withdraws_nothing(tmp_path, serving, monkeypatch):
    for content in (b"one", b"two"):
        push(tmp_path, content)

    def lose(*_):
        raise BundleError("another push was faster")

    with monkeypatch.context() as patch:
        patch.setattr(LocalHome, "write_current", lose)
        with pytest.raises(BundleError, match="another push was faster"):
            rollback(serving, "detector")
    push(tmp_path, b"three")

    assert push(tmp_path, b"two").version == 4


def test_rollback_twice_goes_two_back(tmp_path, serving):
    for content in (b"one", b"two", b"three"):
        push(tmp_path, content)

    rollback(serving, "detector")
    rollback(serving, "detector")

    assert read_current(serving, "detector") == 1
    with pytest.raises(BundleError, match="version 1 replaced no other"):
        rollback(serving, "detector")


@pytest.mark.parametrize("made", [True, False], ids=["folder-there", "no-folder"])
def test_rollback_where_nothing_serves(serving, made):
    if made:
        (serving / "detector").mkdir(parents=True)

    with pytest.raises(BundleError, match="no version serves"):
        rollback(serving, "detector")

    assert (serving / "detector").exists() is made


def test_rollback_to_a_damaged_bundle_changes_nothing(tmp_path, serving):
    push(tmp_path, b"one")
    push(tmp_path, b"two")
    (serving / "detector" / "1" / "labels.txt").unlink()

    with pytest.raises(BundleError, match=r"labels\.txt: missing"):
        rollback(serving, "detector")

    assert read_current(serving, "detector") == 2


@pytest.mark.parametrize("text", [b"", b"one", b"-1", b"0", b"1.5", "²".encode(), b"\xff"])
def test_damaged_current(serving, text):
    (serving / "detector").mkdir(parents=True)
    (serving / "detector" / "CURRENT").write_bytes(text)

    with pytest.raises(BundleError, match="a version expected"):
        read_current(serving, "detector")


def test_nothing_serves(serving):
    assert read_current(serving, "detector") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "-x", "a b"])
def test_model_name_that_is_no_folder_name(serving, name):
    with pytest.raises(ConfigError, match="rename it"):
        read_current(serving, name)


def test_incomplete_candidate_leaves_nothing(tmp_path, serving):
    candidate = write_candidate(tmp_path / "candidate")
    (candidate / "labels.txt").unlink()

    with pytest.raises(BundleError, match=r"labels\.txt"):
        push_bundle(candidate, make_facts(), serving)

    assert not serving.exists()


def test_leftovers_of_a_killed_push_are_removed(tmp_path, serving):
    push(tmp_path, b"one")
    (serving / "detector" / ".push-abc").mkdir()
    (serving / "detector" / ".push-abc" / "model_int8.tflite").write_bytes(b"half")
    (serving / "detector" / ".CURRENT.77.part").write_text("7")

    push(tmp_path, b"two")

    assert names(serving) == ["1", "2", "CURRENT"]


def test_destination_that_is_a_file(tmp_path):
    (tmp_path / "serving").write_text("in the way")

    with pytest.raises(WorkspaceError, match="cannot be used"):
        push(tmp_path, b"one")


def test_disk_full_leaves_the_old_version_and_nothing_half_written(tmp_path):
    """A child may write files of at most 64 kB: the kernel itself refuses the larger copy."""
    push(tmp_path, b"one")
    write_candidate(tmp_path / "candidate", os.urandom(200_000))
    code = """
        from pathlib import Path
        from reefline.errors import WorkspaceError
        from reefline.bundle.store import push_bundle
        from reefline.evaluation.report import EvaluationReport
        from tests.factories_evaluation import make_facts, make_scores
        report = EvaluationReport(make_scores(baseline_version=1), ())
        try:
            push_bundle(Path("candidate"), make_facts(evaluation=report), Path("serving"))
        except WorkspaceError as error:
            print(error)
    """

    def limit_file_size():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "cannot be used (File too large). The current version keeps serving. Free space" in done.stdout
    assert names(tmp_path / "serving") == ["1", "CURRENT"]
    assert read_current(tmp_path / "serving", "detector") == 1


PUSH_FOREVER = """
    import itertools, os
    from pathlib import Path
    from reefline.evaluation.report import EvaluationReport
    from reefline.bundle.store import push_bundle, read_current
    from tests.factories_evaluation import make_facts, make_scores, write_candidate

    for number in itertools.count():
        candidate = write_candidate(Path("candidate"), os.urandom(300_000))
        serving = read_current(Path("serving"), "detector") or 0
        report = EvaluationReport(make_scores(baseline_version=serving), ())
        push_bundle(candidate, make_facts(evaluation=report), Path("serving"))
        print(number, flush=True)
"""


def test_killed_at_any_time_current_names_a_whole_bundle(tmp_path):
    """A real process pushes without end and is killed 25 times at random moments."""
    generator = random.Random(7)
    serving = tmp_path / "serving"
    versions, leftovers = [], 0
    for _ in range(25):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PUSH_FOREVER)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdout=subprocess.PIPE,
        )
        try:
            child.stdout.readline()  # one push is through: from now on it is in the middle of one
            time.sleep(generator.uniform(0.0, 0.03))
        finally:
            child.send_signal(signal.SIGKILL)
            child.communicate()
        current = read_current(serving, "detector")
        assert verify_bundle(locate_bundle(serving, "detector", current)).version == current
        for path in (serving / "detector").iterdir():
            if path.name.isdigit():
                verify_bundle(path)
            leftovers += path.name.startswith(".push-")
        versions.append(current)

    assert versions == sorted(versions)
    assert len(set(versions)) == 25
    assert leftovers > 0, "no kill hit a push in the middle: the test shows nothing"


def test_pusher_waits_for_another_and_then_sees_what_it_pushed(tmp_path):
    """A candidate that was judged before another was pushed is not pushed over it, however close the two come."""
    code = """
        import os, sys
        from pathlib import Path
        from reefline.errors import BundleError
        from reefline.bundle.store import push_bundle
        from tests.factories_evaluation import make_facts, write_candidate
        candidate = write_candidate(Path("candidate-" + sys.argv[1]), os.urandom(1000))
        sys.stdin.readline()
        try:
            push_bundle(candidate, make_facts(), Path("serving"))
        except BundleError as error:
            print(error)
    """
    children = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(number)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [child.communicate(timeout=60)[0] for child in children]

    assert sorted(bool(answer) for answer in answers) == [False, True, True, True]
    assert names(tmp_path / "serving") == ["1", "CURRENT"]


def test_version_that_the_gate_did_not_see_is_not_replaced(tmp_path, serving):
    push(tmp_path, b"one")
    candidate = write_candidate(tmp_path / "candidate", b"two")

    with pytest.raises(BundleError, match="version 1 serves, but the candidate was compared with version 0"):
        push_bundle(candidate, facts_against(None), serving)

    assert names(serving) == ["1", "CURRENT"]


def test_same_model_with_more_files_is_pushed_though_the_gate_saw_what_it_replaced(tmp_path, serving):
    push(tmp_path, b"one")
    candidate = write_candidate(tmp_path / "candidate", b"one")
    (candidate / "model_int8_edgetpu.tflite").write_bytes(b"compiled since")

    record = push_bundle(candidate, facts_against(None), serving)

    assert record.version == 2
    assert (record.path / "model_int8_edgetpu.tflite").read_bytes() == b"compiled since"


def test_baseline_is_what_serves(tmp_path, serving):
    push(tmp_path, b"one")
    candidate = write_candidate(tmp_path / "candidate", b"two")

    baseline = resolve_baseline(serving, "detector", candidate)

    assert baseline == Baseline(1, hashlib.sha256(b"one").hexdigest())


def test_baseline_of_a_first_run_is_none(tmp_path, serving):
    assert resolve_baseline(serving, "detector", write_candidate(tmp_path / "candidate")) == NO_BASELINE


def test_baseline_of_the_serving_model_is_what_it_replaced(tmp_path, serving):
    push(tmp_path, b"one")
    assert resolve_baseline(serving, "detector", write_candidate(tmp_path / "candidate", b"one")) == NO_BASELINE

    push(tmp_path, b"two")
    baseline = resolve_baseline(serving, "detector", write_candidate(tmp_path / "candidate", b"two"))
    assert baseline == Baseline(1, hashlib.sha256(b"one").hexdigest())


def test_baseline_of_the_serving_model_is_none_where_the_replaced_bundle_was_tidied_away(tmp_path, serving):
    push(tmp_path, b"one")
    push(tmp_path, b"two")
    shutil.rmtree(serving / "detector" / "1")

    assert resolve_baseline(serving, "detector", write_candidate(tmp_path / "candidate", b"two")) == NO_BASELINE


def test_baseline_after_a_rollback_is_what_users_have(tmp_path, serving):
    push(tmp_path, b"one")
    push(tmp_path, b"two")
    rollback(serving, "detector")

    assert resolve_baseline(serving, "detector", write_candidate(tmp_path / "candidate", b"three")).version == 1


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda current: current.mkdir(), id="folder"),
        pytest.param(lambda current: current.symlink_to(current), id="link-loop"),
        pytest.param(os.mkfifo, id="fifo"),
    ],
)
def test_current_that_is_no_file_is_named(tmp_path, serving, make):
    push(tmp_path, b"one")
    current = serving / "detector" / "CURRENT"
    current.unlink()
    make(current)

    with pytest.raises(BundleError, match="CURRENT: not a file; delete it, then choose a version with `reefline rollb"):
        read_current(serving, "detector")


def test_a_version_can_be_chosen_where_current_is_missing(tmp_path, serving):
    push(tmp_path, b"one")
    (serving / "detector" / "CURRENT").unlink()

    assert rollback(serving, "detector", to=1).withdrawn_version is None
    assert read_current(serving, "detector") == 1


def test_missing_serving_bundle_is_answered_with_the_command_that_helps(tmp_path, serving):
    push(tmp_path, b"one")
    gone = push(tmp_path, b"two").path
    shutil.rmtree(gone)
    candidate = write_candidate(tmp_path / "next", b"three")

    with pytest.raises(
        BundleError,
        match=r"names version 2, so nothing can be compared .*rollback --serving \S+ --model detector --to 1`",
    ):
        resolve_baseline(serving, "detector", candidate)
    rollback(serving, "detector", to=1)
    assert resolve_baseline(serving, "detector", candidate).version == 1


def test_no_other_bundle_to_serve(tmp_path, serving):
    shutil.rmtree(push(tmp_path, b"one").path)

    with pytest.raises(BundleError, match="delete CURRENT to begin without a serving version"):
        resolve_baseline(serving, "detector", write_candidate(tmp_path / "next", b"two"))


def test_version_to_serve_must_be_intact(tmp_path, serving):
    (push(tmp_path, b"one").path / "labels.txt").write_text("other")
    push(tmp_path, b"two")

    with pytest.raises(BundleError, match=r"labels\.txt: .* expected"):
        rollback(serving, "detector", to=1)
    assert read_current(serving, "detector") == 2


def test_lock_of_serving_that_is_a_symlink_is_refused(tmp_path, serving):
    (tmp_path / "precious").write_text("kept")
    (serving / "detector").mkdir(parents=True)
    (serving / "detector" / ".lock").symlink_to(tmp_path / "precious")

    with pytest.raises(WorkspaceError, match=r"\.lock: a symlink, where a lock's file is expected; delete it"):
        push(tmp_path, b"one")
    assert (tmp_path / "precious").read_text() == "kept"


def test_damaged_serving_bundle_is_answered_with_the_command_that_helps(tmp_path, serving):
    push(tmp_path, b"one")
    (push(tmp_path, b"two").path / "model_int8.tflite").write_bytes(b"tw0")

    with pytest.raises(BundleError, match=r"sha256 .*\n.*names version 2, .*rollback .* --to 1`"):
        fetch_bundle(serving, "detector", 2, tmp_path / "copy")
    with pytest.raises(BundleError, match=r"^[^\n]*manifest\.json: missing or unreadable[^\n]*$"):
        fetch_bundle(serving, "detector", 7, tmp_path / "other copy")
