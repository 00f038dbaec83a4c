"""Where each operator runs: predicted from the documented limits, or read from what the compiler wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reefline.edgetpu.op_doubts import DOUBTS
from reefline.edgetpu.op_limits import LIMITS, Rule
from reefline.edgetpu.op_sizes import limit_size
from reefline.edgetpu.op_versions import VersionStanding, judge_version
from reefline.edgetpu.placement_report import PlacedOp, Placement
from reefline.tflite.graph import EDGE_TPU_OP, NO_TENSOR, Graph, Operator

# More operators before the first partition than in any detector; it bounds the time that a strange model takes.
_MAX_LEADING_DOUBTS = 16
_LIMITS: tuple[Rule, ...] = (*LIMITS, limit_size)
_MAPPED = "mapped by the compiler"
_LEFT = "left on the CPU by the compiler"


def place_operators(graph: Graph) -> tuple[PlacedOp, ...]:
    """Predict where each operator of a model runs once it is compiled.

    The graph is partitioned as if every doubtful operator mapped, as if none did, and in between where that matters
    (`_partition_doubts`). What all put on the Edge TPU runs there, what none does runs on the CPU, and the rest
    depends on a doubt, which its reason names.
    """
    limits = {op.index: reason for op in graph.operators if (reason := _apply(_LIMITS, op, graph))}
    doubts = {op.index: reason for op in graph.operators if op.index not in limits and (reason := _doubt(op, graph))}
    partitions = _partition_doubts(graph, frozenset(limits), frozenset(doubts))
    always, sometimes = frozenset.intersection(*partitions), frozenset.union(*partitions)
    blockers = _find_blockers(graph, frozenset(limits))
    doubted_blockers = _find_blockers(graph, frozenset(limits) | frozenset(doubts))

    def place(op: Operator) -> PlacedOp:
        if op.index in limits:
            return PlacedOp.place(op, Placement.CPU, limits[op.index])
        if op.index in always:
            return PlacedOp.place(op, Placement.EDGETPU, "within all known limits")
        if op.index not in sometimes:
            blocker = blockers.get(op.index)
            return PlacedOp.place(op, Placement.CPU, _explain_left_out(graph, blocker), blocker)
        if op.index in doubts:
            return PlacedOp.place(op, Placement.UNCERTAIN, doubts[op.index])
        blocker = doubted_blockers.get(op.index)
        return PlacedOp.place(op, Placement.UNCERTAIN, _explain_doubt(graph, blocker), blocker)

    return tuple(map(place, graph.operators))


def place_compiled(graph: Graph) -> tuple[PlacedOp, ...]:
    """Return where each operator of a compiled file runs."""
    return tuple(
        PlacedOp.place(op, Placement.EDGETPU, _MAPPED)
        if op.name == EDGE_TPU_OP
        else PlacedOp.place(op, Placement.CPU, _LEFT)
        for op in graph.operators
    )


def place_as_compiled(graph: Graph, compiled: Graph, predicted: Sequence[PlacedOp]) -> tuple[PlacedOp, ...] | None:
    """Return where the compiler placed each operator of an int8 model, or None where the two graphs do not match.

    The compiler keeps tensor names: an operator is on the CPU where the compiled graph still computes its outputs.
    `predicted` explains why the compiler left an operator there.
    """
    outside = [op for op in compiled.operators if op.name != EDGE_TPU_OP]
    computed = {_name_outputs(compiled, op) for op in outside}
    left = {op.index for op in graph.operators if _name_outputs(graph, op) in computed}
    if not len(left) == len(outside) < len(compiled.operators):
        return None

    def place(op: Operator, guess: PlacedOp) -> PlacedOp:
        if op.index not in left:
            return PlacedOp.place(op, Placement.EDGETPU, _MAPPED)
        if guess.placement is Placement.CPU:
            return guess
        link = ";" if guess.placement is Placement.UNCERTAIN else ", though"
        return PlacedOp.place(op, Placement.CPU, f"{_LEFT}{link} {guess.reason}", guess.blocked_by)

    return tuple(map(place, graph.operators, predicted))


def find_first_partition(graph: Graph, delegable: Iterable[int]) -> frozenset[int]:
    """Return the operators of the first partition for the Edge TPU, the only one that the compiler maps.

    TFLite (PartitionGraphIntoIndependentNodeSubsets in tensorflow/lite/graph_info.cc, greedy) walks the operators in
    execution order and forms subsets that alternate between delegable and other operators. The first operator whose
    inputs are ready sets the kind of the subset; every operator of that kind joins as soon as its inputs are ready;
    when none is left, the next subset begins. The compiler maps the first delegable subset. So an operator that does
    not depend on an unsupported one maps wherever it stands, and leading CPU operators (a QUANTIZE of float input)
    form their own subset and block nothing.
    """
    return next((subset for is_delegable, subset in _walk_subsets(graph, delegable) if is_delegable), frozenset())


def _walk_subsets(graph: Graph, delegable: Iterable[int]) -> Iterator[tuple[bool, frozenset[int]]]:
    """Yield TFLite's subsets in order, and whether the Edge TPU may run them.

    Operators whose inputs never get ready are in none.
    """
    wanted = frozenset(delegable)
    not_ready = {index for op in graph.operators for index in op.outputs}
    waiting = list(graph.operators)
    while waiting:
        subset: list[int] = []
        is_delegable: bool | None = None
        size_before = -1
        while len(subset) > size_before:
            size_before = len(subset)
            left = []
            for op in waiting:
                fits = is_delegable is None or (op.index in wanted) is is_delegable
                if not fits or not not_ready.isdisjoint(op.inputs):
                    left.append(op)
                    continue
                is_delegable = op.index in wanted
                subset.append(op.index)
                not_ready.difference_update(op.outputs)
            waiting = left
        if is_delegable is None:
            return
        yield is_delegable, frozenset(subset)


def _partition_doubts(graph: Graph, limits: frozenset[int], doubts: frozenset[int]) -> list[frozenset[int]]:
    """Return the first partitions that the doubts allow: all of them map, none does, and mixtures.

    Mixtures differ from the two extremes only through doubts that may run before the first partition, on the CPU: if
    one of them maps and another does not, the first partition ends between them. Each such doubt is tried alone and
    left out alone.
    """
    everything = frozenset(range(len(graph.operators))) - limits
    partitions = [find_first_partition(graph, everything), find_first_partition(graph, everything - doubts)]
    is_delegable, leading = next(_walk_subsets(graph, everything - doubts), (True, frozenset()))
    if not is_delegable and len(doubts) > 1:
        for doubt in sorted(doubts & leading)[:_MAX_LEADING_DOUBTS]:
            partitions.append(find_first_partition(graph, everything - {doubt}))
            partitions.append(find_first_partition(graph, everything - doubts | {doubt}))
    return partitions


def _name_outputs(graph: Graph, op: Operator) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in graph.get_outputs(op))


def _apply(rules: tuple[Rule, ...], op: Operator, graph: Graph) -> str | None:
    return next((reason for rule in rules if (reason := rule(op, graph))), None)


def _doubt(op: Operator, graph: Graph) -> str | None:
    judgement = judge_version(op.name, op.builtin_code, op.version)
    if judgement.standing is VersionStanding.DOUBTFUL:
        return judgement.reason
    return _apply(DOUBTS, op, graph)


def _find_blockers(graph: Graph, off_tpu: frozenset[int]) -> dict[int, int]:
    """Return for each operator the last one in `off_tpu` that it depends on, if any."""
    producers = {index: op.index for op in graph.operators for index in op.outputs}
    blockers: dict[int, int] = {}
    for op in graph.operators:
        before = {producers[index] for index in op.inputs if index != NO_TENSOR and index in producers}
        candidates = [index for index in before if index in off_tpu]
        candidates += [blockers[index] for index in before if index not in off_tpu and index in blockers]
        if candidates:
            blockers[op.index] = max(candidates)
    return blockers


def _explain_left_out(graph: Graph, blocker: int | None) -> str:
    if blocker is None:
        return "supported, but outside the first subgraph that maps; the compiler maps only one"
    label = graph.operators[blocker].label
    return f"supported, but depends on {label}, which runs on the CPU; the compiler maps only one subgraph"


def _explain_doubt(graph: Graph, blocker: int | None) -> str:
    if blocker is None:
        return "supported, but whether it is in the first subgraph depends on an uncertain operator"
    return f"supported, but maps only if {graph.operators[blocker].label} does, which is uncertain"
