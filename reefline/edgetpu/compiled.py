"""Reading files that the Edge TPU compiler wrote.

The operator "edgetpu-custom-op" carries a flexbuffer whose key "4" holds a package, a flatbuffer of libedgetpu's
executable.fbs: a minimum runtime and one or more executables with their parameters.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reefline.errors import BundleError
from reefline.system.record import Record
from reefline.tflite.graph import EDGE_TPU_CODE, EDGE_TPU_OP, Graph, Operator, Tensor
from reefline.tflite.reader import DAMAGE_ERRORS, read_graph

# The compiler adds this to the stem of the file it reads.
COMPILED_SUFFIX = "_edgetpu"
_PACKAGE_KEY = "4"
_PACKAGE_IDENTIFIER = b"DWN1"


class _PackageField(enum.IntEnum):
    """The position of a field in the vtable of a Package: 4 + 2 * its number in executable.fbs."""

    MIN_RUNTIME_VERSION = 4
    EXECUTABLES = 6
    COMPILER_VERSION = 12


class _ExecutableField(enum.IntEnum):
    """The position of a field in the vtable of an Executable."""

    PARAMETERS = 16
    TYPE = 30


class ExecutableKind(str, enum.Enum):
    """What an executable does, in the order of executable.fbs."""

    STAND_ALONE = "stand_alone"
    PARAMETER_CACHING = "parameter_caching"
    EXECUTION_ONLY = "execution_only"


@dataclass(frozen=True)
class Executable(Record):
    """One executable; its parameters stay on the chip if it caches them, otherwise each inference streams them."""

    kind: ExecutableKind
    parameter_bytes: int


@dataclass(frozen=True)
class CompiledModel(Record):
    """The content of a compiled file, over all its `edgetpu_ops` operators for the Edge TPU.

    `compiler_build` is the compiler's change list number, "" if it is left out, as public releases often do.
    Cached parameters stay in on-chip memory, streamed ones are sent with each inference. `belongs_to` is the int8 file
    next to it, if the model was compiled from that file.
    """

    edgetpu_ops: int
    ops_outside: tuple[str, ...]
    min_runtime_version: int
    compiler_build: str
    executables: tuple[Executable, ...]
    cached_parameter_bytes: int
    streamed_parameter_bytes: int
    belongs_to: str | None = None


def describe_compiled(path: Path, graph: Graph) -> CompiledModel | None:
    """Return the content of a compiled file, None if the graph is not compiled; `path` is for messages.

    Raises:
        BundleError: its package for the Edge TPU is damaged.
    """
    tpu_ops = [op for op in graph.operators if op.name == EDGE_TPU_OP]
    if not tpu_ops:
        return None
    try:
        packages = [_Package(op) for op in tpu_ops]
        executables = tuple(executable for package in packages for executable in package.read_executables())
    except DAMAGE_ERRORS as error:
        raise BundleError(f"{path}: damaged Edge TPU package ({error}); compile the model again") from error
    cached_bytes = sum(e.parameter_bytes for e in executables if e.kind is ExecutableKind.PARAMETER_CACHING)
    return CompiledModel(
        edgetpu_ops=len(tpu_ops),
        ops_outside=tuple(op.name for op in graph.operators if op.name != EDGE_TPU_OP),
        min_runtime_version=max(package.min_runtime_version for package in packages),
        compiler_build=packages[0].compiler_build,
        executables=executables,
        cached_parameter_bytes=cached_bytes,
        streamed_parameter_bytes=sum(e.parameter_bytes for e in executables) - cached_bytes,
    )


def belongs_together(int8_file: Path, compiled_file: Path) -> list[str]:
    """Return why a compiled file was not made from an int8 file; nothing where the two match.

    The compiler keeps tensors (name, type, shape, quantization, values of constants), the order of inputs and outputs,
    and the order of the operators it leaves on the CPU. A retrained model differs at least in the quantization of the
    tensors that the Edge TPU hands over.

    Raises:
        BundleError: a file is not a TFLite model or is damaged.
    """
    original, compiled = read_graph(int8_file), read_graph(compiled_file)
    if not any(op.name == EDGE_TPU_OP for op in compiled.operators):
        return [f"{compiled_file}: contains no {EDGE_TPU_CODE}; the compiler mapped nothing"]
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
        problems.append(f"{compiled_file}: tensors {_show(strangers)} are not in {int8_file}")
    outside = [op for op in compiled.operators if op.name != EDGE_TPU_OP]
    missing = _find_first_out_of_order(outside, original.operators)
    if missing is not None:
        problems.append(f"{compiled_file}: {missing.label} runs on the CPU, but {int8_file} has no such op there")
    if len(outside) >= len(original.operators):
        problems.append(
            f"{compiled_file}: {len(outside)} ops run on the CPU, but {int8_file} has {len(original.operators)}"
        )
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
    """Return the first operator that is not among the remaining original ones."""
    remaining = iter([op.name for op in original])
    return next((op for op in outside if op.name not in remaining), None)


class _Package:
    """The package of one operator for the Edge TPU."""

    def __init__(self, op: Operator) -> None:
        from flatbuffers import flexbuffers

        options = flexbuffers.GetRoot(bytearray(op.custom_options or b"")).AsMap
        content = bytes(options[_PACKAGE_KEY].AsStringBytes)
        if content[4:8] != _PACKAGE_IDENTIFIER:
            raise ValueError(f"identifier {content[4:8]!r}, expected {_PACKAGE_IDENTIFIER!r}")
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
