"""Whether compiler 16.0 accepts a model: what ends a compilation, whatever would have mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reefline.edgetpu.op_limits import DATA_OPERANDS, list_data
from reefline.edgetpu.op_versions import VersionStanding, judge_version
from reefline.tflite.graph import POSTPROCESS_OP, Graph, Operator

# Custom operators that the compiler is known to read and leave on the CPU.
_KNOWN_CUSTOM_OPS = (POSTPROCESS_OP, "CUSTOM:PosenetDecoderOp")
_CONTROL_FLOW = ("IF", "WHILE", "CALL", "CALL_ONCE")
# Operators whose output size depends on the values of their inputs.
_SIZED_BY_VALUES = ("WHERE", "UNIQUE")
# Operators with an operand that sets the size of their output: its position.
_SIZE_OPERANDS = {
    "BROADCAST_TO": 1,
    "FILL": 0,
    "PAD": 1,
    "PADV2": 1,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 1,
    "RESIZE_NEAREST_NEIGHBOR": 1,
    "SLICE": 2,
    "TILE": 1,
    "TRANSPOSE_CONV": 0,
}


@dataclass(frozen=True)
class Conformance:
    """What ends a compilation with 16.0 (`refusals`) and what might (`doubts`); one sentence each."""

    refusals: tuple[str, ...]
    doubts: tuple[str, ...]


def examine_conformance(graph: Graph) -> Conformance:
    """Return why compiler 16.0 rejects a model, or might."""
    refusals = [problem for check in _REFUSALS for problem in check(graph)]
    return Conformance(tuple(refusals), tuple(find_doubtful_versions(graph)))


def find_refused_versions(graph: Graph) -> Iterator[str]:
    """An operator version that the parser does not know ends the compilation. Source: op_versions."""
    for op in graph.operators:
        judgement = judge_version(op.name, op.builtin_code, op.version)
        if judgement.standing is VersionStanding.REFUSED:
            yield f"{op.label}: {judgement.reason}; convert with TF 2.16 or replace the operator"


def find_doubtful_versions(graph: Graph) -> Iterator[str]:
    """An operator version newer than TF 2.5 may end the compilation. Source: op_versions."""
    for op in graph.operators:
        judgement = judge_version(op.name, op.builtin_code, op.version)
        if judgement.standing is VersionStanding.DOUBTFUL:
            yield f"{op.label}: may be rejected: {judgement.reason}"


def find_unknown_custom_ops(graph: Graph) -> Iterator[str]:
    """The compiler runs the model in a plain TFLite interpreter. Source: logs of 16.0 ("Regular TensorFlow ops are not
    supported by this interpreter", "Encountered unresolved custom op").
    """
    for op in graph.operators:
        if op.name.startswith("CUSTOM:Flex"):
            yield f"{op.label}: a TensorFlow (Flex) operator; compiler 16.0 supports only TFLite's built-in operators"
        elif op.name.startswith("CUSTOM:") and op.name not in _KNOWN_CUSTOM_OPS:
            yield f"{op.label}: a custom operator that compiler 16.0 cannot resolve"


def find_dynamic_shapes(graph: Graph) -> Iterator[str]:
    """Dynamic sizes end the compilation. Source: log of 16.0 ("a delegate that only supports static-sized tensors").

    A -1 in a shape_signature alone is harmless: it describes the model before its sizes were fixed.
    """
    if any(size < 0 for tensor in graph.tensors for size in tensor.shape):
        names = [tensor.name for tensor in graph.tensors if any(size < 0 for size in tensor.shape)]
        yield f"dynamic shapes: {len(names)} tensors, first {names[0]!r}; export with batch size 1 and a fixed input"
    for op in graph.operators:
        if op.name in _CONTROL_FLOW or op.name in _SIZED_BY_VALUES:
            yield f"{op.label}: its output has no fixed size; remove it from the exported graph"
        elif op.name in _SIZE_OPERANDS and _is_computed(graph, op, _SIZE_OPERANDS[op.name]):
            yield f"{op.label}: the size of its output is computed at run time; export with fixed shapes"


def find_missing_quantization(graph: Graph) -> Iterator[str]:
    """A model without 8-bit operators is refused ("Model not quantized") or maps nothing. Source: logs of 15.0 on."""
    if any(_works_in_eight_bits(graph, op) for op in graph.operators):
        return
    if any(tensor.is_eight_bit for op in graph.operators for tensor in graph.get_outputs(op)):
        yield "no operator that the Edge TPU supports works on int8 or uint8 data; nothing would map"
    else:
        yield (
            "not quantized: no operator works on int8 or uint8 data; "
            "convert with full-integer quantization and a representative data set"
        )


def find_subgraphs(graph: Graph) -> Iterator[str]:
    """The compiler supports one subgraph. Source: Coral's requirements; control flow adds more."""
    if graph.subgraph_count != 1:
        yield f"{graph.subgraph_count} subgraphs found, the compiler supports one; export a single signature"


_REFUSALS: tuple[Callable[[Graph], Iterator[str]], ...] = (
    find_refused_versions,
    find_unknown_custom_ops,
    find_dynamic_shapes,
    find_missing_quantization,
    find_subgraphs,
)


def _is_computed(graph: Graph, op: Operator, position: int) -> bool:
    tensor = graph.get_input(op, position)
    return tensor is not None and not tensor.is_constant and tensor.size_bytes > 0


def _works_in_eight_bits(graph: Graph, op: Operator) -> bool:
    if op.name not in DATA_OPERANDS:
        return False
    tensors = (*list_data(op, graph), *graph.get_outputs(op))
    return bool(tensors) and all(tensor.is_eight_bit and tensor.scales for tensor in tensors)
