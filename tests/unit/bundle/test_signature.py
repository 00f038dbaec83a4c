"""Signed bundles: made by a push, checked by verify-bundle, rollback and detect, in folders and in object stores."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reefline.bundle import checking
from reefline.bundle.checking import verify_for_use
from reefline.bundle.manifest import MANIFEST_FILE
from reefline.bundle.remote_bundle import open_bundle
from reefline.bundle.signature import SIGNATURE_FILE, check_signature, load_signer
from reefline.bundle.store import PushRecord, push_bundle, read_current, rollback
from reefline.errors import BundleError, ConfigError, UsageError
from reefline.evaluation.report import EvaluationReport
from reefline.storage.opening import open_storage
from tests.factories_evaluation import make_facts, make_metrics, make_scores, write_candidate
from tests.factories_keys import KeyPair, write_key_pair


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    return write_key_pair(tmp_path / "keys")


@pytest.fixture(params=["folder", "store"])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "serving") if request.param == "folder" else request.getfixturevalue("s3_folder")


def _push(tmp_path: Path, serving: str, content: bytes, keys: KeyPair | None) -> PushRecord:
    scores = make_scores(baseline=make_metrics(), baseline_version=read_current(serving, "detector") or 0)
    candidate = write_candidate(tmp_path / "candidate", content)
    sign = load_signer(str(keys.private)) if keys else None
    return push_bundle(candidate, make_facts(evaluation=EvaluationReport(scores, ())), serving, sign)


def test_a_signed_bundle_can_be_checked_where_it_serves_and_in_a_copy(
    tmp_path: Path, serving: str, keys: KeyPair
) -> None:
    _push(tmp_path, serving, b"one", keys)
    bundle = open_bundle(f"{serving}/detector/1")
    assert verify_for_use(bundle, keys.public).version == 1
    assert (bundle / SIGNATURE_FILE).stat().st_size == 64
    with pytest.raises(BundleError, match=r"its signature is not from .*, or the manifest was changed"):
        verify_for_use(bundle, write_key_pair(tmp_path / "others").public)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            MANIFEST_FILE, "its signature is not from .*public.pem, or the manifest was changed", id="manifest"
        ),
        pytest.param("model_int8.tflite", "model_int8.tflite: .* found, .* expected", id="model"),
        pytest.param(SIGNATURE_FILE, "its signature is not from .*public.pem", id="signature"),
    ],
)
def test_whatever_is_changed_is_noticed(tmp_path: Path, serving: str, keys: KeyPair, name: str, message: str) -> None:
    for content in (b"one", b"two"):
        _push(tmp_path, serving, content, keys)
    storage = open_storage(f"{serving}/detector/1")
    found = storage.read(name)
    assert found is not None
    # A manifest with another space is the same record, but not what was signed.
    storage.write(name, found.data + b" ")
    with pytest.raises(BundleError, match=message):
        rollback(serving, "detector", public_key=keys.public)
    assert read_current(serving, "detector") == 2


def test_a_manifest_that_nobody_signed_is_not_parsed(tmp_path: Path, serving: str, keys: KeyPair) -> None:
    for content in (b"one", b"two"):
        _push(tmp_path, serving, content, keys)
    open_storage(f"{serving}/detector/1").write(MANIFEST_FILE, b"{")
    with pytest.raises(BundleError, match=r"its signature is not from .*, or the manifest was changed"):
        rollback(serving, "detector", public_key=keys.public)


def test_what_is_used_is_what_was_signed(tmp_path: Path, keys: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody exchanges the manifest between the two checks."""
    _push(tmp_path, str(tmp_path / "serving"), b"one", keys)
    bundle = tmp_path / "serving" / "detector" / "1"

    def check_and_exchange(*arguments: Any) -> None:
        check_signature(*arguments)
        (bundle / MANIFEST_FILE).write_text("{")

    monkeypatch.setattr(checking, "check_signature", check_and_exchange)
    assert checking.verify_for_use(bundle, keys.public).version == 1


def test_only_a_rollback_to_a_signed_bundle_succeeds(tmp_path: Path, serving: str, keys: KeyPair) -> None:
    for content, signed in ((b"one", keys), (b"two", None), (b"three", keys)):
        _push(tmp_path, serving, content, signed)
    with pytest.raises(BundleError, match=r"2/manifest.json: not signed \(manifest.json.sig is missing\)"):
        rollback(serving, "detector", public_key=keys.public)
    assert rollback(serving, "detector", to=1, public_key=keys.public).serving_version == 1
    # Without a key, signatures are not asked for.
    assert rollback(serving, "detector", to=2).serving_version == 2


def test_a_rollback_refuses_files_that_the_manifest_does_not_list(tmp_path: Path, serving: str) -> None:
    for content in (b"one", b"two"):
        _push(tmp_path, serving, content, None)
    open_storage(f"{serving}/detector/1").write("model_int8_edgetpu.tflite", b"planted")
    with pytest.raises(BundleError, match=r"1/model_int8_edgetpu.tflite: not in the manifest; delete it or push again"):
        rollback(serving, "detector")
    assert read_current(serving, "detector") == 2


