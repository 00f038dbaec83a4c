"""A recommendation on the terminal and as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config
from reefline.recommendation.text import format_config, format_recommendation, format_table
from tests.factories_recommendation import make_recommendation, make_row


def test_the_table_marks_the_recommended_template() -> None:
    unknown = make_row(template="new", edge_tpu_ops=None, memory_bytes=None, steps=None, epochs=None, seconds=None)
    head, first, second = format_table([make_row(), unknown])
    assert head.split()[:5] == ["template", "starts", "from", "input", "batch"]
    assert first.startswith("* ssd_mobilenet_v1_300  COCO 2017 (90 classes)  300 px")
    assert first.split()[-10:] == ["8", "3,470", "135", "64", "of", "67", "92%", "1.1", "GB", "20"]
    assert second.startswith("  new ") and second.count("?") == 5


def test_everything_is_told_with_the_reason() -> None:
    lines = format_recommendation(make_recommendation(notes=("class \x1b[2J has 3 boxes",)))
    assert lines[0] == "data: 364 images"
    assert "does not fit: ssd_resnet50_fpn_640 (needs 12.0 GB)" in lines
    assert lines[-3:] == [
        "reason: its published weights already know COCO",
        "time: about 0:19:55 (measured: 0.29 s per step)",
        "note: class \\x1b[2J has 3 boxes",
    ]


def test_the_file_is_plain_yaml(tmp_path: Path) -> None:
    text = format_config(make_recommendation(header=("Classes: a\nb",)), [parse_override("gate.min_map=0.3")])
    assert text.splitlines()[:5] == [
        "# Classes: a\\nb",
        "model_name: detector",
        "trainer:",
        "  model: ssd_mobilenet_v1_300",
        "  start: published",
    ]
    path = tmp_path / "c.yaml"
    path.write_text(text)
    config = load_config(path)
    assert (config.trainer.num_steps, config.trainer.start.source, config.gate.min_map) == (3470, "published", 0.3)


def test_a_start_with_more_keys_stays_a_section() -> None:
    overrides = [parse_override("trainer.start.source=serving"), parse_override("trainer.start.otherwise=published")]
    text = format_config(make_recommendation(), overrides)
    assert "  start:\n    source: serving\n    otherwise: published\n" in text


@pytest.mark.parametrize("name", ["1e3", "true", "0x10", "cells", "1_000"])
def test_names_are_read_back_as_names(name: str, tmp_path: Path) -> None:
    config = make_recommendation().config
    path = tmp_path / "c.yaml"
    path.write_text(format_config(make_recommendation(config={**config, "model_name": name})))
    assert load_config(path).model_name == name
