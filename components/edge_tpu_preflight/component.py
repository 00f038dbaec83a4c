"""The EdgeTpuPreflight component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.experimental.simple_artifacts import File
from tfx.types.standard_artifacts import ModelEvaluation

from reefline.edgetpu.record import PreflightError
from reefline.errors import ConfigError
from reefline.od_api.label_map_file import read_label_map
from reefline.settings import ExporterSettings, GateSettings
from reefline.structures.artifacts import LabelMapFolder, PreflightFolder
from reefline.system.files import cache_directory
from reefline.system.terminal import say

# The parameter is an int: 0 keeps the template's input size.
TEMPLATE_INPUT_SIZE = 0


@component
def EdgeTpuPreflight(
    label_map: InputArtifact[File],
    preflight: OutputArtifact[ModelEvaluation],
    model: Parameter[str],
    input_size: Parameter[int],
    settings: Parameter[str],
    gate: Parameter[str],
    code: Parameter[str],
) -> None:
    """Export the untrained model, see where its operators run, and stop the run if the gate would refuse that.

    `model` is a template, `input_size` in pixels, `settings` an ExporterSettings and `gate` a GateSettings as JSON.
    `code` keys the cache, and the answers that are remembered beyond it. `preflight` is a PreflightFolder.
    """
    from reefline.od_api import compat

    compat.apply()
    from reefline.export.preflight import preflight_model
    from reefline.export.preflight_verdict import describe_placement, find_preflight_problems
    from reefline.od_api import devices, model_config, model_config_rules

    classes = len(read_label_map(LabelMapFolder(Path(label_map.uri)).label_map).names)
    config = model_config.build_model_config(model_config.load_template(model), input_size or None, classes)
    if problems := model_config_rules.find_input_size_problems(config):
        raise ConfigError(*problems)
    devices.let_gpu_memory_grow()
    found = preflight_model(config, ExporterSettings.from_json(settings), cache_directory() / "preflight", code)
    if refused := find_preflight_problems(found, GateSettings.from_json(gate), model_config.list_edge_tpu_templates()):
        raise PreflightError(*refused, edgetpu=found.edgetpu)
    for line in (describe_placement(found.edgetpu), *found.forecast):
        say(f"  {line}")
    found.write(PreflightFolder(Path(preflight.uri)).preflight)