@pytest.mark.parametrize("before", ["unsigned", "other-key"])
def test_a_push_of_what_serves_unsigned_reports_it(tmp_path: Path, serving: str, keys: KeyPair, before: str) -> None:
    _push(tmp_path, serving, b"one", write_key_pair(tmp_path / "others") if before == "other-key" else None)
    record = _push(tmp_path, serving, b"one", keys)
    assert record.version == 1
    assert record.reason == (
        "version 1 already serves, not signed with this key; nothing pushed. To sign it, check "
        f"{serving}/detector/1/manifest.json, then sign it by hand: see Signed bundles in docs/security.md"
    )
    # By hand, as docs/security.md shows.
    storage = open_storage(f"{serving}/detector/1")
    manifest = storage.read(MANIFEST_FILE)
    assert manifest is not None
    storage.write(SIGNATURE_FILE, load_signer(str(keys.private))(manifest.data))
    assert _push(tmp_path, serving, b"one", keys).reason == "version 1 serves and holds this very model"
    assert _push(tmp_path, serving, b"one", None).reason == "version 1 serves and holds this very model"


def test_a_signature_that_is_added_later_is_seen_in_the_cached_copy(
    tmp_path: Path, s3_folder: str, keys: KeyPair
) -> None:
    _push(tmp_path, s3_folder, b"one", None)
    place = f"{s3_folder}/detector/1"
    content = (open_bundle(place) / MANIFEST_FILE).read_bytes()
    open_storage(place).write(SIGNATURE_FILE, load_signer(str(keys.private))(content))
    assert verify_for_use(open_bundle(place), keys.public).version == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_makes_keys_and_checks_and_signs_bundles(tmp_path: Path) -> None:
    """docs/security.md shows these commands."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    openssl("genpkey", "-algorithm", "ed25519", "-out", "key.pem")
    openssl("pkey", "-in", "key.pem", "-pubout", "-out", "public.pem")
    (tmp_path / "key.pem").chmod(0o600)
    keys = KeyPair(tmp_path / "key.pem", tmp_path / "public.pem")
    _push(tmp_path, str(tmp_path / "serving"), b"one", keys)
    manifest, signature = (str(tmp_path / "serving/detector/1" / name) for name in (MANIFEST_FILE, SIGNATURE_FILE))
    check = ("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", manifest, "-sigfile", signature)
    openssl(*check)
    Path(signature).unlink()
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", manifest, "-out", signature)
    assert verify_for_use(tmp_path / "serving/detector/1", keys.public).version == 1


def test_a_key_in_an_environment_variable(tmp_path: Path, keys: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"push.signing_key: env:SIGNING: .* is not set.* kubeflow\.tasks\.Pusher\.secrets"
    ):
        load_signer("env:SIGNING")
    monkeypatch.setenv("SIGNING", keys.private.read_text())
    check_signature(b"manifest", load_signer("env:SIGNING")(b"manifest"), keys.public, "m")


def test_no_message_repeats_a_key(keys: KeyPair) -> None:
    pem = keys.private.read_text()
    for value in (pem, pem.replace("\n", ""), f"env:{pem}", "/etc/a\nb", "a\rb"):
        with pytest.raises(ConfigError, match=r"^push\.signing_key: expected a file's path or env:NAME, ") as caught:
            load_signer(value)
        assert value not in str(caught.value) and "BEGIN" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601], ids=oct)
def test_a_key_that_others_can_access_is_refused(keys: KeyPair, mode: int) -> None:
    keys.private.chmod(mode)
    with pytest.raises(
        ConfigError, match=rf"key.pem: others can access it \(mode {mode:o}\); run `chmod 600 .*key.pem`"
    ):
        load_signer(str(keys.private))


def test_a_key_in_the_workspace_is_refused(tmp_path: Path, keys: KeyPair) -> None:
    load_signer(str(keys.private), outside_of=tmp_path / "ws")
    link = tmp_path / "link.pem"
    link.symlink_to(keys.private)
    with pytest.raises(ConfigError, match=r"link.pem: inside the workspace, which others may read; move it out of "):
        load_signer(str(link), outside_of=keys.private.parent)


@pytest.mark.parametrize("kind", ["encrypted", "other-curve", "public", "text", "empty"])
def test_only_an_unencrypted_ed25519_key_signs(tmp_path: Path, keys: KeyPair, kind: str) -> None:
    if kind in ("encrypted", "other-curve"):
        keys = write_key_pair(
            tmp_path / "other", password=b"secret" if kind == "encrypted" else None, other_curve=kind == "other-curve"
        )
    content = {"public": keys.public.read_bytes(), "text": b"secret words", "empty": b""}.get(kind)
    if content is not None:
        keys.private.write_bytes(content)
    with pytest.raises(ConfigError, match="not an unencrypted Ed25519 private key in PEM; make one with") as caught:
        load_signer(str(keys.private))
    assert "secret words" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("none.pem", r"none.pem: cannot read it \(No such file or directory\)", id="missing"),
        pytest.param("keys", "keys: (not a file|cannot read it)", id="folder"),
    ],
)
def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path, keys: KeyPair, path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_signer(str(tmp_path / path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"cannot read the public key \(No such file or directory\)", id="missing"),
        pytest.param(b"text", "not an Ed25519 public key in PEM; make it with `openssl pkey", id="text"),
    ],
)
def test_a_public_key_that_is_none_is_a_usage_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "p.pem").write_bytes(content)
    with pytest.raises(UsageError, match=f"p.pem: {message}"):
        check_signature(b"", b"", tmp_path / "p.pem", "m")


def test_a_fifo_instead_of_a_key_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.pem", 0o600)
    with pytest.raises(ConfigError, match=r"key.pem: not a file; name a key's PEM file"):
        load_signer(str(tmp_path / "key.pem"))
