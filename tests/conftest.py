"""What holds for every test: legacy Keras, chosen before TensorFlow is imported, a cache of its own, Ctrl-C."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator

import hypothesis
import pytest

from tests import quick
from tests.process_state import ProcessState
from tests.s3_server import BUCKET, S3Server, run_s3_server

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell lets what it runs in the background ignore Ctrl-C, and children inherit that: tests send it to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes is a matter of the machine.
hypothesis.settings.register_profile("reefline", deadline=None)
hypothesis.settings.load_profile("reefline")
# What runs longest comes first after the unit tests, so that no process is alone with it at the end.
FOLDERS = ("unit", "e2e", "faults", "integration", "kubeflow", "bad_input", "fuzz", "browser")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put quick tests first: a fault shows in seconds."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[bool, int]:
    """Return a key that keeps the tests of a file together."""
    file = item.nodeid.partition("::")[0]
    folder = file.removeprefix("tests/").partition("/")[0]
    return not quick.is_quick(file), FOLDERS.index(folder) if folder in FOLDERS else -1


@pytest.fixture(autouse=True)
def unchanged_process(own_cache: None) -> Iterator[None]:
    """Fail a test that leaves the process changed for the tests after it, and change it back."""
    before = ProcessState.read()
    yield
    changes = before.find_changes()
    before.restore()
    assert not changes, "undo this with monkeypatch or a finally block"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what Reefline remembers between runs out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Run one S3 server for all tests that ask for it."""
    with run_s3_server() as server:
        yield server


@pytest.fixture
def s3_folder(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URI of a folder that only this test uses, in an environment that reaches it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
