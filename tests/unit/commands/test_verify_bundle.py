"""`reefline verify-bundle`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.bundle.signature import load_signer
from reefline.bundle.store import push_bundle
from reefline.cli import app
from tests.factories_evaluation import make_facts, write_candidate
from tests.factories_keys import write_key_pair


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return push_bundle(write_candidate(tmp_path / "candidate"), make_facts(), tmp_path / "serving").path


def verify(bundle: Path):
    return CliRunner().invoke(app, ["verify-bundle", str(bundle)])


def test_intact_bundle(bundle: Path) -> None:
    result = verify(bundle)

    assert result.exit_code == 0, result.output
    assert result.stdout == f"{bundle}: intact: detector version 1, 2 files\n"


def test_signed_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = write_key_pair(tmp_path / "keys")
    candidate = write_candidate(tmp_path / "candidate")
    bundle = push_bundle(candidate, make_facts(), tmp_path / "serving", load_signer(str(keys.private))).path

    assert verify(bundle).stdout.endswith(" 2 files, signature not checked; pass --public-key FILE\n")
    checked = CliRunner().invoke(app, ["verify-bundle", str(bundle), "--public-key", str(keys.public)])
    assert checked.stdout.endswith(f" 2 files, signed with the key of {keys.public}\n")
    monkeypatch.setenv("REEFLINE_PUBLIC_KEY", str(keys.public))
    (bundle / "manifest.json.sig").unlink()
    unsigned = verify(bundle)
    assert unsigned.exit_code == 2
    assert "not signed (manifest.json.sig is missing)" in unsigned.stderr


def test_the_folder_of_a_model(bundle: Path) -> None:
    result = verify(bundle.parent)

    assert result.exit_code == 2
    advice = f"the folder of a model; name the folder of one version, such as {bundle}"
    assert result.stderr == f"error: {bundle.parent}: {advice}\n"


def test_a_missing_version(bundle: Path) -> None:
    (bundle.parent / "12").mkdir()
    missing = bundle.parent / "3"
    assert verify(missing).stderr == f"error: {missing}: no such folder; {bundle.parent} has: 1, 12\n"


def test_a_missing_folder(tmp_path: Path) -> None:
    result = verify(tmp_path / "gone")

    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {tmp_path / 'gone'}: no such folder; name one version's, such as ")


def test_a_folder_without_a_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    assert "manifest.json: missing or unreadable (No such file or directory)" in verify(bundle).stderr


def test_unlisted_file(bundle: Path) -> None:
    (bundle / "extra.so").write_text("")
    result = verify(bundle)

    assert result.exit_code == 2
    assert result.stderr == f"error: {bundle / 'extra.so'}: not in the manifest; delete it or push again\n"


def test_changed_file(bundle: Path) -> None:
    (bundle / "model_int8.tflite").write_bytes(b"modeX")
    result = verify(bundle)

    assert result.exit_code == 2
    assert "model_int8.tflite: sha256 " in result.stderr
