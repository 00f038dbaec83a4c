"""The exec property `code` of each component: its sources, and the files and programs that act as code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.fingerprint import code_fingerprint
from reefline.edgetpu.compiler.identity import identify_compiler
from reefline.od_api.model_config import TEMPLATE_DIR
from reefline.report.section import list_review_templates
from reefline.settings import ExporterSettings

_TRAINER, _EXPORTER = "trainer", "edge_tpu_exporter"
_PREFLIGHT, _REVIEW = "edge_tpu_preflight", "review_report"


def component_code(component: str, *, model: str = "", compiler: str = "") -> str:
    """Return the fingerprint of a component's code.

    `component` is a folder of `components`; `model` is the template's name and `compiler` the compiler's identity, for
    the components that use them.
    """
    templates = [TEMPLATE_DIR / f"{model}.config"] if component in (_TRAINER, _PREFLIGHT) else []
    pages = list_review_templates() if component == _REVIEW else []
    tools = [compiler] if component in (_EXPORTER, _PREFLIGHT) else []
    return code_fingerprint(f"components.{component}", files=[*templates, *pages], tools=tools)


def recompute_code(component: str, exec_properties: Mapping[str, Any]) -> str:
    """Return the fingerprint of the code in this repository for an execution with these properties."""
    settings = exec_properties.get("settings", "")
    model = compiler = ""
    if component == _TRAINER:
        model = json.loads(settings)["model"]
    if component == _PREFLIGHT:
        model = exec_properties["model"]
    if component in (_EXPORTER, _PREFLIGHT):
        compiler = identify_compiler(ExporterSettings.from_json(settings).compiler)
    return component_code(component, model=model, compiler=compiler)
