"""Which template weights belong to, by their structure: for a start that turns out to be of another architecture.

A template without an entry below can be trained all the same; weights are only never attributed to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reefline.od_api.convolutions import TracedConvolutions
from reefline.structures.convolution_graph import ConvolutionNode, identify_all

_BACKBONE, _CLASS_HEADS = "classification_backbone", "class_predictions_with_background"
_KERNEL_RANK = 4


@dataclass(frozen=True)
class Architecture:
    """Hashes of a network's structure, whatever its number of classes and its input size.

    `backbone` is the identity of the backbone's last convolution, which contains all before it; `detector` is that of
    all convolutions. `backbone_kernels` and `detector_kernels` are the same for a checkpoint, of which only the shapes
    of its kernels are known.
    """

    backbone: str
    detector: str
    backbone_kernels: str
    detector_kernels: str


# Computed by `describe_architecture`; tests/integration/test_architectures.py compares.
ARCHITECTURES: Mapping[str, Architecture] = {
    "efficientdet_d0": Architecture("147fa2bade311769", "0569aabee485be89", "f1c74722f69a552a", "319dba22ab30b85a"),
    "efficientdet_d1": Architecture("42f3c67f15d5d620", "d3e84e3e1f27bc0c", "2dd7456d75d83dcf", "9a1814d4b52180c3"),
    "ssd_mobilenet_v1_300": Architecture(
        "3d7f118dbadf0f11", "eaefcf0bbd3d42e0", "47d29d3ade801861", "0ca7ba08a7f56e1b"
    ),
    "ssd_mobilenet_v1_fpn_640": Architecture(
        "97f87e13b8f6016f", "a2657319ed379fcb", "43c447f202c33f0f", "dfd671e802df3120"
    ),
    "ssd_mobilenet_v2_320": Architecture(
        "e12690c93e351eb9", "bd2740aba44fc677", "ee53c3776030ab19", "e5ea384f8e16065d"
    ),
    "ssd_mobilenet_v2_fpnlite_320": Architecture(
        "e12690c93e351eb9", "773b1f8184903f18", "ee53c3776030ab19", "67414af1d7da1b52"
    ),
    "ssd_mobilenet_v2_fpnlite_640": Architecture(
        "e12690c93e351eb9", "773b1f8184903f18", "ee53c3776030ab19", "67414af1d7da1b52"
    ),
    "ssd_mobilenet_v2_tiny": Architecture(
        "bf2bdaa58154f7ae", "d485a6bddc4f9c51", "53f85fb19a814b4b", "04bc214ec2b92006"
    ),
    "ssd_resnet101_fpn_640": Architecture(
        "023d5e92935dbfc0", "4c63733a30f51601", "28c9dd1273e40b5e", "4da2a1ed31b584b9"
    ),
    "ssd_resnet50_fpn_640": Architecture(
        "7626a55c0eb23f5d", "8a8e1f5e567556c0", "ac95a556b375a7e8", "3971ef43c0376fbe"
    ),
    "ssdlite_mobiledet_320": Architecture(
        "8711aa62de274562", "ff099612d9084c04", "d8eb80576958dcbd", "4c9c4cd7cb29b6de"
    ),
}


def find_templates_of_network(network: Sequence[ConvolutionNode]) -> tuple[str, ...]:
    """Return the templates that a network's weights belong to: all of it, else its backbone; empty if none is known."""
    detector, identities = _hash_network(network), set(identify_all(network, ignore_results=True))
    exact = tuple(name for name, known in ARCHITECTURES.items() if known.detector == detector)
    return exact or tuple(name for name, known in ARCHITECTURES.items() if known.backbone in identities)


def find_templates_of_checkpoint(shapes: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Return the templates that a checkpoint belongs to; `shapes` are those of its variables, by checkpoint key."""
    detector, backbone = _hash_checkpoint(shapes)
    exact = tuple(name for name, known in ARCHITECTURES.items() if known.detector_kernels == detector)
    return exact or tuple(name for name, known in ARCHITECTURES.items() if known.backbone_kernels == backbone)


def describe_architecture(model: Any, size_px: int, shapes: Mapping[str, Sequence[int]]) -> Architecture:
    """Return the entry of a built model; `shapes` are those of the variables in a checkpoint of it."""
    convolutions = TracedConvolutions(model, size_px, size_px).convolutions
    variables = {id(variable) for variable in model._feature_extractor.classification_backbone.variables}
    network = [convolution.node for convolution in convolutions]
    last = max(at for at, convolution in enumerate(convolutions) if id(convolution.kernel) in variables)
    detector_kernels, backbone_kernels = _hash_checkpoint(shapes)
    return Architecture(
        backbone=identify_all(network, ignore_results=True)[last],
        detector=_hash_network(network),
        backbone_kernels=backbone_kernels,
        detector_kernels=detector_kernels,
    )


def _hash_network(network: Sequence[ConvolutionNode]) -> str:
    return _hash(identify_all(network, ignore_results=False))


def _hash_checkpoint(shapes: Mapping[str, Sequence[int]]) -> tuple[str, str]:
    """Return the hashes of all kernels but those of class heads, and of the backbone's."""
    kernels = {
        key: str(tuple(int(side) for side in shape))
        for key, shape in shapes.items()
        if len(shape) == _KERNEL_RANK and "OPTIMIZER_SLOT" not in key and _CLASS_HEADS not in key
    }
    backbone = [shape for key, shape in kernels.items() if f"/{_BACKBONE}/" in key]
    return _hash(kernels.values()), _hash(backbone)


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]
