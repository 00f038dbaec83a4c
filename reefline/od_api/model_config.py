"""pipeline.config: built from a template in configs/models and the YAML's values, and checked before use."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.errors import ConfigError
from reefline.od_api.label_map_file import read_label_map
from reefline.od_api.model_config_rules import (
    EXPORTED_KIND,
    describe_kind,
    find_config_problems,
    find_syntax_problems,
    read_ssd,
)
from reefline.od_api.published_start import PublishedStart, parse_published_start
from reefline.od_api.zoo import find_zoo_name, locate_in_zoo
from reefline.settings import Augmentation, EdgeTpuTarget, Start, StartKeyword, TrainerSettings, find_keyword
from reefline.structures.label_map import LabelMap

if TYPE_CHECKING:
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

TEMPLATE_DIR = Path(__file__).resolve().parents[2] / "configs" / "models"
_EDGE_TPU_LINE = re.compile(r"^#\s*edge_tpu:\s*(yes|no)\s*$", re.MULTILINE)
_EDGE_TPU_NOTE = re.compile(r"^#\s*edge_tpu_note:\s*(.+?)\s*$", re.MULTILINE)
# The one field of a pipeline.config's `model`, skipping comments.
_MODEL_KIND = re.compile(r"^\s*model\s*:?\s*[{<](?:\s*#.*\n)*\s*(\w+)", re.MULTILINE)

# Ranges follow the OD API's sample configs: strong enough to matter, weak enough to keep objects recognizable.
_AUGMENTATION_PROTOS = {
    Augmentation.HORIZONTAL_FLIP: "random_horizontal_flip {}",
    Augmentation.VERTICAL_FLIP: "random_vertical_flip {}",
    Augmentation.ROTATION_90: "random_rotation90 {}",
    Augmentation.RANDOM_CROP: (
        "random_crop_image { min_object_covered: 0.0 min_aspect_ratio: 0.75 max_aspect_ratio: 1.33 "
        "min_area: 0.5 max_area: 1.0 overlap_thresh: 0.3 }"
    ),
    # The defaults are those of the SSD paper (Liu et al. 2016, section 2.2); padding at most doubles the sides.
    Augmentation.SSD_RANDOM_CROP: "ssd_random_crop {}",
    Augmentation.SSD_RANDOM_CROP_PAD: "ssd_random_crop_pad {}",
    Augmentation.BRIGHTNESS: "random_adjust_brightness { max_delta: 0.1 }",
    Augmentation.CONTRAST: "random_adjust_contrast { min_delta: 0.8 max_delta: 1.25 }",
    Augmentation.SATURATION: "random_adjust_saturation { min_delta: 0.8 max_delta: 1.25 }",
    Augmentation.HUE: "random_adjust_hue { max_delta: 0.02 }",
}


@dataclass(frozen=True)
class ModelTemplate:
    """A file of configs/models: its name, its text and whether it is marked as suiting the Edge TPU.

    `edge_tpu_note` explains why it does not and what to use instead, "" without a note. `published` are the weights
    that `trainer.start: published` means, None without any.
    """

    name: str
    text: str
    edge_tpu: bool
    edge_tpu_note: str = ""
    published: PublishedStart | None = None

    @property
    def kind(self) -> str:
        """The OD API's name of the kind of model, "" if not found; found without importing the OD API."""
        found = _MODEL_KIND.search(self.text)
        return found.group(1) if found else ""


@dataclass(frozen=True)
class TrainingFiles:
    """The files a training run reads: TFRecord paths or globs of each split, and the label map."""

    train_records: tuple[str, ...]
    eval_records: tuple[str, ...]
    label_map: Path
    max_boxes_per_image: int = 100


def list_templates(directory: Path = TEMPLATE_DIR) -> tuple[str, ...]:
    """Return the names of all templates, sorted."""
    return tuple(sorted(path.stem for path in directory.glob("*.config")))


