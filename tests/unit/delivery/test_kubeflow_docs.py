"""docs/kubeflow.md: its configs are valid, and its commands have the options that they use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from pipeline.kubeflow.command import app
from reefline.config.kubeflow_settings import KubeflowSettings, TaskSettings
from reefline.settings import IngestionSettings

REPO = Path(__file__).resolve().parents[3]
TEXT = (REPO / "docs" / "kubeflow.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"kubeflow_runner\.py (compile|lint|submit)((?:[^\n`|]|\\\n|\[[^\]]*\])*)", TEXT)


def list_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", list_blocks("yaml"), ids=["seaweedfs", "gcs", "resources", "beam"])
def test_every_config_is_valid(block: str) -> None:
    settings: Any = yaml.safe_load(block)
    KubeflowSettings.model_validate(settings.get("kubeflow", {}))
    IngestionSettings.model_validate(settings.get("data", {}))


def test_every_setting_is_described() -> None:
    table = TEXT[TEXT.index("| setting |") : TEXT.index("`work_dir` needs a claim")]
    described = set(re.findall(r"`([a-z_]+)`", table))
    assert {*KubeflowSettings.model_fields, *TaskSettings.model_fields} <= described


@pytest.mark.parametrize(("name", "line"), COMMANDS, ids=[f"{at} {name}" for at, (name, _) in enumerate(COMMANDS)])
def test_every_command_uses_options_that_exist(name: str, line: str) -> None:
    command: Any = typer.main.get_command(app)
    known = {option for parameter in command.commands[name].params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", line)) <= known


def test_links_name_files_that_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (REPO / "docs" / link).exists()] == []
