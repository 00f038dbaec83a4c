"""What only object stores do: fail, and keep marks for folders."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from reefline.errors import StorageError
from reefline.storage.interface import Storage
from reefline.storage.opening import open_storage

ACTIONS = [
    pytest.param(lambda storage: storage.read("a"), id="read"),
    pytest.param(lambda storage: storage.list_objects(), id="list"),
    pytest.param(lambda storage: storage.list_children(), id="children"),
    pytest.param(lambda storage: storage.write("a", b""), id="write"),
    pytest.param(lambda storage: storage.create_if_absent("a", b""), id="create"),
]


@pytest.mark.parametrize("action", ACTIONS)
def test_missing_bucket(s3_folder: str, action: Callable[[Storage], object]) -> None:
    with pytest.raises(StorageError, match=r"^s3://no-such-bucket: no such bucket; create it, or fix the name$"):
        action(open_storage("s3://no-such-bucket/x"))


@pytest.mark.parametrize("action", ACTIONS)
def test_wrong_key(s3_folder: str, monkeypatch: pytest.MonkeyPatch, action: Callable[[Storage], object]) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    with pytest.raises(StorageError, match=r"access denied \(InvalidAccessKeyId\); check AWS_ACCESS_KEY_ID"):
        action(open_storage(s3_folder))


@pytest.mark.parametrize("action", ACTIONS)
def test_unreachable_endpoint_fails_within_seconds(
    s3_folder: str, monkeypatch: pytest.MonkeyPatch, action: Callable[[Storage], object]
) -> None:
    # The discard port: nobody listens.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(StorageError, match=r"cannot reach http://127.0.0.1:9; check AWS_ENDPOINT_URL"):
        action(open_storage(s3_folder))
    assert time.monotonic() - start < 20


def test_silent_endpoint_is_given_up(s3_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reefline.storage.connection._READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr("reefline.storage.connection._RETRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(StorageError, match=r"no answer from http://127\.0\.0\.1:\d+; check AWS_ENDPOINT_URL"):
            open_storage(s3_folder).read("a")
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("uri", "environment", "message"),
    [
        pytest.param("s3://b", {"AWS_ENDPOINT_URL": "minio:9000"}, "'minio:9000' is not a URL", id="no-url"),
        pytest.param("minio://b", {}, "minio://b: set AWS_ENDPOINT_URL", id="minio-without-endpoint"),
        pytest.param("s3://b", {"AWS_ENDPOINT_URL": "http://m:9000"}, "no credentials for http://m:9000", id="no-keys"),
        pytest.param("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/file"}, "cannot connect", id="no-key-file"),
    ],
)
def test_incomplete_environment(
    s3_folder: str, monkeypatch: pytest.MonkeyPatch, uri: str, environment: dict[str, str], message: str
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match=message):
        open_storage(uri)


def test_marks_of_folders_are_no_objects(s3_folder: str) -> None:
    storage = open_storage(s3_folder)
    for name, data in (("images", b""), ("images/a.jpg", b"1"), ("empty.xml", b"")):
        storage.write(name, data)
    assert [stored.name for stored in storage.list_objects()] == ["empty.xml", "images/a.jpg"]
