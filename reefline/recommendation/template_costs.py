"""What each template costs, measured once, so that a recommendation has to measure a single one.

A template without an entry can be recommended by name and trained; its cost is then unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reefline.od_api.probe import estimate_training_bytes

REFERENCE = "ssd_mobilenet_v1_300"
# benchmarks/recipes.py: 0.29 s for a step of 8 images on 2 cores.
REFERENCE_IMAGE_S = 0.29 / 8
REFERENCE_CORES = 2


@dataclass(frozen=True)
class TemplateCost:
    """The cost of a template at its own input size.

    `relative_step` is the CPU time of a training step per image, REFERENCE being 1. The bytes are od_api/probe's.
    `edge_tpu_ops` are the operators predicted on the Edge TPU, and all of them; None if that was not measured.
    """

    relative_step: float
    activation_bytes_per_image: int
    weights_bytes: int
    edge_tpu_ops: tuple[int, int] | None = None

    def image_s(self, scale: float = 1.0) -> float:
        """Return the seconds of a step per image on REFERENCE_CORES; `scale` is the input's area by the template's."""
        return self.relative_step * scale * REFERENCE_IMAGE_S

    def memory_bytes(self, batch_size: int, scale: float = 1.0) -> int:
        """Return approximately how much memory training needs."""
        activations = round(self.activation_bytes_per_image * scale)
        return estimate_training_bytes(self.weights_bytes, activations, batch_size)


# Steps and bytes: benchmarks/template_costs.py. Operators: benchmarks/README.md, "Where operators run".
TEMPLATE_COSTS: Mapping[str, TemplateCost] = {
    "efficientdet_d0": TemplateCost(8.35, 728_441_152, 22_280_432),
    "efficientdet_d1": TemplateCost(19.83, 1_587_067_704, 33_280_172),
    "ssd_mobilenet_v1_300": TemplateCost(1.0, 85_331_664, 12_698_976, (64, 67)),
    "ssd_mobilenet_v1_fpn_640": TemplateCost(38.2, 766_947_200, 43_687_872, (102, 105)),
    "ssd_mobilenet_v2_320": TemplateCost(1.38, 146_548_272, 18_725_152, (99, 102)),
    "ssd_mobilenet_v2_fpnlite_320": TemplateCost(1.73, 190_924_032, 10_398_656, (151, 154)),
    "ssd_mobilenet_v2_fpnlite_640": TemplateCost(7.83, 763_568_000, 10_398_656, (4, 154)),
    "ssd_mobilenet_v2_tiny": TemplateCost(0.36, 37_183_800, 3_550_660, (98, 101)),
    "ssd_resnet101_fpn_640": TemplateCost(78.61, 2_060_556_592, 203_029_440, (215, 218)),
    "ssd_resnet50_fpn_640": TemplateCost(54.52, 1_447_794_992, 126_852_032, (147, 150)),
}
