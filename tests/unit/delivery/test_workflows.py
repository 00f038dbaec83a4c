"""The workflows of .github: what they call exists, and what they need is set."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((REPO / ".github" / "workflows").glob("*.yml"))


def load_workflow(path: Path) -> Any:
    # YAML 1.1 reads the key `on` as true; actionlint, which `make lint-ci` runs, checks the rest.
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def list_commands(workflow: Any) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def list_make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_target_and_script_exists(path: Path) -> None:
    commands = "\n".join(list_commands(load_workflow(path)))
    targets = set(re.findall(r"^make ([a-z-]+)", commands, re.MULTILINE))
    scripts = re.findall(r"^(\.?[\w/.-]+\.sh)", commands, re.MULTILINE)
    assert targets
    assert targets <= list_make_targets()
    assert all(os.access(REPO / script, os.X_OK) for script in scripts)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_has_a_time_limit_and_no_more_rights_than_it_needs(path: Path) -> None:
    workflow = load_workflow(path)
    assert workflow["permissions"]["contents"] == "read"
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())


def test_the_workflows_run_on_push_on_a_tag_and_every_night() -> None:
    triggers = {path.stem: load_workflow(path)[True] for path in WORKFLOWS}
    assert "push" in triggers["check"]
    assert triggers["release"]["push"] == {"tags": ["v*"]}
    assert triggers["retrain"]["schedule"]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        pytest.param("verdict: BLESSED (KFP: SUCCEEDED)", 0, id="blessed"),
        pytest.param("verdict: NOT_BLESSED (KFP: SUCCEEDED)", 0, id="refused by the gate"),
        pytest.param("verdict: FAILED (KFP: FAILED)", 1, id="failed"),
        pytest.param("error: KFP's API does not answer", 1, id="never started"),
    ],
)
def test_a_refusal_by_the_gate_does_not_fail_the_night(tmp_path: Path, verdict: str, expected: int) -> None:
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "{verdict}"\nexit 2\n', encoding="utf-8")
    make.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    ended = subprocess.run([REPO / ".github" / "retrain.sh"], cwd=tmp_path, env=environment, capture_output=True)
    assert ended.returncode == expected
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("verdict: ")
