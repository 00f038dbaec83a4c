"""From addresses of pictures to a pushed model: download, dedupe, prepare, autolabel, local_runner.py."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from reefline.cli import app
from reefline.data.demo import DEMO_CLASSES, draw_demo_image
from tests.factories_runs import QUICK, run_pipeline
from tests.image_server import ImageSite, Reply, serve_images

pytestmark = pytest.mark.e2e

REPO_DIR = Path(__file__).resolve().parents[2]
MODEL = REPO_DIR / ".." / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
PER_LABEL = 10


def _shrink(jpeg: bytes) -> bytes:
    image = Image.open(io.BytesIO(jpeg))
    buffer = io.BytesIO()
    image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ImageSite]:
    """A server of shapes, of a smaller copy of one of them, and of a page that is no image; urls.csv lists them."""
    replies, rows = {}, ["url,label"]
    for index in range(PER_LABEL * len(DEMO_CLASSES)):
        jpeg, objects = draw_demo_image(3, index)
        label = objects[0].label
        replies[f"/{index}.jpg"] = Reply(jpeg)
        rows.append(f"/{index}.jpg,{label}")
        if index == 0:
            replies["/copy.jpg"] = Reply(_shrink(jpeg))
            rows.append(f"/copy.jpg,{label}")
    replies["/page.jpg"] = Reply(b"<html>not found</html>")
    rows.append(f"/page.jpg,{DEMO_CLASSES[0]}")
    with serve_images(replies) as served:
        addresses = [served.url(row) if row.startswith("/") else row for row in rows]
        (tmp_path / "urls.csv").write_text("\n".join(addresses), encoding="utf-8")
        yield served


def _reefline(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.skipif(not MODEL.is_file(), reason="needs ../shared/models")
def test_from_addresses_to_a_pushed_model(site: ImageSite, tmp_path: Path) -> None:
    pictures, data, labelled = (tmp_path / name for name in ("pictures", "data", "labelled"))
    _reefline(
        "download", "--from-urls", tmp_path / "urls.csv", "--out", pictures, "--allow-private", "--delay", "0"
    )  # fmt: skip
    found = {label: len(list((pictures / label).glob("*.jpg"))) for label in DEMO_CLASSES}
    assert found == {label: PER_LABEL + (label == DEMO_CLASSES[0]) for label in DEMO_CLASSES}

    _reefline("dedupe", pictures)
    assert len(list((pictures / DEMO_CLASSES[0]).glob("*.jpg"))) == PER_LABEL
    assert len(list((pictures / "duplicates").rglob("*.jpg"))) == 1

    _reefline("prepare", pictures, "--eval-fraction", "0.3", "--out", data)
    assert len(list((data / "JPEGImages").rglob("*.jpg"))) == PER_LABEL * len(DEMO_CLASSES)

    _reefline(
        "autolabel", data, "--model", MODEL, "--label-map", "coco", "--min-score", "0.2", "--review-below", "0",
        "--fallback", "whole-image", "--out", labelled,
    )  # fmt: skip
    assert len(list((labelled / "Annotations").glob("*.xml"))) == PER_LABEL * len(DEMO_CLASSES)

    run = run_pipeline(
        tmp_path / "ws", "--config", REPO_DIR / "configs" / "demo.yaml", "--data", labelled, settings=QUICK
    )
    assert run.exit_code == 0, run.out
    counts = run.summary["data"]["splits"]
    assert {label for split in counts.values() for label in split["per_class"]} == set(DEMO_CLASSES)
    assert sum(split["images"] for split in counts.values()) == PER_LABEL * len(DEMO_CLASSES)
    manifest = json.loads((tmp_path / "ws" / "serving" / "demo" / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["licenses"] == {"unknown": PER_LABEL * len(DEMO_CLASSES)}
