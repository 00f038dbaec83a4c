"""Placeholders in a container's command, as KFP's launcher fills them in; an unknown one stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.kubeflow.emulation.pod import Pod
from tests.kubeflow.emulation.values import format_json, to_text


def fill_placeholders(command: Sequence[str], executor_input: Mapping[str, Any], pod: Pod) -> list[str]:
    """Return the command with every placeholder replaced."""
    replacements = _list_replacements(executor_input, pod)
    filled = []
    for word in command:
        for placeholder, value in replacements.items():
            word = word.replace(placeholder, value)
        filled.append(word)
    return filled


def _list_replacements(executor_input: Mapping[str, Any], pod: Pod) -> dict[str, str]:
    inputs, outputs = executor_input["inputs"], executor_input["outputs"]
    found = {}
    for direction, given in (("inputs", inputs), ("outputs", outputs)):
        for key, artifacts in given["artifacts"].items():
            uri = artifacts["artifacts"][0]["uri"]
            found[f"{{{{$.{direction}.artifacts['{key}'].uri}}}}"] = uri
            found[f"{{{{$.{direction}.artifacts['{key}'].path}}}}"] = str(pod.local_path(uri))
    for key, value in inputs["parameterValues"].items():
        found[f"{{{{$.inputs.parameters['{key}']}}}}"] = to_text(value)
    for key, place in outputs["parameters"].items():
        found[f"{{{{$.outputs.parameters['{key}'].output_file}}}}"] = place["outputFile"]
    # Last: what it brings in is not searched for placeholders again.
    found["{{$}}"] = format_json(executor_input)
    return found
