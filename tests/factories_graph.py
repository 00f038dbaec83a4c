"""Graphs of large models, without the file that would take long to write."""

from __future__ import annotations

import math

from reefline.tflite.graph import Graph, Operator, OpOptions, Tensor


def make_tensor(name: str, *shape: int, constant: bool = False, scales: int = 1) -> Tensor:
    data = memoryview(bytes(math.prod(shape))) if constant else None
    return Tensor(name, "INT8", shape, (), (0.5,) * scales, (0,) * scales, 0, False, 0, data)


def make_convolution(index: int) -> Operator:
    """Return one that reads tensor 2n with the weights 2n+1."""
    return Operator(index, "CONV_2D", 3, 3, (2 * index, 2 * index + 1), (2 * index + 2,), OpOptions(), None)


def make_chain(filters: int) -> Graph:
    """Return five convolutions in a row without biases, which count as biases of 0: nothing was trained."""
    tensors = [make_tensor("t0", 1, 64, 64, 3)]
    for inputs in (3, *(filters,) * 4):
        tensors.append(make_tensor("w", filters, 3, 3, inputs, constant=True, scales=filters))
        tensors.append(make_tensor("t", 1, 64, 64, filters))
    return Graph(tuple(tensors), tuple(map(make_convolution, range(5))), (0,), (10,), 1)