def load_template(name: str, directory: Path = TEMPLATE_DIR) -> ModelTemplate:
    """Read one template.

    Raises:
        ConfigError: no such template exists, it is not marked "edge_tpu: yes" or "no", or its published start is
            incomplete.
    """
    names = list_templates(directory)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"trainer.model: no template named {name!r}; {hint}available: {', '.join(names)}")
    path = directory / f"{name}.config"
    text = path.read_text()
    mark = _EDGE_TPU_LINE.search(text)
    if mark is None:
        raise ConfigError(f"{path.name}: the line '# edge_tpu: yes' or '# edge_tpu: no' is missing; add it at the top")
    note = _EDGE_TPU_NOTE.search(text)
    return ModelTemplate(
        name,
        text,
        edge_tpu=mark.group(1) == "yes",
        edge_tpu_note=note.group(1) if note else "",
        published=parse_published_start(text, path.name),
    )


def find_pinning_template(sha256: str, directory: Path = TEMPLATE_DIR) -> ModelTemplate | None:
    """Return the first template whose published start is the file with this sha256; None if no template names it."""
    templates = (load_template(name, directory) for name in list_templates(directory))
    return next((each for each in templates if each.published is not None and each.published.sha256 == sha256), None)


def check_start(start: Start, template: ModelTemplate, directory: Path = TEMPLATE_DIR) -> None:
    """Refuse a start that does not exist for this template, before anything is downloaded.

    Raises:
        ConfigError: the template has no published weights, or the zoo has no model of that name.
    """
    for source in filter(None, (start.source, start.otherwise)):
        zoo_name = find_zoo_name(source)
        if zoo_name is not None:
            locate_in_zoo(zoo_name)
        if find_keyword(source) is StartKeyword.PUBLISHED and template.published is None:
            templates = (load_template(name, directory) for name in list_templates(directory))
            having = ", ".join(each.name for each in templates if each.published is not None)
            raise ConfigError(
                f"trainer.start: {template.name} has no published weights; set start to scratch or to a path, URL or "
                f"zoo:NAME, or choose a model that has them: {having}"
            )


def list_edge_tpu_templates(directory: Path = TEMPLATE_DIR) -> tuple[str, ...]:
    """Return the names of the templates that are marked "edge_tpu: yes" and can be exported, sorted."""
    templates = (load_template(name, directory) for name in list_templates(directory))
    return tuple(template.name for template in templates if template.edge_tpu and template.kind == EXPORTED_KIND)


def check_edge_tpu(template: ModelTemplate, target: EdgeTpuTarget, directory: Path = TEMPLATE_DIR) -> None:
    """Refuse a model that cannot be exported, or that cannot run on the Edge TPU although the config requires it.

    Raises:
        ConfigError: the model is of a kind that Reefline does not export, whatever its template's mark; or the template
            is marked "edge_tpu: no" and the target is not `never`.
    """
    if template.kind not in (EXPORTED_KIND, ""):
        problem, way_out = describe_kind(template.kind), ""
    elif template.edge_tpu or target is EdgeTpuTarget.NEVER:
        return
    else:
        note = f" ({template.edge_tpu_note})" if template.edge_tpu_note else ""
        problem, way_out = f"does not map to the Edge TPU{note}", ", or set 'edgetpu: never' for a float bundle"
    suitable = ", ".join(list_edge_tpu_templates(directory))
    raise ConfigError(f"trainer.model: {template.name} {problem}; choose one of {suitable}{way_out}")


def parse_pipeline_config(text: str, source: str) -> TrainEvalPipelineConfig:
    """Parse the text of a pipeline.config.

    Raises:
        ConfigError: unknown fields or malformed values; each message names line and column.
    """
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2

    try:
        return text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    except text_format.ParseError as error:
        raise ConfigError(*find_syntax_problems(text, source)) from error


