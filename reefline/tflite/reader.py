"""Reading a TFLite flatbuffer."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reefline.errors import BundleError
from reefline.tflite.graph import NO_TENSOR, Graph, Operator, OpOptions, Tensor

FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
# flatbuffers checks nothing and raises any of these on bad offsets; none means more than "damaged".
DAMAGE_ERRORS = (struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)
# The options that rules read, by operator; the names are those of the schema's tables.
_OPTION_TABLES = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "PACK": "PackOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
}


def count_operators(path: Path) -> int:
    """Return the number of operators in a model's first subgraph, the one that runs.

    Raises:
        BundleError: the file is not a TFLite model.
    """
    model = open_model(path)
    with naming_damage(path):
        return int(model.Subgraphs(0).OperatorsLength())


def is_tflite(path: Path) -> bool:
    """Return whether a file starts like a TFLite model.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(8)[4:] == FILE_IDENTIFIER


def open_model(path: Path) -> Any:
    """Return the flatbuffer's Model.

    Raises:
        BundleError: the file is missing, damaged or not a TFLite model.
    """
    return parse_model(_read_content(path), path)


def parse_model(content: bytes, path: Path) -> Any:
    """Return the Model of a flatbuffer in memory; `path` is for messages.

    Raises:
        BundleError: the content is damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    with naming_damage(path):
        return schema.Model.GetRootAs(content, 0)


def read_graph(path: Path) -> Graph:
    """Return the model's first subgraph as plain records.

    Raises:
        BundleError: the file is missing, damaged or not a TFLite model.
    """
    content = _read_content(path)
    with naming_damage(path):
        return _GraphReader(content).read()


def _read_content(path: Path) -> bytes:
    try:
        # Reading a FIFO may never end, nor a device.
        if path.exists() and not path.is_file():
            raise BundleError(f"{path}: not a regular file; pass a TFLite file")
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); pass a TFLite file") from error
    if content[4:8] != FILE_IDENTIFIER:
        raise BundleError(
            f"{path}: not a TFLite model (bytes 4 to 8 are {content[4:8]!r}, expected {FILE_IDENTIFIER!r})"
        )
    return content


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn the errors of a damaged file into a BundleError that names it."""
    try:
        yield
    except DAMAGE_ERRORS as error:
        raise BundleError(
            f"{path}: starts like a TFLite model, but is damaged or truncated ({error}); convert or copy it again"
        ) from error


class _GraphReader:
    """Reads with a budget: a damaged length must not cause hours of reading the same bytes."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._model = schema.Model.GetRootAs(content, 0)
        self._elements_left = len(content)
        self._op_names = _invert(schema.BuiltinOperator)
        self._type_names = _invert(schema.TensorType)

    def read(self) -> Graph:
        if self._model.Version() != _SCHEMA_VERSION:
            raise ValueError(f"schema version {self._model.Version()} found, {_SCHEMA_VERSION} expected")
        graph = self._model.Subgraphs(0)
        tensors = tuple(self._read_tensor(graph.Tensors(index)) for index in self._range(graph.TensorsLength()))
        operators = tuple(
            self._read_operator(graph.Operators(index), index) for index in self._range(graph.OperatorsLength())
        )
        inputs, outputs = self._ints(graph.InputsAsNumpy()), self._ints(graph.OutputsAsNumpy())
        used = [*inputs, *outputs, *(index for operator in operators for index in operator.outputs)]
        used += [index for operator in operators for index in operator.inputs if index != NO_TENSOR]
        if any(not 0 <= index < len(tensors) for index in used):
            raise ValueError(f"a tensor index is outside the graph's {len(tensors)} tensors")
        return Graph(tensors, operators, inputs, outputs, int(self._model.SubgraphsLength()))

    def _range(self, length: int) -> range:
        self._elements_left -= length
        if self._elements_left < 0:
            raise ValueError("the file lists more elements than it has bytes")
        return range(length)

    def _ints(self, vector: Any) -> tuple[int, ...]:
        """Return a vector of numbers; flatbuffers returns the number 0 for a missing one."""
        if isinstance(vector, int):
            return ()
        self._range(len(vector))
        return tuple(vector.tolist())

    def _read_tensor(self, tensor: Any) -> Tensor:
        quantization = tensor.Quantization()
        return Tensor(
            name=(tensor.Name() or b"").decode("utf-8", errors="replace"),
            type=self._type_names.get(tensor.Type(), f"type {tensor.Type()}"),
            shape=self._ints(tensor.ShapeAsNumpy()),
            shape_signature=self._ints(tensor.ShapeSignatureAsNumpy()),
            scales=self._ints(quantization.ScaleAsNumpy()) if quantization else (),
            zero_points=self._ints(quantization.ZeroPointAsNumpy()) if quantization else (),
            quantized_dimension=quantization.QuantizedDimension() if quantization else 0,
            is_variable=bool(tensor.IsVariable()),
            buffer=tensor.Buffer(),
            data=self._read_data(tensor.Buffer()),
        )

    def _read_data(self, index: int) -> memoryview | None:
        if index >= self._model.BuffersLength():
            raise ValueError(f"buffer {index} is used, but the file has {self._model.BuffersLength()}")
        data = self._model.Buffers(index).DataAsNumpy()
        return None if isinstance(data, int) or not len(data) else memoryview(data)

    def _read_operator(self, operator: Any, index: int) -> Operator:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        if operator.OpcodeIndex() >= self._model.OperatorCodesLength():
            raise ValueError(f"op {index} has operator code {operator.OpcodeIndex()}, which the file does not list")
        # Codes up to 127 are in the older field, which all files fill (schema.fbs, OperatorCode).
        builtin_code = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self._op_names.get(builtin_code, f"BUILTIN_{builtin_code}")
        if name == "CUSTOM":
            name = f"CUSTOM:{(code.CustomCode() or b'').decode('utf-8', errors='replace')}"
        custom_options = operator.CustomOptionsAsNumpy()
        return Operator(
            index=index,
            name=name,
            builtin_code=builtin_code,
            version=code.Version(),
            inputs=self._ints(operator.InputsAsNumpy()),
            outputs=self._ints(operator.OutputsAsNumpy()),
            options=self._read_options(operator, name),
            custom_options=None if isinstance(custom_options, int) else memoryview(custom_options),
        )

    def _read_options(self, operator: Any, name: str) -> OpOptions:
        table_name = _OPTION_TABLES.get(name)
        union = operator.BuiltinOptions()
        if (
            table_name is None
            or union is None
            or operator.BuiltinOptionsType() != getattr(self._schema.BuiltinOptions, table_name)
        ):
            return OpOptions()
        options = getattr(self._schema, table_name)()
        options.Init(union.Bytes, union.Pos)
        return OpOptions(
            fused_activation=_get(options, "FusedActivationFunction", 0),
            stride_h=_get(options, "StrideH", 1),
            dilation_w=_get(options, "DilationWFactor", 1),
            dilation_h=_get(options, "DilationHFactor", 1),
            weights_format=_get(options, "WeightsFormat", 0),
            axis=_get(options, "Axis", 0),
            ellipsis_mask=_get(options, "EllipsisMask", 0),
            new_axis_mask=_get(options, "NewAxisMask", 0),
        )


def _get(options: Any, field_name: str, default: int) -> int:
    getter = getattr(options, field_name, None)
    return default if getter is None else int(getter())


def _invert(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
