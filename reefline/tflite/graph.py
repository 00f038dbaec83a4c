"""A TFLite graph as plain records: what the rules look at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# What a custom operator calls itself in the file; an Operator's name has CUSTOM: before it.
EDGE_TPU_CODE = "edgetpu-custom-op"
POSTPROCESS_CODE = "TFLite_Detection_PostProcess"
EDGE_TPU_OP = f"CUSTOM:{EDGE_TPU_CODE}"
POSTPROCESS_OP = f"CUSTOM:{POSTPROCESS_CODE}"
EIGHT_BIT_TYPES = ("INT8", "UINT8")
# An optional operand that is left out; also in TFLite's own C API (kTfLiteOptionalTensor).
NO_TENSOR = -1
_BYTES_OF_INT = {"INT32": 4, "INT64": 8}
_BYTES_OF_TYPE = {"INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "FLOAT16": 2, "INT64": 8, "FLOAT64": 8}


@dataclass(frozen=True)
class Tensor:
    """One tensor; `shape_signature` is empty where the file has none, `data` is None where the tensor is computed.

    `scales` and `zero_points` hold one value, one per channel, or none where the tensor is not quantized.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    is_variable: bool
    buffer: int
    data: memoryview | None = field(repr=False, compare=False)

    @property
    def is_constant(self) -> bool:
        """Whether its values are in the file."""
        return self.data is not None

    @property
    def is_eight_bit(self) -> bool:
        """Whether it is int8 or uint8."""
        return self.type in EIGHT_BIT_TYPES

    @property
    def size_bytes(self) -> int:
        """The bytes that its shape takes."""
        return math.prod(self.shape) * _BYTES_OF_TYPE.get(self.type, 4)

    def read_ints(self) -> tuple[int, ...] | None:
        """Return the values of a constant of integers (axes, strides, paddings), None for anything else."""
        width = _BYTES_OF_INT.get(self.type)
        if width is None or self.data is None or len(self.data) % width:
            return None
        starts = range(0, len(self.data), width)
        return tuple(int.from_bytes(self.data[start : start + width], "little", signed=True) for start in starts)


@dataclass(frozen=True)
class OpOptions:
    """What of an operator's options a rule looks at; the defaults are those of TFLite's schema.

    `fused_activation` is 0 where there is none, `weights_format` 0 where weights lie as usual.
    """

    fused_activation: int = 0
    dilation_w: int = 1
    dilation_h: int = 1
    weights_format: int = 0
    axis: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0


@dataclass(frozen=True)
class Operator:
    """One operator; `name` is TFLite's ("CONV_2D"), for a custom operator "CUSTOM:" and its own.

    `inputs` and `outputs` are indices of tensors; an input that is left out is `NO_TENSOR`.
    """

    index: int
    name: str
    builtin_code: int
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: OpOptions
    custom_options: memoryview | None = field(repr=False, compare=False)

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"op {self.index} ({self.name})"


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a model, the one that runs; operators are in the order in which they run."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraph_count: int

    def get_inputs(self, operator: Operator) -> tuple[Tensor, ...]:
        """Return the operands that are there."""
        return tuple(self.tensors[index] for index in operator.inputs if index != NO_TENSOR)

    def get_outputs(self, operator: Operator) -> tuple[Tensor, ...]:
        """Return the results."""
        return tuple(self.tensors[index] for index in operator.outputs)

    def get_input(self, operator: Operator, position: int) -> Tensor | None:
        """Return the operand at `position`, None where it is left out."""
        if position >= len(operator.inputs) or operator.inputs[position] == NO_TENSOR:
            return None
        return self.tensors[operator.inputs[position]]
