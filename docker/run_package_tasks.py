"""Runs the first two tasks of a Kubeflow package as KFP's launcher does: `python run_package_tasks.py PIPELINE.yaml`.

For docker/test-image.sh, inside the image, with data `demo:`. tests/kubeflow executes complete packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN_ID = "0f7e8d5c-3b1a-4c7e-9f5d-2a6b8c9d0e1f"
TASKS = ("ResolveData", "VocExampleGen")


def run_task(name: str, spec: Mapping[str, Any], folder: Path, resolved: dict[str, str]) -> None:
    """Run a task's command with a filled in ExecutorInput, and add its output parameters to `resolved`.

    Raises:
        CalledProcessError: the command failed.
        FileNotFoundError: an output is missing.
    """
    component, task = spec["components"][name], spec["root"]["dag"]["tasks"][name]
    container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    place = folder / RUN_ID / name
    place.mkdir(parents=True)
    definitions = component["outputDefinitions"]
    files = {key: place / key for key in definitions.get("parameters", {})}
    artifacts = {key: place / key for key in definitions.get("artifacts", {})}
    executor_input = {
        "inputs": {
            "parameterValues": {
                key: _find_value(source, resolved) for key, source in task["inputs"]["parameters"].items()
            }
        },
        "outputs": {
            "parameters": {key: {"outputFile": str(file)} for key, file in files.items()},
            "artifacts": {
                key: {
                    "artifacts": [
                        {"name": key, "uri": str(path), "type": definitions["artifacts"][key]["artifactType"]}
                    ]
                }
                for key, path in artifacts.items()
            },
            "outputFile": str(place / "output_metadata.json"),
        },
    }
    arguments = [argument.replace("{{$}}", json.dumps(executor_input)) for argument in container.get("args", ())]
    # Reports would go to the serving folder's neighbour, which is in no store here.
    variables = {one["name"]: one["value"] for one in container.get("env", ()) if one["name"] != "REEFLINE_REPORTS"}
    subprocess.run([*container["command"], *arguments], check=True, env={**os.environ, **variables})
    resolved.update({key: file.read_text(encoding="utf-8") for key, file in files.items()})
    for key, path in artifacts.items():
        if not any(path.iterdir()):
            raise FileNotFoundError(f"{name}: output {key} is empty")


def _find_value(source: Mapping[str, Any], resolved: Mapping[str, str]) -> Any:
    if "taskOutputParameter" in source:
        return resolved[source["taskOutputParameter"]["outputParameterKey"]]
    value = source["runtimeValue"]["constant"]
    return RUN_ID if value == "{{$.pipeline_job_uuid}}" else value


def main(package: Path) -> None:
    """Run the tasks in a temporary folder and say what they made."""
    import yaml

    spec = next(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    resolved: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in TASKS:
            run_task(name, spec, Path(folder), resolved)
            made = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())
            sys.stdout.write(f"{name}: done, {len(made)} files, {resolved}\n")
        records = [path for path in made if "Split-" in path]
        if not records:
            raise FileNotFoundError(f"VocExampleGen wrote no examples: {made}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