def build_pipeline_config(
    template: ModelTemplate, settings: TrainerSettings, files: TrainingFiles
) -> TrainEvalPipelineConfig:
    """Fill a template with the YAML's values and the paths of one run.

    Raises:
        ConfigError: the template is malformed.
    """
    config = build_model_config(template, settings.input_size, len(read_label_map(files.label_map).names))
    _fill_train_config(config.train_config, settings, files)
    _fill_reader(config.train_input_reader, files.train_records, files, shuffle=True)
    del config.eval_input_reader[:]
    _fill_reader(config.eval_input_reader.add(), files.eval_records, files, shuffle=False)
    config.eval_config.num_visualizations = settings.sample_images
    return config


def build_model_config(template: ModelTemplate, input_size_px: int | None, classes: int) -> TrainEvalPipelineConfig:
    """Fill a template's model with a run's classes and input size, None for the template's own size.

    Raises:
        ConfigError: the template is malformed.
    """
    config = parse_pipeline_config(template.text, f"{template.name}.config")
    model = read_ssd(config)
    model.num_classes = classes
    if input_size_px is not None:
        resizer = model.image_resizer.fixed_shape_resizer
        resizer.height = resizer.width = input_size_px
    return config


def with_synchronized_batch_norm(config: TrainEvalPipelineConfig) -> TrainEvalPipelineConfig:
    """Return a copy whose batch normalization computes its statistics over the batches of all devices.

    Otherwise each device normalizes by its own part of a batch, and two devices train another model than one does. The
    variables keep their names, so checkpoints fit both.
    """
    copy = type(config)()
    copy.CopyFrom(config)
    _synchronize(copy)
    return copy


def _synchronize(message: Any) -> None:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in value if field.label == field.LABEL_REPEATED else (value,):
            if field.message_type.name == "Hyperparams" and item.HasField("batch_norm"):
                # Setting one of the two clears the other, so serialize it first.
                serialized = item.batch_norm.SerializeToString()
                item.sync_batch_norm.ParseFromString(serialized)
            else:
                _synchronize(item)


def _fill_train_config(train: Any, settings: TrainerSettings, files: TrainingFiles) -> None:
    from google.protobuf import text_format

    train.batch_size = settings.batch_size
    train.num_steps = settings.num_steps
    train.max_number_of_boxes = files.max_boxes_per_image
    train.fine_tune_checkpoint_version = 2  # train_pb2.CheckpointVersion.V2, the only one TF2 reads
    rate = train.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    rate.learning_rate_base = settings.learning_rate
    rate.total_steps = settings.num_steps
    rate.warmup_steps = min(settings.warmup_steps, settings.num_steps // 2)
    rate.warmup_learning_rate = settings.learning_rate / 10
    del train.data_augmentation_options[:]
    for augmentation in settings.augmentations:
        text_format.Parse(_AUGMENTATION_PROTOS[augmentation], train.data_augmentation_options.add())


def _fill_reader(reader: Any, records: tuple[str, ...], files: TrainingFiles, *, shuffle: bool) -> None:
    reader.label_map_path = str(files.label_map)
    reader.tf_record_input_reader.input_path[:] = records
    reader.shuffle = shuffle
    reader.num_epochs = 0 if shuffle else 1
    # Several readers interleave files in an order that varies from run to run.
    reader.num_readers = 8 if shuffle else 1
    reader.max_number_of_boxes = files.max_boxes_per_image
    reader.include_source_id = True


def verify_pipeline_config(config: TrainEvalPipelineConfig, label_map: LabelMap) -> None:
    """Check, before anything is built, for what would otherwise fail late or not at all.

    Raises:
        ConfigError: one message per wrong class count, missing file, impossible batch, input size or schedule.
    """
    problems = find_config_problems(config, label_map)
    if problems:
        raise ConfigError(*problems)


def write_pipeline_config(config: TrainEvalPipelineConfig, path: Path) -> None:
    """Write a pipeline.config as text."""
    from google.protobuf import text_format

    path.write_text(text_format.MessageToString(config))


def read_pipeline_config(path: Path) -> TrainEvalPipelineConfig:
    """Read back what `write_pipeline_config` wrote."""
    return parse_pipeline_config(path.read_text(), str(path))
