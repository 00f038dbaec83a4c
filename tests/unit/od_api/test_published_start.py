"""The published weights that a template's header names."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import ConfigError
from reefline.od_api.model_config import check_start, find_pinning_template, list_templates, load_template
from reefline.od_api.published_start import PublishedStart, parse_published_start
from reefline.settings import Start

SHA256 = "5d31" * 16
HEADER = {
    "published": "https://host/weights.tflite",
    "published_sha256": SHA256,
    "published_license": "Apache-2.0",
    "published_knows": "COCO 2017 (90 classes)",
}


def write_header(**changes: str | None) -> str:
    lines = {**HEADER, **changes}
    return "# edge_tpu: yes\n" + "".join(f"# {key}: {text}\n" for key, text in lines.items() if text is not None)


def test_the_header_is_read() -> None:
    assert parse_published_start(write_header(), "mine.config") == PublishedStart(
        "https://host/weights.tflite", SHA256, "Apache-2.0", "COCO 2017 (90 classes)"
    )


def test_a_template_without_the_lines_has_no_published_weights() -> None:
    assert parse_published_start("# edge_tpu: yes\nmodel {}", "mine.config") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"published_sha256": None}, "the line '# published_sha256:' is missing", id="no-hash"),
        pytest.param({"published": None}, "the line '# published:' is missing", id="no-url"),
        pytest.param({"published_license": ""}, "'# published_license:' is missing or empty", id="empty"),
        pytest.param({"published_sha256": "5D31" * 16}, "is not a sha256; expected 64 hexadecimal", id="capitals"),
        pytest.param({"published": "weights.tflite"}, "'# published: weights.tflite' is not a URL", id="path"),
        pytest.param({"published_by": "Google"}, "unknown line '# published_by:'; expected published,", id="unknown"),
    ],
)
def test_a_header_with_a_mistake_is_refused(changes: dict[str, str | None], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^mine\.config: .*{message}"):
        parse_published_start(write_header(**changes), "mine.config")


def test_the_templates_that_ship_with_published_weights() -> None:
    found = {name: load_template(name).published for name in list_templates()}
    coco, imagenet = found["ssd_mobilenet_v1_300"], found["ssd_mobilenet_v2_320"]
    assert coco is not None and coco.knows == "COCO 2017 (90 classes)" and coco.license == "Apache-2.0"
    assert imagenet is not None and imagenet.knows == "ImageNet (backbone only)"
    assert found["ssd_mobilenet_v2_tiny"] is None


def test_a_hash_leads_back_to_its_template(tmp_path: Path) -> None:
    (tmp_path / "mine.config").write_text(write_header() + "model { ssd {} }")
    (tmp_path / "other.config").write_text("# edge_tpu: yes\nmodel { ssd {} }")
    found = find_pinning_template(SHA256, tmp_path)
    assert found is not None and found.name == "mine"
    assert find_pinning_template("0" * 64, tmp_path) is None


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(Start(source="published"), id="source"),
        pytest.param(Start(source="serving", otherwise="published"), id="otherwise"),
    ],
)
def test_a_template_without_published_weights_names_those_that_have_them(start: Start) -> None:
    message = r"ssd_mobilenet_v2_tiny has no published weights; .*ssd_mobilenet_v1_300, ssd_mobilenet_v2_320"
    with pytest.raises(ConfigError, match=message):
        check_start(start, load_template("ssd_mobilenet_v2_tiny"))


def test_published_weights_suit_their_template() -> None:
    check_start(Start(source="published"), load_template("ssd_mobilenet_v1_300"))
