"""trainer.start in a config: its short form, what it refuses, and the keys that it replaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config
from reefline.errors import ConfigError
from reefline.settings import CheckpointType, Start, StartKeyword, TrainerSettings

SHA256 = "5d31" * 16


def load(folder: Path, start: str = "", *overrides: str) -> Start:
    """Read a config whose trainer section has the line `start`."""
    path = folder / "c.yaml"
    path.write_text(
        f"model_name: cells\ngate: {{min_map: 0.3}}\ntrainer:\n  model: ssd_mobilenet_v1_300\n  {start}\n",
        encoding="utf-8",
    )
    return load_config(path, [parse_override(text) for text in overrides]).trainer.start


def test_training_starts_from_new_weights_by_default(tmp_path: Path) -> None:
    assert load(tmp_path) == Start(source="scratch")


def test_a_plain_word_is_the_source(tmp_path: Path) -> None:
    start = load(tmp_path, "start: published")
    assert (start.source, start.keyword) == ("published", StartKeyword.PUBLISHED)


def test_a_section_has_more_keys(tmp_path: Path) -> None:
    start = load(tmp_path, f'start: {{source: serving, otherwise: a.tar.gz, sha256: "{SHA256}", type: classification}}')
    assert start == Start(
        source="serving", otherwise=str(tmp_path / "a.tar.gz"), sha256=SHA256, type=CheckpointType.CLASSIFICATION
    )


def test_a_key_can_be_added_to_a_plain_source(tmp_path: Path) -> None:
    start = load(tmp_path, "start: https://host/a.tflite", f"trainer.start.sha256={SHA256}")
    assert start == Start(source="https://host/a.tflite", sha256=SHA256)


def test_an_override_replaces_the_section(tmp_path: Path) -> None:
    assert load(tmp_path, "start: {source: serving, otherwise: scratch}", "trainer.start=published") == Start(
        source="published"
    )


def test_a_path_is_relative_to_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(tmp_path, "start: mine/ckpt-0").source == str(tmp_path / "mine" / "ckpt-0")
    assert load(tmp_path, "", "trainer.start=mine/ckpt-0").source == str(tmp_path / "elsewhere" / "mine" / "ckpt-0")


def test_a_start_survives_an_exec_property() -> None:
    settings = TrainerSettings(model="m", start=Start(source="serving", otherwise="published"))
    assert TrainerSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("start: hdfs://host/a", r"trainer\.start: .*hdfs:// is not supported; use a path", id="scheme"),
        pytest.param("start: http://host/a", r"trainer\.start: .*an http:// URL needs its sha256", id="http"),
        pytest.param(
            "start: {source: serving, otherwise: 'http://host/a'}", "an http:// URL needs its sha256", id="http-later"
        ),
        pytest.param("start: {source: published, otherwise: scratch}", "otherwise is for source: serving", id="other"),
        pytest.param("start: {source: serving, otherwise: serving}", "otherwise cannot be serving too", id="circle"),
        pytest.param(
            f'start: {{source: published, sha256: "{SHA256}"}}', "sha256 pins a file or a URL, not published", id="pin"
        ),
        pytest.param(
            f'start: {{source: serving, sha256: "{SHA256}"}}', "sha256 pins a file or a URL, not serving", id="pin-none"
        ),
        pytest.param('start: {source: a.tflite, sha256: "12"}', r"trainer\.start\.sha256: found '12'", id="short-hash"),
        pytest.param("start: {sha256: null}", r"trainer\.start\.source: this value is missing", id="no-source"),
        pytest.param("start: ''", r"trainer\.start\.source: found ''", id="empty"),
        pytest.param("start: true", r"trainer\.start: found True; expected a section", id="bool"),
        pytest.param("start: {sourse: published}", r"trainer\.start\.sourse: unknown key; did you mean", id="typo"),
        pytest.param("start: zoo:ssd_mobilenet_v2_320", "no SSD model named 'ssd_mobilenet_v2_320'; did you", id="zoo"),
        pytest.param("warm_start: true", r"trainer\.warm_start: replaced by .*; write start: serving$", id="warm"),
        pytest.param("warm_start: false", r"trainer\.warm_start: replaced by trainer\.start; remove it$", id="cold"),
        pytest.param("fine_tune_checkpoint: null", r"fine_tune_checkpoint: replaced by .*; remove it$", id="no-tuning"),
        pytest.param(
            "fine_tune_checkpoint: {source: a/ckpt-0}", "replaced by .*; write start: a/ckpt-0$", id="plain-tuning"
        ),
        pytest.param(
            f'fine_tune_checkpoint: {{source: a/ckpt-0, sha256: "{SHA256}", type: classification}}',
            rf'write start: {{source: "a/ckpt-0", sha256: "{SHA256}", type: "classification"}}$',
            id="tuning",
        ),
        pytest.param("fine_tune_checkpoint: a/ckpt-0", "write start: followed by a path or a URL$", id="bare-tuning"),
    ],
)
def test_a_mistake_gets_a_message(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, line)
