"""Executors for tests of the entrypoint: what they do is chosen by an exec property."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from reefline.errors import DataError
from reefline.findings import Action, Finding


class Recorder(BaseExecutor):
    """Writes what it was given, and facts about its output."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:
        """Act as `behaviour` says."""
        if exec_properties.get("behaviour") == "user_error":
            finding = Finding("a.xml", 0, "box_degenerate", "xmax is left of xmin", Action.DROPPED_IMAGE)
            raise DataError("a.xml, object 0: xmax 3 is left of xmin 9", findings=(finding,))
        if exec_properties.get("behaviour") == "crash":
            raise RuntimeError("something else")
        (model,), (run,) = input_dict["model"], output_dict["model_run"]
        seen = {
            "inputs": sorted(input_dict),
            "outputs": sorted(output_dict),
            "type": model.type_name,
            "uri": model.uri,
            "current_model": model.get_string_custom_property("current_model"),
            "checkpoint": model.get_string_custom_property("checkpoint"),
            "version": model.get_int_custom_property("version"),
            "properties": exec_properties,
            "run_id": self._context.pipeline_run_id,
        }
        (Path(run.uri) / "seen.json").write_text(json.dumps(seen))
        run.set_string_custom_property("checkpoint", f"{run.uri}/best/ckpt-1")
        run.set_int_custom_property("fact", 7)
