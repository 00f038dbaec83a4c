"""The types of artifacts: TFX compiles them as schemas, and only a title means the same to every KFP."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TITLE = re.compile(r"^title:\s*['\"]?([\w.]+)", re.MULTILINE)
# What kfp's own compiler writes next to a title.
_SCHEMA_VERSION = "0.0.1"


def make_type(title: str) -> dict[str, str]:
    """Return an ArtifactTypeSchema, such as that of tfx.Examples."""
    return {"schemaTitle": title, "schemaVersion": _SCHEMA_VERSION}


def read_title(schema: Mapping[str, str]) -> str:
    """Return the title of an ArtifactTypeSchema, "" if it names none."""
    if schema.get("schemaTitle"):
        return schema["schemaTitle"]
    match = _TITLE.search(schema.get("instanceSchema") or "")
    return match[1] if match else ""


def list_artifacts(spec: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each artifact that a component declares, with its name as "Component.key"."""
    for name, component in spec.get("components", {}).items():
        for side in ("inputDefinitions", "outputDefinitions"):
            for key, artifact in component.get(side, {}).get("artifacts", {}).items():
                yield f"{name}.{key}", artifact


def name_types(spec: Mapping[str, Any]) -> None:
    """Replace the schemas of a PipelineSpec by their titles.

    KFP with ML Metadata makes a schema of a title, and keeps nothing of a schema but its title. Without ML Metadata,
    titles are what KFP's own tests keep (docs/kubeflow.md).
    """
    for _, artifact in list_artifacts(spec):
        artifact["artifactType"] = make_type(read_title(artifact["artifactType"]))
