"""Executor inputs and compiled packages, for tests of the pods' side and of lint."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config

REPO_DIR = Path(__file__).resolve().parents[1]
IMAGE = f"registry.example/reefline@sha256:{'a' * 64}"
RUN_ID = "1f0c2a4e-8d4b-4a7e-9a55-0b8a7c1d2e3f"


@functools.cache
def compile_package(*overrides: str, data: str = "s3://bucket/data", serving: str = "s3://bucket/serving", **options):
    """Return the package of the demo's config; compiling takes seconds, so equal calls share one. Do not change it."""
    from pipeline.kubeflow.package import PackageRequest, make_package

    config = load_config(REPO_DIR / "configs" / "demo.yaml", [parse_override(text) for text in overrides])
    return make_package(PackageRequest(config, IMAGE, data, serving, **options))


def make_executor_input(
    folder: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
    outputs: Mapping[str, Mapping[str, Any]] | None = None,
    output_parameters: tuple[str, ...] = (),
) -> str:
    """Return an ExecutorInput as KFP's launcher writes it; outputs lie below KFP's folders in `folder`."""
    base = folder / "reefline" / RUN_ID / "Task"
    made = {
        key: {"artifacts": [{"name": key, "uri": str(base / key), "metadata": {}, **one}]}
        for key, one in (outputs or {}).items()
    }
    return json.dumps(
        {
            "inputs": {
                "parameterValues": dict(parameters or {}),
                "artifacts": {key: {"artifacts": [dict(one)]} for key, one in (inputs or {}).items()},
            },
            "outputs": {
                "artifacts": made,
                "parameters": {name: {"outputFile": str(base / "parameters" / name)} for name in output_parameters},
                "outputFile": str(folder / "output" / "output_metadata.json"),
            },
        }
    )


def read_output(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the artifacts of output_metadata.json by key."""
    text = (folder / "output" / "output_metadata.json").read_text()
    return {key: one["artifacts"][0] for key, one in json.loads(text)["artifacts"].items()}
