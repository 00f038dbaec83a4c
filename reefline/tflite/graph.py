"""A TFLite graph as plain records, for rules to read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# The names of custom operators in the file; `Operator.name` adds the prefix CUSTOM:.
EDGE_TPU_CODE = "edgetpu-custom-op"
POSTPROCESS_CODE = "TFLite_Detection_PostProcess"
EDGE_TPU_OP = f"CUSTOM:{EDGE_TPU_CODE}"
POSTPROCESS_OP = f"CUSTOM:{POSTPROCESS_CODE}"
EIGHT_BIT_TYPES = ("INT8", "UINT8")
# An omitted optional operand, as in TFLite's C API (kTfLiteOptionalTensor).
NO_TENSOR = -1
_BYTES_OF_INT = {"INT32": 4, "INT64": 8}
_BYTES_OF_TYPE = {"INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "FLOAT16": 2, "INT64": 8, "FLOAT64": 8}


@dataclass(frozen=True)
class Tensor:
    """One tensor; `shape_signature` is empty if the file has none, `data` is None if the tensor is computed.

    `scales` and `zero_points` have one value, one per channel, or none if the tensor is not quantized. The channels are
    along the axis `quantized_dimension`.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    quantized_dimension: int
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
        """The size of its values in bytes."""
        return math.prod(self.shape) * _BYTES_OF_TYPE.get(self.type, 4)

    def read_ints(self) -> tuple[int, ...] | None:
        """Return the values of an integer constant (axes, strides, paddings), None for anything else."""
        width = _BYTES_OF_INT.get(self.type)
        if width is None or self.data is None or len(self.data) % width:
            return None
        starts = range(0, len(self.data), width)
        return tuple(int.from_bytes(self.data[start : start + width], "little", signed=True) for start in starts)


@dataclass(frozen=True)
class OpOptions:
    """The options of an operator that rules read; the defaults are those of TFLite's schema.

    `fused_activation` 0 means none, `weights_format` 0 the default layout.
    """

    fused_activation: int = 0
    stride_h: int = 1
    dilation_w: int = 1
    dilation_h: int = 1
    weights_format: int = 0
    axis: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0


@dataclass(frozen=True)
class Operator:
    """One operator; `name` is TFLite's ("CONV_2D"), for a custom operator "CUSTOM:" and its name.

    `inputs` and `outputs` are tensor indices; an omitted input is `NO_TENSOR`.
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
    """The first subgraph of a model, the one that runs; operators are in execution order."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraph_count: int

    def get_inputs(self, operator: Operator) -> tuple[Tensor, ...]:
        """Return the operands, without omitted ones."""
        return tuple(self.tensors[index] for index in operator.inputs if index != NO_TENSOR)

    def get_outputs(self, operator: Operator) -> tuple[Tensor, ...]:
        """Return the outputs."""
        return tuple(self.tensors[index] for index in operator.outputs)

    def get_input(self, operator: Operator, position: int) -> Tensor | None:
        """Return the operand at `position`, None if it is omitted."""
        if position >= len(operator.inputs) or operator.inputs[position] == NO_TENSOR:
            return None
        return self.tensors[operator.inputs[position]]
