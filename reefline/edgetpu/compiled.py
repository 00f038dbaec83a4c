"""Reading what the Edge TPU compiler wrote.

The operator "edgetpu-custom-op" carries a flexbuffer whose key "4" holds a package, a flatbuffer of libedgetpu's
executable.fbs: a minimum runtime and one or more executables with their parameters.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reefline.errors import BundleError
from reefline.tflite.graph import EDGE_TPU_CODE, EDGE_TPU_OP, Graph, Operator, Tensor
from reefline.tflite.reader import DAMAGE_ERRORS, read_graph

# What the compiler adds to the stem of the file it reads.
COMPILED_SUFFIX = "_edgetpu"
_PACKAGE_KEY = "4"
_PACKAGE_IDENTIFIER = b"DWN1"


class _PackageField(enum.IntEnum):
    """Where a field stands in the vtable of a Package: 4 + 2 * its number in executable.fbs."""

    MIN_RUNTIME_VERSION = 4
    EXECUTABLES = 6
    COMPILER_VERSION = 12


class _ExecutableField(enum.IntEnum):
    """Where a field stands in the vtable of an Executable."""

    PARAMETERS = 16
    TYPE = 30


class ExecutableKind(str, enum.Enum):
    """What an executable does, in the order of executable.fbs."""

    STAND_ALONE = "stand_alone"
    PARAMETER_CACHING = "parameter_caching"
    EXECUTION_ONLY = "execution_only"


@dataclass(frozen=True)
class Executable:
    """One executable; its parameters stay on the chip where it caches them, otherwise each inference streams them."""

    kind: ExecutableKind
    parameter_bytes: int


@dataclass(frozen=True)
class CompiledModel:
    """What a compiled file says of itself, taken over all its `edgetpu_ops` operators for the Edge TPU.

    `compiler_build` is "" where the compiler left its change list number out, as the public releases often do.
    """

    edgetpu_ops: int
    ops_outside: tuple[str, ...]
    min_runtime_version: int
    compiler_build: str
    executables: tuple[Executable, ...]

    @property
    def cached_parameter_bytes(self) -> int:
        """The parameters that are kept in on-chip memory."""
        kept = (e for e in self.executables if e.kind is ExecutableKind.PARAMETER_CACHING)
        return sum(executable.parameter_bytes for executable in kept)

    @property
    def streamed_parameter_bytes(self) -> int:
        """The parameters that are sent to the chip with each inference."""
        return sum(executable.parameter_bytes for executable in self.executables) - self.cached_parameter_bytes

    def to_json(self) -> dict[str, Any]:
        """Return the record as `analyze --json` shows it."""
        return {
            **asdict(self),
            "ops_outside": list(self.ops_outside),
            "executables": [{**asdict(e), "kind": e.kind.value} for e in self.executables],
            "cached_parameter_bytes": self.cached_parameter_bytes,
            "streamed_parameter_bytes": self.streamed_parameter_bytes,
        }


def read_compiled(path: Path) -> CompiledModel:
    """Read a file that the compiler wrote.

    Raises:
        BundleError: it is not a TFLite model, was not compiled, or its package is damaged.
    """
    return describe_compiled(path, read_graph(path))


def describe_compiled(path: Path, graph: Graph) -> CompiledModel:
    """Return what the graph of a compiled file holds; `path` is for messages.

    Raises:
        BundleError: it was not compiled, or its package is damaged.
    """
    tpu_ops = [op for op in graph.operators if op.name == EDGE_TPU_OP]
    if not tpu_ops:
        raise BundleError(f"{path}: holds no {EDGE_TPU_CODE}; the compiler mapped nothing in it")
    try:
        packages = [_Package(op) for op in tpu_ops]
        executables = tuple(executable for package in packages for executable in package.read_executables())
    except DAMAGE_ERRORS as error:
        raise BundleError(f"{path}: its package for the Edge TPU is damaged ({error}); compile it again") from error
    return CompiledModel(
        edgetpu_ops=len(tpu_ops),
        ops_outside=tuple(op.name for op in graph.operators if op.name != EDGE_TPU_OP),
        min_runtime_version=max(package.min_runtime_version for package in packages),
        compiler_build=packages[0].compiler_build,
        executables=executables,
    )


def belongs_together(int8_file: Path, compiled_file: Path) -> list[str]:
    """Return why a compiled file was not made from an int8 file; nothing where it was, as far as the files tell.

    The compiler keeps tensors as they are (name, type, shape, quantization, the values of constants), inputs and
    outputs in their order, and the operators outside as they follow each other. A model trained again differs in the
    quantization of what the Edge TPU hands over, if in nothing else.

    Raises:
        BundleError: a file is not a TFLite model or is damaged.
    """
    original, compiled = read_graph(int8_file), read_graph(compiled_file)
    if not any(op.name == EDGE_TPU_OP for op in compiled.operators):
        return [f"{compiled_file}: holds no {EDGE_TPU_CODE}; the compiler mapped nothing in it"]
    problems = []
    for what, ours, theirs in (
        ("inputs", original.inputs, compiled.inputs),
        ("outputs", original.outputs, compiled.outputs),
    ):
        expected, found = [original.tensors[i] for i in ours], [compiled.tensors[i] for i in theirs]
        keys, found_keys = [_identify(tensor) for tensor in expected], [_identify(tensor) for tensor in found]
        if keys != found_keys:
            expected = [t for t in expected if _identify(t) not in found_keys] or expected
            found = [t for t in found if _identify(t) not in keys] or found
            problems.append(f"{compiled_file}: {what} {_show(found)} found, {int8_file} has {_show(expected)}")
    known = {_identify(tensor) for tensor in original.tensors}
    used = {_identify(tensor): tensor for op in compiled.operators for tensor in _tensors_of(compiled, op)}
    strangers = [tensor for key, tensor in used.items() if key not in known]
    if strangers:
        problems.append(f"{compiled_file}: tensors {_show(strangers)} are not among those of {int8_file}")
    outside = [op for op in compiled.operators if op.name != EDGE_TPU_OP]
    missing = _find_first_out_of_order(outside, original.operators)
    if missing is not None:
        problems.append(f"{compiled_file}: {missing.label} was left outside, {int8_file} has no such op in that place")
    if len(outside) >= len(original.operators):
        problems.append(f"{compiled_file}: {len(outside)} ops left outside, {int8_file} has {len(original.operators)}")
    return problems


def _identify(tensor: Tensor) -> tuple[object, ...]:
    values = bytes(tensor.data) if tensor.data is not None else None
    return (tensor.name, tensor.type, tensor.shape, tensor.scales, tensor.zero_points, values)


def _show(tensors: list[Tensor]) -> str:
    shown = [
        f"{tensor.name!r} {tensor.type.lower()}{list(tensor.shape)}"
        + (f" scale {tensor.scales[0]:g} zero point {sum(tensor.zero_points[:1])}" if tensor.scales else "")
        for tensor in tensors[:3]
    ]
    return ", ".join(shown) + (f" and {len(tensors) - 3} more" if len(tensors) > 3 else "")


def _tensors_of(graph: Graph, op: Operator) -> tuple[Tensor, ...]:
    return (*graph.get_inputs(op), *graph.get_outputs(op))


def _find_first_out_of_order(outside: list[Operator], original: tuple[Operator, ...]) -> Operator | None:
    """Return the first operator that the remaining original ones do not hold."""
    remaining = iter([op.name for op in original])
    return next((op for op in outside if op.name not in remaining), None)


class _Package:
    """The package of one operator."""

    def __init__(self, op: Operator) -> None:
        from flatbuffers import flexbuffers

        options = flexbuffers.GetRoot(bytearray(op.custom_options or b"")).AsMap
        content = bytes(options[_PACKAGE_KEY].AsStringBytes)
        if content[4:8] != _PACKAGE_IDENTIFIER:
            raise ValueError(f"{content[4:8]!r} found, {_PACKAGE_IDENTIFIER!r} expected")
        package = _open_root(content)
        self._executables = _get_bytes(package, _PackageField.EXECUTABLES)
        self.min_runtime_version = _get_int(package, _PackageField.MIN_RUNTIME_VERSION, "<i")
        build = _get_bytes(package, _PackageField.COMPILER_VERSION).decode("utf-8", errors="replace")
        self.compiler_build = build.removeprefix("cl/")

    def read_executables(self) -> list[Executable]:
        multi = _open_root(self._executables)
        offset = multi.Offset(4)
        count = multi.VectorLen(offset) if offset else 0
        if count > len(self._executables):
            raise ValueError(f"{count} executables are listed")
        return [self._read_executable(multi, multi.Vector(offset) + 4 * index) for index in range(count)]

    @staticmethod
    def _read_executable(multi: Any, position: int) -> Executable:
        executable = _open_root(bytes(multi.String(position)))
        kind = _get_int(executable, _ExecutableField.TYPE, "<h")
        parameters = executable.Offset(_ExecutableField.PARAMETERS)
        return Executable(list(ExecutableKind)[kind], executable.VectorLen(parameters) if parameters else 0)


def _open_root(content: bytes) -> Any:
    from flatbuffers.table import Table

    return Table(content, struct.unpack_from("<I", content, 0)[0])


def _get_int(table: Any, slot: int, form: str) -> int:
    offset = table.Offset(slot)
    return int(struct.unpack_from(form, table.Bytes, table.Pos + offset)[0]) if offset else 0


def _get_bytes(table: Any, slot: int) -> bytes:
    offset = table.Offset(slot)
    if not offset:
        return b""
    start = table.Vector(offset)
    return bytes(table.Bytes[start : start + table.VectorLen(offset)])
