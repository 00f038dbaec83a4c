"""Bad input through the real command: exit code 2, one clear message, nothing half-written."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import local_runner
from reefline.config.run_config import CONFIG_DIR
from reefline.data.demo import generate_demo_data
from tests.factories_runs import QUICK, PipelineRun, run_pipeline

pytestmark = pytest.mark.e2e

SETTINGS = {name: value for name, value in QUICK.items() if name != "demo.images"}
IMAGES = 24
DEFAULT = CONFIG_DIR / "default.yaml"

XML_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    "<annotation><filename>&c;</filename></annotation>"
)
EXTERNAL_ENTITY = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>'
    "<annotation><filename>&b;</filename></annotation>"
)


@pytest.fixture(scope="session")
def good_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "data"
    generate_demo_data(folder, images=IMAGES)
    return folder


@pytest.fixture
def data(good_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good_data, tmp_path / "data"))


def _image(data: Path, index: int = 0) -> Path:
    return data / "JPEGImages" / f"demo_{index:05d}.jpg"


def _xml(data: Path, index: int = 0) -> Path:
    return data / "Annotations" / f"demo_{index:05d}.xml"


def _edit_xml(data: Path, pattern: str, replacement: str) -> None:
    text = _xml(data).read_text(encoding="utf-8")
    changed = re.sub(pattern, replacement, text, count=1)
    assert changed != text
    _xml(data).write_text(changed, encoding="utf-8")


def _empty(data: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()


def _without_xml(data: Path) -> None:
    shutil.rmtree(data / "Annotations")


def _without_images(data: Path) -> None:
    shutil.rmtree(data / "JPEGImages")


def _truncate(data: Path) -> None:
    content = _image(data).read_bytes()
    _image(data).write_bytes(content[: len(content) // 2])


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _huge_png_header(data: Path) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(bytes(100)))
    _image(data).unlink()
    _image(data).with_suffix(".png").write_bytes(png)
    _edit_xml(data, r"demo_00000\.jpg", "demo_00000.png")


def _keep_one(data: Path) -> None:
    for index in range(1, IMAGES):
        _image(data, index).unlink()
        _xml(data, index).unlink()


CASES = [
    pytest.param(_empty, r"no image|empty|holds no", id="empty-folder"),
    pytest.param(_without_xml, r"annotation|XML", id="images-without-xml"),
    pytest.param(_without_images, r"image", id="xml-without-images"),
    pytest.param(_truncate, r"demo_00000\.jpg.*truncated", id="truncated-jpeg"),
    pytest.param(lambda d: _image(d).write_text("no image"), r"demo_00000\.jpg", id="text-named-jpg"),
    pytest.param(lambda d: _xml(d).write_text(XML_BOMB), r"demo_00000\.xml", id="xml-bomb"),
    pytest.param(lambda d: _xml(d).write_text(EXTERNAL_ENTITY), r"demo_00000\.xml", id="external-entity"),
    pytest.param(_huge_png_header, r"demo_00000\.png.*30,?000", id="huge-png-header"),
    pytest.param(_keep_one, r"one image|1 image|split", id="one-image-only"),
]


def _assert_refused(run: PipelineRun, message: str) -> None:
    assert run.exit_code == 2, run.out
    assert "Traceback" not in run.out
    errors = [line for line in run.lines if line.startswith("error: ")]
    assert errors
    assert any(re.search(message, error) for error in errors), errors
    assert run.summary["verdict"] == "FAILED"
    assert re.search(message, run.summary["failure"]["message"])
    assert run.summary["pushed"] is None
    assert '<section id="verdict"' in run.page and not [line for line in run.lines if line.startswith("note: ")]
    assert not (run.workspace / "serving").exists()
    failed = run.workspace / "artifacts" / run.summary["failure"]["component"]
    assert not [path for path in failed.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("damage", "message"), CASES)
def test_bad_data(data: Path, tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(data)
    _assert_refused(run_pipeline(tmp_path / "ws", "--data", data, settings=SETTINGS), message)


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule_message"),
    [
        pytest.param(r"<xmin>\d+", "<xmin>nan", r"(?i)nan", id="nan-coordinate"),
        pytest.param(r"<xmin>\d+", "<xmin>-50", r"outside|-5\d", id="negative-coordinate"),
    ],
)
def test_a_bad_box_is_dropped_and_reported(
    data: Path, tmp_path: Path, pattern: str, replacement: str, rule_message: str
) -> None:
    """One bad box of many is a finding; here ingestion stops later, at a file that cannot be read."""
    _edit_xml(data, pattern, replacement)
    _image(data, 1).write_text("no image")
    run = run_pipeline(tmp_path / "ws", "--data", data, settings=SETTINGS)
    _assert_refused(run, r"demo_00001\.jpg")
    findings = [f for f in run.summary["data"]["findings"] if "demo_00000" in f["file"]]
    assert [f["action"] for f in findings] == ["dropped_box"]
    assert re.search(rule_message, findings[0]["message"])


def test_a_path_out_of_the_folder_is_never_opened(data: Path, tmp_path: Path) -> None:
    """The image is found by the XML's own stem; without it, nothing outside the folder is tried."""
    _edit_xml(data, r"<filename>[^<]*", "<filename>../../etc/passwd")
    _image(data).unlink()
    _assert_refused(run_pipeline(tmp_path / "ws", "--data", data, settings=SETTINGS), r"demo_00000\.xml")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        pytest.param((0, 1, 2), r"labels\.pbtxt.*\b0\b", id="starts-at-0"),
        pytest.param((1, 1, 2), r"labels\.pbtxt.*\b1\b", id="repeats"),
        pytest.param((1, 2, 4), r"labels\.pbtxt.*\b[34]\b", id="gap"),
    ],
)
def test_bad_label_map(data: Path, tmp_path: Path, ids: tuple[int, ...], message: str) -> None:
    label_map = tmp_path / "labels.pbtxt"
    names = ("disc", "square", "triangle")
    label_map.write_text("".join(f"item {{ id: {i} name: '{n}' }}\n" for i, n in zip(ids, names, strict=True)))
    settings = {**SETTINGS, "data.label_map": str(label_map)}
    _assert_refused(run_pipeline(tmp_path / "ws", "--data", data, settings=settings), message)


