"""Small TFLite files, built with the schema itself; they have what rules read, and no sensible weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

EDGE_TPU = "edgetpu-custom-op"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor; without a scale it is not quantized, with data it is a constant."""

    name: str
    shape: tuple[int, ...] = (1, 8, 8, 4)
    type: str = "INT8"
    scales: tuple[float, ...] = (0.5,)
    data: bytes = b""
    signature: tuple[int, ...] = ()
    is_variable: bool = False


@dataclass(frozen=True)
class OpSpec:
    """An operator, its tensors by name; a name that is no builtin's is a custom operator's. "" is left out."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    version: int = 1
    options: Any = None
    custom_options: bytes = b""
    builtin_code: int | None = None


def ints(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little", signed=True) for value in values)


def parameter(name: str, *values: int) -> TensorSpec:
    """An int32 constant: axes, shapes, paddings, strides."""
    return TensorSpec(name, (len(values),), "INT32", (), ints(*values))


def weights(name: str, shape: tuple[int, ...] = (4, 1, 1, 4)) -> TensorSpec:
    count = 1
    for size in shape:
        count *= size
    return TensorSpec(name, shape, data=bytes([1] * count))


def bias(name: str, type: str = "INT32") -> TensorSpec:
    return TensorSpec(name, (4,), type, data=bytes(16))


def conv(source: str, target: str, version: int = 3) -> OpSpec:
    return OpSpec("CONV_2D", (source, "weights", "bias"), (target,), version)


CONV_PARAMETERS = (weights("weights"), bias("bias"))


def build_model(
    tensors: Sequence[TensorSpec],
    ops: Sequence[OpSpec],
    inputs: Sequence[str],
    outputs: Sequence[str],
    subgraphs: int = 1,
) -> bytes:
    """Return a TFLite file; `subgraphs` is how often its one graph stands in it."""
    names = [tensor.name for tensor in tensors]
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT(), *map(_make_buffer, tensors)]
    graph = schema.SubGraphT()
    graph.tensors = [_make_tensor(tensor, position + 1) for position, tensor in enumerate(tensors)]
    graph.inputs, graph.outputs = [names.index(name) for name in inputs], [names.index(name) for name in outputs]
    graph.operators = [_make_operator(op, position, names) for position, op in enumerate(ops)]
    model.operatorCodes = [_make_code(op) for op in ops]
    model.subgraphs = [graph] * subgraphs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def add_unstable_convolution(model: bytes) -> bytes:
    """Return a quantized model with one more convolution on its image, of a scale that XNNPACK refuses.

    XNNPACK prepares int8 convolutions only where input scale * kernel scale / output scale is below 256.
    """
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(model), 0))
    graph = parsed.subgraphs[0]
    image = graph.operators[0].outputs[0]
    scale = graph.tensors[image].quantization.scale[0]
    height, width = graph.tensors[image].shape[1:3]
    tensors = (
        quantized("unstable kernel", np.ones((4, 1, 1, 3), np.int8), (1000.0,) * 4),
        quantized("unstable bias", np.zeros(4, np.int32), (1000.0 * scale,) * 4),
        TensorSpec("unstable", (1, height, width, 4), scales=(scale,)),
    )
    first = len(graph.tensors)
    graph.tensors += [_make_tensor(tensor, len(parsed.buffers) + place) for place, tensor in enumerate(tensors)]
    parsed.buffers += map(_make_buffer, tensors)
    options = make_options("Conv2DOptions", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    op = OpSpec("CONV_2D", ("kernel", "bias"), ("output",), 3, options)
    operator = _make_operator(op, len(parsed.operatorCodes), ["kernel", "bias", "output"])
    operator.inputs, operator.outputs = [image, first, first + 1], [first + 2]
    graph.outputs = [*graph.outputs, first + 2]
    parsed.operatorCodes.append(_make_code(op))
    graph.operators.append(operator)
    builder = flatbuffers.Builder(1024)
    builder.Finish(parsed.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def write_model(path: Path, *arguments: Any, **named: Any) -> Path:
    path.write_bytes(build_model(*arguments, **named))
    return path


def build_package(executables: Sequence[tuple[int, int]], min_runtime: int = 14) -> bytes:
    """Return the options of an edgetpu-custom-op; `executables` are (kind, bytes of parameters)."""
    multi = flatbuffers.Builder(256)
    serialized = [multi.CreateString(_build_executable(kind, size)) for kind, size in executables]
    multi.StartVector(4, len(serialized), 4)
    for offset in reversed(serialized):
        multi.PrependUOffsetTRelative(offset)
    vector = multi.EndVector()
    multi.StartObject(1)
    multi.PrependUOffsetTRelativeSlot(0, vector, 0)
    multi.Finish(multi.EndObject())
    package = flatbuffers.Builder(256)
    content, build = package.CreateByteVector(bytes(multi.Output())), package.CreateString("cl/123")
    package.StartObject(5)
    package.PrependInt32Slot(0, min_runtime, 0)
    package.PrependUOffsetTRelativeSlot(1, content, 0)
    package.PrependUOffsetTRelativeSlot(4, build, 0)
    package.Finish(package.EndObject(), file_identifier=b"DWN1")
    options = flexbuffers.Builder()
    with options.Map():
        options.Key("4")
        # The compiler writes the package as a string, which the public String() refuses: it is no UTF-8.
        options._WriteBlob(bytes(package.Output()), append_zero=True, type_=flexbuffers.Type.STRING)
    return bytes(options.Finish())


def _build_executable(kind: int, size: int) -> bytes:
    builder = flatbuffers.Builder(256)
    parameters = builder.CreateByteVector(bytes(size))
    builder.StartObject(14)
    builder.PrependUOffsetTRelativeSlot(6, parameters, 0)
    builder.PrependInt16Slot(13, kind, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _make_buffer(spec: TensorSpec) -> Any:
    buffer = schema.BufferT()
    if spec.data:
        # As an array, which is copied at once; a list goes byte by byte.
        buffer.data = np.frombuffer(spec.data, np.uint8)
    return buffer


def _make_tensor(spec: TensorSpec, buffer: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = spec.name, list(spec.shape), buffer
    tensor.type = getattr(schema.TensorType, spec.type)
    tensor.isVariable = spec.is_variable
    if spec.signature:
        tensor.shapeSignature = list(spec.signature)
    if spec.scales:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = list(spec.scales)
        tensor.quantization.zeroPoint = [0] * len(spec.scales)
    return tensor


def _make_code(spec: OpSpec) -> Any:
    code = schema.OperatorCodeT()
    builtin = getattr(schema.BuiltinOperator, spec.name, None)
    if spec.builtin_code is not None:
        builtin = spec.builtin_code
    if builtin is None:
        builtin, code.customCode = schema.BuiltinOperator.CUSTOM, spec.name
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), spec.version
    return code


def _make_operator(spec: OpSpec, position: int, names: list[str]) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = position
    operator.inputs = [names.index(name) if name else -1 for name in spec.inputs]
    operator.outputs = [names.index(name) for name in spec.outputs]
    if spec.options is not None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(spec.options).__name__.removesuffix("T"))
        operator.builtinOptions = spec.options
    if spec.custom_options:
        operator.customOptions = list(spec.custom_options)
    return operator


def make_options(table: str, **fields: int) -> Any:
    """Return an options table of the schema, such as `Pool2DOptions`, with some of its fields set."""
    options = getattr(schema, f"{table}T")()
    for name, value in fields.items():
        setattr(options, name, value)
    return options


def quantized(name: str, values: np.ndarray, scales: tuple[float, ...]) -> TensorSpec:
    return TensorSpec(name, values.shape, values.dtype.name.upper(), scales, values.tobytes())


def write_quantized_detector(path: Path, *, kernel: TensorSpec | None = None) -> Path:
    """Write a stem with one scale per output channel, and a head each for boxes and scores."""
    channels = np.arange(2 * 1 * 1 * 4, dtype=np.int8).reshape(2, 1, 1, 4)
    tensors = [
        *(TensorSpec(name) for name in ("image", "features", "boxes", "scores", "b", "c", "s", "n")),
        kernel or quantized("kernel", channels, (0.5, 0.25)),
        quantized("kernel bias", np.array([4, -8], np.int32), (0.1, 0.2)),
        quantized("head", np.full((4, 1, 1, 2), 3, np.int8), (2.0,)),
        quantized("head bias", np.zeros(4, np.int32), (1.0,)),
    ]

    def convolve(source: str, parameters: str, target: str, stride: int) -> OpSpec:
        options = make_options("Conv2DOptions", strideH=stride)
        return OpSpec("CONV_2D", (source, parameters, f"{parameters} bias"), (target,), options=options)

    ops = [
        convolve("image", "kernel", "features", stride=2),
        convolve("features", "head", "boxes", stride=1),
        convolve("features", "head", "scores", stride=1),
        OpSpec("TFLite_Detection_PostProcess", ("boxes", "scores"), ("b", "c", "s", "n")),
    ]
    return write_model(path, tensors, ops, ["image"], ["b", "c", "s", "n"])
