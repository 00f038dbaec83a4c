"""The EdgeTpuPreflight component."""

import json
import sys
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Config, ModelEvaluation

from reefline.cache import cache_directory
from reefline.errors import ConfigError, PreflightError
from reefline.label_map import read_label_map
from reefline.settings import ExporterSettings, GateSettings

# The parameter is an int: 0 leaves the input size to the template.
TEMPLATE_INPUT_SIZE = 0


@component
def EdgeTpuPreflight(
    label_map: InputArtifact[Config],
    preflight: OutputArtifact[ModelEvaluation],
    model: Parameter[str],
    input_size: Parameter[int],
    settings: Parameter[str],
    gate: Parameter[str],
    code: Parameter[str],
) -> None:
    """Export the untrained model, see what the Edge TPU makes of it, and stop where the gate would refuse that.

    `model` is a template, `input_size` in pixels, `settings` an ExporterSettings and `gate` a GateSettings as JSON.
    `code` keys the cache, and what is remembered of a model beyond it. `preflight` holds preflight.json, a Preflight.
    """
    from reefline.od_api import compat

    compat.apply()
    from reefline.od_api import config_rules, devices, model_config
    from reefline.preflight import PREFLIGHT_FILE, preflight_model
    from reefline.preflight_rules import describe_placement, find_preflight_problems

    classes = len(read_label_map(Path(label_map.uri) / "label_map.pbtxt").names)
    config = model_config.build_model_config(model_config.load_template(model), input_size or None, classes)
    if problems := config_rules.find_input_size_problems(config):
        raise ConfigError(*problems)
    devices.let_gpu_memory_grow()
    found = preflight_model(config, ExporterSettings.from_json(settings), cache_directory() / "preflight", code)
    if refused := find_preflight_problems(found, GateSettings.from_json(gate), model_config.list_edge_tpu_templates()):
        raise PreflightError(*refused, edgetpu=found.edgetpu)
    sys.stdout.write(f"  {describe_placement(found.edgetpu)}\n")
    sys.stdout.flush()
    (Path(preflight.uri) / PREFLIGHT_FILE).write_text(json.dumps(found.to_json(), indent=1), encoding="utf-8")
    preflight.set_int_custom_property("ops_on_tpu", found.edgetpu.ops_on_tpu)
    preflight.set_int_custom_property("ops_total", found.edgetpu.ops_total)
