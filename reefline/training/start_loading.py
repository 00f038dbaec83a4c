"""Putting the weights of a starting point into the model that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reefline.errors import ArchitectureError, BundleError
from reefline.od_api.architectures import find_templates_of_checkpoint, find_templates_of_network
from reefline.od_api.export import read_input_size
from reefline.od_api.label_map_file import read_label_map
from reefline.od_api.model_config import find_pinning_template
from reefline.od_api.train_step import TrainStep
from reefline.od_api.training_images import read_training_images
from reefline.od_api.transfer import TransferReport
from reefline.system.files import hash_file
from reefline.tflite.convolutions import read_convolutions
from reefline.training.starting_point import StartingPoint
from reefline.training.tflite_weights import MEASURED_IMAGES, load_tflite_weights

if TYPE_CHECKING:
    from reefline.od_api.model_config import TrainEvalPipelineConfig


def load_start(start: StartingPoint, step: TrainStep, od_config: TrainEvalPipelineConfig) -> TransferReport | None:
    """Set the model's weights from the starting point; return what was restored, None for new weights.

    Batch normalization that a TFLite file has folded away is measured on training images.

    Raises:
        ArchitectureError: the weights belong to another architecture; the message names its template if known.
        CheckpointError: the checkpoint cannot be read.
        BundleError: the TFLite file is damaged or not quantized, or the bundle's model has another input size.
    """
    try:
        if start.prefix is not None:
            return step.load_fine_tune_checkpoint(start.prefix, start.type)
        if start.tflite is None:
            return None
        _check_size(start, od_config)
        images, path = read_training_images(od_config, MEASURED_IMAGES), start.tflite
        names = read_label_map(od_config.train_input_reader.label_map_path).names
        return step.load_with(lambda model: load_tflite_weights(model, path, images, names), od_config.model)
    except ArchitectureError as error:
        raise _name_template(error, start) from error


def _check_size(start: StartingPoint, od_config: TrainEvalPipelineConfig) -> None:
    size = read_input_size(od_config)
    if start.size_px not in (None, (size.height_px, size.width_px)):
        height_px, width_px = start.size_px or (0, 0)
        raise BundleError(
            f"trainer.start: {start.tflite}: the bundle's model has an input of {width_px}x{height_px} px, the config "
            f"{size.width_px}x{size.height_px} px; set trainer.input_size to {width_px}, or use another start"
        )


def _name_template(error: ArchitectureError, start: StartingPoint) -> ArchitectureError:
    """Add the templates that weights of another architecture belong to, where they are known."""
    names = _find_templates(start)
    if not names:
        return error
    return ArchitectureError(
        *(f"{text}; these weights belong to trainer.model: {' or '.join(names)}" for text in error.problems)
    )


def _find_templates(start: StartingPoint) -> tuple[str, ...]:
    """Return the templates of a start: named by the zoo or a pin, else those of the same structure."""
    import tensorflow as tf

    if start.template is not None:
        return (start.template,)
    if start.tflite is not None:
        pinning = find_pinning_template(hash_file(start.tflite))
        if pinning is not None:
            return (pinning.name,)
        return find_templates_of_network([each.node for each in read_convolutions(start.tflite)])
    return find_templates_of_checkpoint(tf.train.load_checkpoint(start.prefix).get_variable_to_shape_map())
