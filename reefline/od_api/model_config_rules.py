"""Rules for a pipeline.config, checked before anything is built: one function each, returning problems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.errors import ConfigError
from reefline.structures.label_map import LabelMap

if TYPE_CHECKING:
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

# The strides of SSD feature maps reach 64 (plain SSD) and 128 (pyramids): smaller inputs leave nothing to predict from.
MIN_INPUT_SIZE_PX = 96
# These OD API extractors enforce this themselves, but only once training has begun.
MIN_LARGE_INPUT_SIZE_PX = 129
LARGE_INPUT_EXTRACTORS = ("bifpn", "resnet")
# Pyramids add each map to the upsampled next one; their sizes match only if these strides divide the input. (A BiFPN
# adds maps up to stride 128, other pyramids those of the backbone, up to 32.)
_PYRAMID_STRIDES_PX = {"bifpn": 128, "fpn": 32}
MAX_INPUT_SIZE_PX = 2048
MAX_BATCH_SIZE = 1024

EXPORTED_KIND = "ssd"
_MAX_SYNTAX_PROBLEMS = 20


def find_config_problems(config: TrainEvalPipelineConfig, label_map: LabelMap) -> tuple[str, ...]:
    """Return everything that would otherwise fail late or not at all.

    Raises:
        ConfigError: the model is of a kind that Reefline does not export.
    """
    return (
        *_check_classes(config, label_map),
        *find_input_size_problems(config),
        *_check_batches(config),
        *_check_schedule(config),
        *_check_readers(config),
        *_check_files(config),
    )


def find_syntax_problems(text: str, source: str) -> tuple[str, ...]:
    """Return every unknown field and malformed value of a pipeline.config, not just the first.

    The parser stops at the first problem; its line is then blanked and the text parsed again, as long as that line's
    braces are balanced.
    """
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2

    problems: list[str] = []
    lines = text.splitlines()
    while len(problems) < _MAX_SYNTAX_PROBLEMS:
        try:
            text_format.Parse("\n".join(lines), pipeline_pb2.TrainEvalPipelineConfig())
            break
        except text_format.ParseError as error:
            problems.append(f"{source}: {error}; expected a field of the OD API's TrainEvalPipelineConfig")
            number = (error.GetLine() or 0) - 1
            if not 0 <= number < len(lines) or lines[number].count("{") != lines[number].count("}"):
                break
            lines[number] = ""
    return tuple(problems)


def read_ssd(config: TrainEvalPipelineConfig) -> Any:
    """Return the model's message.

    Raises:
        ConfigError: it is not one of the OD API's ssd models, which include EfficientDet and RetinaNet.
    """
    kind = config.model.WhichOneof("model")
    if kind != EXPORTED_KIND:
        raise ConfigError(f"pipeline.config: the model {describe_kind(kind or 'empty')}; choose another trainer.model")
    return config.model.ssd


def describe_kind(kind: str) -> str:
    """Return why a model of a kind other than ssd is refused, as the end of a sentence."""
    return f"is of the kind {kind}; Reefline exports only the OD API's ssd models, because others have no Edge TPU form"


def _check_classes(config: TrainEvalPipelineConfig, label_map: LabelMap) -> list[str]:
    found, expected = read_ssd(config).num_classes, len(label_map.names)
    if found == expected:
        return []
    return [f"pipeline.config: num_classes is {found}, the label map has {expected}; make them equal"]


def find_input_size_problems(config: TrainEvalPipelineConfig) -> list[str]:
    """Return why a model cannot be built or exported at its input size."""
    resizer = read_ssd(config).image_resizer
    if resizer.WhichOneof("image_resizer_oneof") != "fixed_shape_resizer":
        return ["pipeline.config: image_resizer must be a fixed_shape_resizer, the only one TFLite can export"]
    height, width = resizer.fixed_shape_resizer.height, resizer.fixed_shape_resizer.width
    extractor = read_ssd(config).feature_extractor.type
    is_large = any(kind in extractor for kind in LARGE_INPUT_EXTRACTORS)
    smallest = MIN_LARGE_INPUT_SIZE_PX if is_large else MIN_INPUT_SIZE_PX
    if not all(smallest <= side <= MAX_INPUT_SIZE_PX for side in (height, width)):
        return [
            f"trainer.input_size: {width}x{height} px; expected {smallest} to {MAX_INPUT_SIZE_PX} px with {extractor}"
        ]
    stride = next((stride for kind, stride in _PYRAMID_STRIDES_PX.items() if kind in extractor), 1)
    if height % stride == width % stride == 0:
        return []
    return [f"trainer.input_size: {width}x{height} px; {extractor} needs a multiple of {stride} px"]


def _check_batches(config: TrainEvalPipelineConfig) -> list[str]:
    problems = []
    train = config.train_config
    if not 1 <= train.batch_size <= MAX_BATCH_SIZE:
        problems.append(f"trainer.batch_size: {train.batch_size}; expected 1 to {MAX_BATCH_SIZE}")
    if train.num_steps < 1:
        problems.append(f"trainer.num_steps: {train.num_steps}; expected 1 or more")
    if config.train_input_reader.num_epochs:
        problems.append(
            f"pipeline.config: train_input_reader.num_epochs is {config.train_input_reader.num_epochs}; expected 0, "
            "which repeats the images (otherwise training ends when they run out); remove it"
        )
    return problems


def _check_schedule(config: TrainEvalPipelineConfig) -> list[str]:
    train = config.train_config
    kind = train.optimizer.WhichOneof("optimizer")
    if kind is None:
        return ["pipeline.config: train_config.optimizer is missing; add one, such as momentum_optimizer"]
    rate = getattr(train.optimizer, kind).learning_rate
    if rate.WhichOneof("learning_rate") != "cosine_decay_learning_rate":
        return []
    cosine = rate.cosine_decay_learning_rate
    problems = []
    if cosine.total_steps < train.num_steps:
        problems.append(
            f"pipeline.config: the learning rate falls to 0 in {cosine.total_steps} steps, but num_steps is "
            f"{train.num_steps}: the remaining steps would learn nothing; set total_steps to {train.num_steps}"
        )
    if cosine.warmup_steps + cosine.hold_base_rate_steps >= max(1, cosine.total_steps):
        problems.append(
            f"pipeline.config: warmup_steps ({cosine.warmup_steps}) and hold_base_rate_steps "
            f"({cosine.hold_base_rate_steps}) use up all {cosine.total_steps} steps, so the learning rate cannot fall; "
            "lower them"
        )
    return problems


def _check_readers(config: TrainEvalPipelineConfig) -> list[str]:
    if len(config.eval_input_reader) == 1:
        return []
    return [f"pipeline.config: found {len(config.eval_input_reader)} eval_input_reader; expected exactly one"]


def _check_files(config: TrainEvalPipelineConfig) -> list[str]:
    readers = [config.train_input_reader, *config.eval_input_reader]
    patterns = [pattern for reader in readers for pattern in reader.tf_record_input_reader.input_path]
    missing = [pattern for pattern in map(Path, patterns) if not any(pattern.parent.glob(pattern.name))]
    problems = [f"{pattern}: no TFRecord file matches; the split is empty" for pattern in missing]
    label_maps = sorted({reader.label_map_path for reader in readers})
    problems += [f"{path}: the label map is missing" for path in label_maps if not Path(path).is_file()]
    return problems
