"""How the convolutions of a network are connected, whichever program or file the network comes from.

Two copies of one architecture list their convolutions in different orders and under different names. They share the
structure: the kind, shape and stride of each convolution, the convolutions that feed it, and the results it leads to.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BOXES, SCORES = "boxes", "scores"


@dataclass(frozen=True)
class ConvolutionNode:
    """One convolution; the nodes of a network are in the order in which they run.

    `kernel_shape` is [height, width, in, out], for a depthwise convolution [height, width, channels, 1]. `sources` are
    the positions of the convolutions whose results arrive here without another convolution in between. `results` are
    the outputs of a detector that this one contributes to, BOXES and SCORES; a classifier has none. `is_head` marks the
    last convolution before an output.
    """

    is_depthwise: bool
    kernel_shape: tuple[int, int, int, int]
    stride: int
    sources: tuple[int, ...]
    results: frozenset[str] = frozenset()
    is_head: bool = False

    @property
    def is_class_head(self) -> bool:
        """Whether its output channels depend on the number of classes."""
        return self.is_head and SCORES in self.results


def unite_sources(groups: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the positions of all groups, each once, in the order in which they first appear."""
    return tuple(dict.fromkeys(position for group in groups for position in group))


def connect(nodes: Sequence[ConvolutionNode], heads: Mapping[str, Iterable[int]]) -> tuple[ConvolutionNode, ...]:
    """Return the nodes with `results` and `is_head` filled in; `heads` are the last convolutions before each output."""
    results: list[set[str]] = [set() for _ in nodes]
    for name, last in heads.items():
        waiting = list(last)
        while waiting:
            position = waiting.pop()
            if name not in results[position]:
                results[position].add(name)
                waiting += nodes[position].sources
    ends = {position for last in heads.values() for position in last}
    return tuple(
        ConvolutionNode(
            node.is_depthwise, node.kernel_shape, node.stride, node.sources, frozenset(found), position in ends
        )
        for position, (node, found) in enumerate(zip(nodes, results, strict=True))
    )


def match_convolutions(
    network: Sequence[ConvolutionNode], other: Sequence[ConvolutionNode], *, ignore_results: bool = False
) -> dict[int, int]:
    """Return, for each convolution of `network` with a counterpart in `other`, the counterpart's position.

    A counterpart has the same kind, shape, stride and results, and its sources are the counterparts of the sources, all
    the way back to the image. The output channels of a class head do not count. `ignore_results` compares a detector
    with a classifier, whose convolutions lead elsewhere. Where several fit equally well, they pair up in running order.
    """
    available: dict[str, list[int]] = defaultdict(list)
    for position, key in enumerate(identify_all(other, ignore_results=ignore_results)):
        available[key].append(position)
    matches = {}
    for position, key in enumerate(identify_all(network, ignore_results=ignore_results)):
        if available[key]:
            matches[position] = available[key].pop(0)
    return matches


def identify_all(network: Sequence[ConvolutionNode], *, ignore_results: bool) -> list[str]:
    """Return a hash per convolution; two are equal if everything from the image up to them is.

    The hashes are the same in every process. The output channels of a class head do not count, as classes differ.
    """
    keys: list[str] = []
    for node in network:
        shape = node.kernel_shape[:3] if node.is_class_head and not ignore_results else node.kernel_shape
        results = () if ignore_results else (tuple(sorted(node.results)), node.is_head)
        sources = tuple(sorted(keys[source] for source in node.sources))
        facts = (node.is_depthwise, shape, node.stride, sources, results)
        keys.append(hashlib.sha256(repr(facts).encode()).hexdigest()[:16])
    return keys
