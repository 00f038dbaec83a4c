"""The TF2 detection zoo: the models with SSD heads, which training can start from.

Source: research/object_detection/g3doc/tf2_detection_zoo.md of tensorflow/models, which has no sha256 of the archives.
"""

from __future__ import annotations

import difflib
from typing import Optional

from reefline.errors import ConfigError

_PREFIX = "zoo:"
_HOME = "https://download.tensorflow.org/models/object_detection/tf2/20200711"
# The zoo's names, and the template of each; None where no template has this architecture.
ZOO_TEMPLATES: dict[str, Optional[str]] = {
    "efficientdet_d0_coco17_tpu-32": "efficientdet_d0",
    "efficientdet_d1_coco17_tpu-32": "efficientdet_d1",
    "efficientdet_d2_coco17_tpu-32": None,
    "efficientdet_d3_coco17_tpu-32": None,
    "efficientdet_d4_coco17_tpu-32": None,
    "efficientdet_d5_coco17_tpu-32": None,
    "efficientdet_d6_coco17_tpu-32": None,
    "efficientdet_d7_coco17_tpu-32": None,
    "ssd_mobilenet_v1_fpn_640x640_coco17_tpu-8": "ssd_mobilenet_v1_fpn_640",
    "ssd_mobilenet_v2_320x320_coco17_tpu-8": "ssd_mobilenet_v2_320",
    "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8": "ssd_mobilenet_v2_fpnlite_320",
    "ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8": "ssd_mobilenet_v2_fpnlite_640",
    "ssd_resnet50_v1_fpn_640x640_coco17_tpu-8": "ssd_resnet50_fpn_640",
    "ssd_resnet50_v1_fpn_1024x1024_coco17_tpu-8": "ssd_resnet50_fpn_640",
    "ssd_resnet101_v1_fpn_640x640_coco17_tpu-8": "ssd_resnet101_fpn_640",
    "ssd_resnet101_v1_fpn_1024x1024_coco17_tpu-8": "ssd_resnet101_fpn_640",
    "ssd_resnet152_v1_fpn_640x640_coco17_tpu-8": None,
    "ssd_resnet152_v1_fpn_1024x1024_coco17_tpu-8": None,
}


def find_zoo_name(source: str) -> Optional[str]:
    """Return NAME of the source `zoo:NAME`; None for any other source."""
    return source.removeprefix(_PREFIX) if source.startswith(_PREFIX) else None


def locate_in_zoo(name: str) -> str:
    """Return the URL of a zoo model's archive.

    Raises:
        ConfigError: the zoo has no such model with SSD heads; the message has the nearest names.
    """
    if name not in ZOO_TEMPLATES:
        # All names end alike, which would make any two of them similar.
        stems = {_strip_end(known): known for known in ZOO_TEMPLATES}
        close = [stems[stem] for stem in difflib.get_close_matches(_strip_end(name), stems, n=3)]
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise ConfigError(
            f"trainer.start: the zoo has no SSD model named {name!r}; {hint}available: {', '.join(ZOO_TEMPLATES)}"
        )
    return f"{_HOME}/{name}.tar.gz"


def _strip_end(name: str) -> str:
    return name.partition("_coco17")[0]
