"""Where each operator will run: the documented limits, and TFLite's way of cutting a graph for a delegate."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from reefline.edgetpu.op_doubts import DOUBTS
from reefline.edgetpu.op_limits import LIMITS, Rule
from reefline.edgetpu.op_versions import VersionStanding, judge_version
from reefline.tflite.graph import EDGE_TPU_OP, NO_TENSOR, Graph, Operator


class Placement(str, enum.Enum):
    """Where an operator runs."""

    EDGETPU = "edgetpu"
    CPU = "cpu"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class PlacedOp:
    """One operator, where it will run and why; `op` is as in `Operator.name`.

    `blocked_by` is the index of the operator whose placement decides this one's; None where its own does.
    """

    index: int
    op: str
    version: int
    placement: Placement
    reason: str
    blocked_by: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as `analyze --json` and preflight.json show it."""
        return {**asdict(self), "placement": self.placement.value}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> PlacedOp:
        """Read back what `to_json` wrote."""
        return cls(**{**record, "placement": Placement(record["placement"])})


def place_operators(graph: Graph) -> tuple[PlacedOp, ...]:
    """Return where each operator of a model that is not compiled yet will run.

    The graph is cut twice: once as if every operator in doubt mapped, once as if none did. What both cuts put on the
    Edge TPU will run there, what neither does will not, and the rest hangs on a doubt, which its reason names.
    """
    limits = {op.index: reason for op in graph.operators if (reason := _apply(LIMITS, op, graph))}
    doubts = {op.index: reason for op in graph.operators if op.index not in limits and (reason := _doubt(op, graph))}
    everything = frozenset(range(len(graph.operators)))
    hopeful = find_first_partition(graph, everything - limits.keys())
    careful = find_first_partition(graph, everything - limits.keys() - doubts.keys())
    blockers = _find_blockers(graph, frozenset(limits))
    doubted_blockers = _find_blockers(graph, frozenset(limits) | frozenset(doubts))

    def place(op: Operator) -> tuple[Placement, str, int | None]:
        if op.index in limits:
            return Placement.CPU, limits[op.index], None
        if op.index in hopeful and op.index in careful:
            return Placement.EDGETPU, "within all documented limits", None
        if op.index not in hopeful and op.index not in careful:
            blocker = blockers.get(op.index)
            return Placement.CPU, _explain_left_out(graph, blocker), blocker
        if op.index in doubts:
            return Placement.UNCERTAIN, doubts[op.index], None
        blocker = doubted_blockers.get(op.index)
        return Placement.UNCERTAIN, _explain_doubt(graph, blocker), blocker

    return tuple(PlacedOp(op.index, op.name, op.version, *place(op)) for op in graph.operators)


def place_compiled(graph: Graph) -> tuple[PlacedOp, ...]:
    """Return where each operator of a file that the compiler wrote runs."""
    on_tpu = (Placement.EDGETPU, "what the compiler mapped")
    outside = (Placement.CPU, "the compiler left it outside")
    return tuple(
        PlacedOp(op.index, op.name, op.version, *(on_tpu if op.name == EDGE_TPU_OP else outside))
        for op in graph.operators
    )


def describe_left_out(placed: Iterable[PlacedOp]) -> Iterator[str]:
    """Yield a line for each operator that is off the Edge TPU or in doubt by itself, and one for all that follow."""
    left_out = [op for op in placed if op.placement is not Placement.EDGETPU]
    yield from (
        f"op {op.index} {op.op} v{op.version}: {op.placement.value}: {op.reason}"
        for op in left_out
        if op.blocked_by is None
    )
    for placement, word in ((Placement.CPU, "on the CPU"), (Placement.UNCERTAIN, "uncertain")):
        counts = Counter(op.op for op in left_out if op.blocked_by is not None and op.placement is placement)
        if counts:
            names = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            yield f"{counts.total()} more ops are {word} only because they come after those: {names}"


def find_first_partition(graph: Graph, delegable: Iterable[int]) -> frozenset[int]:
    """Return the operators of the first partition that goes to the Edge TPU, the only one that the compiler maps.

    TFLite (PartitionGraphIntoIndependentNodeSubsets in tensorflow/lite/graph_info.cc, greedy) goes through the
    operators in the order in which they run and forms subsets that alternate between delegable and other operators:
    the first operator whose inputs are ready says of which kind the subset is, every operator of that kind joins it
    as soon as its inputs are ready, until none is left that could; then the next subset begins. The compiler takes the
    first subset of delegable operators. It follows that what does not depend on an unsupported operator maps wherever
    it stands in the order, and that operators of the CPU which lead (a QUANTIZE of float input) form a subset of
    their own before it and block nothing.
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
        if is_delegable or is_delegable is None:
            return frozenset(subset)
    return frozenset()


def _apply(rules: tuple[Rule, ...], op: Operator, graph: Graph) -> str | None:
    return next((reason for rule in rules if (reason := rule(op, graph))), None)


def _doubt(op: Operator, graph: Graph) -> str | None:
    judgement = judge_version(op.name, op.builtin_code, op.version)
    if judgement.standing is VersionStanding.DOUBTFUL:
        return judgement.reason
    return _apply(DOUBTS, op, graph)


def _find_blockers(graph: Graph, off_tpu: frozenset[int]) -> dict[int, int]:
    """Return for each operator the last one in `off_tpu` that it depends on, where there is one."""
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
        return "supported, but outside the first part of the graph that maps; the compiler maps only one"
    label = graph.operators[blocker].label
    return f"supported, but it comes after {label}, which runs on the CPU; more than one subgraph is not supported"


def _explain_doubt(graph: Graph, blocker: int | None) -> str:
    if blocker is None:
        return "supported, but which part of the graph comes first hangs on an operator in doubt"
    return f"supported, but it maps only if {graph.operators[blocker].label} does, which is uncertain"