def test_a_model_that_the_gate_would_refuse_is_not_trained(data: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "gate.min_edgetpu_ops": 1.0}
    run = run_pipeline(tmp_path / "ws", "--config", DEFAULT, "--data", data, settings=settings)
    _assert_refused(run, r"gate\.min_edgetpu_ops: .*is below 1\.0000")
    assert run.summary["failure"]["component"] == "EdgeTpuPreflight"
    assert (run.summary["edgetpu"]["ops_on_tpu"], run.summary["edgetpu"]["ops_total"]) == (99, 102)
    assert run.components("started")[-1] == "EdgeTpuPreflight"
    assert sum("DEQUANTIZE" in line for line in run.lines) == 2
    assert any("set gate.min_edgetpu_ops to 0.97 or lower" in line for line in run.lines)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MB; mounting one requires root."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("cannot mount a small file system: that requires root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_no_space_left_on_the_device(data: Path, small_disk: Path) -> None:
    out = io.StringIO()
    options = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    with contextlib.redirect_stdout(out):
        arguments = ["--config", str(DEFAULT), "--data", str(data), "--workspace", str(small_disk / "ws")]
        exit_code = local_runner.main([*arguments, *options])
    assert exit_code == 2, out.getvalue()
    assert "ws: no space left on the device; free some, or pass another --workspace DIR" in out.getvalue()
    assert "Traceback" not in out.getvalue()
    (failed,) = re.findall(r"^(\w+): failed in", out.getvalue(), re.M)
    left = [path for path in (small_disk / "ws" / "artifacts" / failed).rglob("*") if path.is_file()]
    # A training's work is kept, so that it can be resumed; no checkpoint is left half-written.
    assert not [path for path in left if ".unfinished" not in path.parts]
    assert not [path for path in left if path.name.startswith("ckpt")]
