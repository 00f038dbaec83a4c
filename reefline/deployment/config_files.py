"""The configuration files of the programs that bundles are deployed for. docs/deploy.md names their sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from reefline.deployment.model_check import ModelInput
from reefline.deployment.programs import Program
from reefline.deployment.yaml_text import quote_yaml
from reefline.tflite.labels import LABELS_FILE

# Where Frigate and Viseron see the folder that users copy into their configuration folder.
MOUNTED_FOLDER = "/config/reefline"
# Frigate attaches these classes to persons and vehicles instead of tracking them, unless attributes_map is empty
# (DEFAULT_ATTRIBUTE_LABEL_MAP in frigate/const.py, 0.16 to 0.18).
FRIGATE_ATTRIBUTES = frozenset(
    {
        *("amazon", "an_post", "canada_post", "dhl", "dpd", "face", "fedex", "gls", "license_plate", "nzpost"),
        *("postnl", "postnord", "purolator", "royal_mail", "ups", "usps"),
    }
)


@dataclass(frozen=True)
class DeployedModel:
    """What a configuration names: the model's name for comments, its file and input, and whether an Edge TPU runs it.

    `min_scores` has the lowest score to report of each class, in the order of the classes.
    """

    name: str
    file: str
    input: ModelInput
    is_compiled: bool
    min_scores: Mapping[str, float]


def _format_score(score: float) -> str:
    """Return a score with four digits, rounded down: int8 models give few different scores, often the threshold."""
    return f"{math.floor(score * 10_000) / 10_000:g}"


def format_config(program: Program, model: DeployedModel) -> tuple[str, str]:
    """Return the name and the text of a program's configuration."""
    if program is Program.FRIGATE:
        return "frigate.yml", _format_frigate(model)
    if program is Program.VISERON:
        return "viseron.yaml", _format_viseron(model)
    return "command.txt", _format_coral_example(model)


def _format_frigate(model: DeployedModel) -> str:
    detector = (
        ["  coral:", "    type: edgetpu", "    device: usb  # or pci, for an M.2 or PCIe accelerator"]
        if model.is_compiled
        else ["  cpu:", "    type: cpu", "    num_threads: 3"]
    )
    attributes = ["  attributes_map: {}"] if FRIGATE_ATTRIBUTES & set(model.min_scores) else []
    lines = [
        f"# {model.name}, written by reefline deploy for Frigate 0.16 to 0.18.",
        f"# Copy this folder into Frigate's configuration folder, so that it is {MOUNTED_FOLDER} in the container,",
        "# and merge these sections into config.yml.",
        "detectors:",
        *detector,
        "model:",
        f"  path: {MOUNTED_FOLDER}/{model.file}",
        f"  labelmap_path: {MOUNTED_FOLDER}/{LABELS_FILE}",
        f"  width: {model.input.width_px}",
        f"  height: {model.input.height_px}",
        "  input_tensor: nhwc",
        "  input_pixel_format: rgb",
        "  input_dtype: int",
        "  model_type: ssd",
        *attributes,
        "objects:",
        "  track:",
        *(f"    - {quote_yaml(label)}" for label in model.min_scores),
        "  filters:",
    ]
    for label, score in model.min_scores.items():
        lines += [
            f"    {quote_yaml(label)}:",
            f"      min_score: {_format_score(score)}",
            f"      threshold: {_format_score(score)}",
        ]
    return "\n".join([*lines, ""])


def _format_viseron(model: DeployedModel) -> str:
    device = '":0"  # the first Edge TPU; or usb, pci' if model.is_compiled else "cpu"
    lines = [
        f"# {model.name}, written by reefline deploy for Viseron 3.",
        f"# Copy this folder into Viseron's configuration folder, so that it is {MOUNTED_FOLDER} in the container,",
        "# merge this section into config.yaml, and replace camera_1 with your camera's identifier.",
        "edgetpu:",
        "  object_detector:",
        f"    model_path: {MOUNTED_FOLDER}/{model.file}",
        f"    label_path: {MOUNTED_FOLDER}/{LABELS_FILE}",
        f"    device: {device}",
        "    cameras:",
        "      camera_1:",
        "        labels:",
    ]
    for label, score in model.min_scores.items():
        lines += [f"          - label: {quote_yaml(label)}", f"            confidence: {_format_score(score)}"]
    return "\n".join([*lines, ""])


def _format_coral_example(model: DeployedModel) -> str:
    return (
        f"python3 detect_image.py --model {model.file} --labels {LABELS_FILE} "
        f"--threshold {_format_score(min(model.min_scores.values()))} --input IMAGE --output detections.jpg\n"
    )
