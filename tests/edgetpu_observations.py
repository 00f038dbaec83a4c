"""What the Edge TPU compiler did with published models, next to what Reefline predicts.

    python -m tests.edgetpu_observations

prints how well the prediction fits ../shared/edgetpu (observed operators and compiled pairs), and how well its size
limits predict what they were not derived from: each is fitted again without the judged model or operator.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reefline.edgetpu.op_sizes import find_size_limit, measure_largest
from reefline.edgetpu.placement import place_operators
from reefline.edgetpu.placement_report import Placement
from reefline.tflite.graph import Graph, Operator, OpOptions, Tensor
from reefline.tflite.reader import read_graph

SHARED_DIR = Path(__file__).resolve().parents[1] / ".." / "shared" / "edgetpu"
ROWS_FILE = SHARED_DIR / "observed_ops.json"
PAIRS_DIR = SHARED_DIR / "compiled_pairs"
needs_observations = pytest.mark.skipif(not ROWS_FILE.is_file(), reason="../shared/edgetpu is missing")

# Constants that rows leave out, by operator: what stands behind the data operand. The values do not matter.
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "PRELU")
_ELEMENTWISE = ("ADD", "MUL", "SUB")


@dataclass(frozen=True)
class Observation:
    """One operator, whether the compiler mapped it, and the model it is from ("" if the rows do not name it)."""

    graph: Graph
    op: Operator
    is_mapped: bool
    model: str = ""
    seen: int = 1

    @property
    def label(self) -> str:
        """Name it in a message."""
        shapes = [list(tensor.shape) for tensor in (*self.graph.get_inputs(self.op), *self.graph.get_outputs(self.op))]
        return f"{self.op.name} v{self.op.version} {shapes} {'mapped' if self.is_mapped else 'left'}"


@dataclass(frozen=True)
class Fit:
    """How many operators were predicted how; `false_edgetpu` were predicted to map and stayed on the CPU."""

    exact: int = 0
    false_edgetpu: int = 0
    false_cpu: int = 0
    uncertain: int = 0

    @classmethod
    def compare(cls, placements: Sequence[tuple[Placement, bool]]) -> Fit:
        """Count predicted placements next to whether the compiler mapped."""
        counts = Counter(
            "uncertain"
            if placement is Placement.UNCERTAIN
            else "exact"
            if (placement is Placement.EDGETPU) is is_mapped
            else f"false_{placement.value}"
            for placement, is_mapped in placements
        )
        return cls(**counts)

    def __str__(self) -> str:
        return f"{self.exact:>6} {self.false_edgetpu:>14} {self.false_cpu:>10} {self.uncertain:>10}"


def read_rows() -> list[Observation]:
    """Return the observed operators, each as a graph of its own."""
    return [_build(row) for row in json.loads(ROWS_FILE.read_text(encoding="utf-8"))["rows"]]


def read_pairs() -> Iterator[tuple[str, Graph, frozenset[int]]]:
    """Yield each published pair: its name, its int8 graph and the operators that the compiler left on the CPU."""
    for pair in json.loads((PAIRS_DIR / "ground_truth.json").read_text(encoding="utf-8")):
        yield pair["model"], read_graph(PAIRS_DIR / pair["model"]), frozenset(pair["cpu_op_indices"])


def predict(observation: Observation) -> Placement:
    """Return where Reefline places an observed operator that depends on nothing."""
    return place_operators(observation.graph)[0].placement


def compare_pair(graph: Graph, left: frozenset[int]) -> Fit:
    """Return how well the prediction fits a published pair."""
    return Fit.compare([(op.placement, op.index not in left) for op in place_operators(graph)])


def predict_by_size(size_bytes: int, others: Sequence[tuple[int, bool]]) -> Placement:
    """Return the placement that a size limit gives if it is fitted to others (bytes, and whether mapped) alone."""
    maps = max((size for size, is_mapped in others if is_mapped), default=0)
    stays = min((size for size, is_mapped in others if not is_mapped), default=None)
    if size_bytes <= maps:
        return Placement.EDGETPU
    return Placement.CPU if stays is not None and size_bytes >= stays else Placement.UNCERTAIN


def list_sized(rows: Sequence[Observation]) -> list[Observation]:
    """Return what size alone decides: observed operators that no other rule leaves, from rows and pairs."""
    sized = [row for row in rows if row.is_mapped or row.op.name in ("RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE")]
    for name, graph, left in read_pairs():
        placed = place_operators(graph)
        sized += [
            Observation(graph, op, True, name)
            for op in graph.operators
            if op.index not in left and placed[op.index].placement is Placement.EDGETPU
        ]
    return sized


def leave_one_out(sized: Sequence[Observation]) -> dict[str, Fit]:
    """Return by kind how the size limits predict each operator, fitted without it and without its model."""
    by_kind: dict[str, list[Observation]] = {}
    for observation in sized:
        by_kind.setdefault(find_size_limit(observation.op, observation.graph).kind, []).append(observation)
    return {kind: _leave_one_out(same) for kind, same in by_kind.items()}


def _leave_one_out(same: Sequence[Observation]) -> Fit:
    facts = [(measure_largest(seen.op, seen.graph), seen.is_mapped) for seen in same]
    placements = []
    for place, (held_out, (size, is_mapped)) in enumerate(zip(same, facts, strict=True)):
        others = [
            fact
            for other, fact in enumerate(facts)
            if other != place and (not held_out.model or same[other].model != held_out.model)
        ]
        placements.append((predict_by_size(size, others), is_mapped))
    return Fit.compare(placements)


def main() -> None:
    """Print the tables."""
    rows = read_rows()
    print(f"{'':<62} {'exact':>6} {'false edgetpu':>14} {'false cpu':>10} {'uncertain':>10}")
    print(f"{f'{len(rows)} observed kinds of operators':<62} {Fit.compare([(predict(r), r.is_mapped) for r in rows])}")
    weighted = [(predict(row), row.is_mapped) for row in rows for _ in range(row.seen)]
    print(f"{f'{len(weighted)} observed operators':<62} {Fit.compare(weighted)}")
    for name, graph, left in read_pairs():
        print(f"{name.removesuffix('.tflite'):<62} {compare_pair(graph, left)}")
    print("\nsize limits, each judged operator and model left out of the fit")
    for kind, fit in sorted(leave_one_out(list_sized(rows)).items()):
        print(f"{kind:<62} {fit}")


def build_observation(
    name: str,
    version: int,
    inputs: Sequence[list[int]],
    outputs: Sequence[list[int]],
    types: Sequence[str] = (),
    constants: Sequence[list[int]] = (),
    *,
    is_mapped: bool = True,
    seen: int = 1,
) -> Observation:
    """Return an operator that depends on nothing; data is int8 unless `types` says otherwise."""
    types = types or ["INT8"] * len(inputs)
    data = [_make_tensor(f"in{place}", shape, types[place]) for place, shape in enumerate(inputs)]
    out_type = {"DEQUANTIZE": "FLOAT32", "QUANTIZE": "INT8"}.get(name, types[0])
    made = [_make_tensor(f"out{place}", shape, out_type) for place, shape in enumerate(outputs)]
    parameters = [_make_ints(values) for values in constants]
    if name in _WEIGHTED or (name in _ELEMENTWISE and len(data) == 1):
        parameters.append(_make_tensor("constant", [outputs[0][-1]], types[0], memoryview(b"\1")))
    operands = [*data, *parameters]
    op = Operator(
        index=0,
        name=name,
        builtin_code=0,
        version=version,
        inputs=tuple(range(len(operands))),
        outputs=tuple(range(len(operands), len(operands) + len(made))),
        options=OpOptions(axis=_find_axis(name, inputs[0], outputs[0])),
        custom_options=None,
    )
    graph = Graph((*operands, *made), (op,), tuple(range(len(data))), op.outputs, 1)
    return Observation(graph, op, is_mapped, seen=seen)


def _build(row: dict[str, Any]) -> Observation:
    return build_observation(
        row["op"],
        row["version"],
        row["inputs"],
        row["outputs"],
        row["types"],
        row["constants"] or (),
        is_mapped=row["outcome"] == "mapped",
        seen=row["seen"],
    )


def _find_axis(name: str, before: list[int], after: list[int]) -> int:
    """Return the axis along which the operands are joined, 0 for operators that join none."""
    if name not in ("CONCATENATION", "PACK"):
        return 0
    return next((axis for axis, size in enumerate(after) if axis >= len(before) or before[axis] != size), 0)


def _make_ints(values: list[int]) -> Tensor:
    content = b"".join(value.to_bytes(4, "little", signed=True) for value in values)
    return Tensor("parameter", "INT32", (len(values),), (), (), (), 0, False, 0, memoryview(content))


def _make_tensor(name: str, shape: list[int], kind: str, data: memoryview | None = None) -> Tensor:
    scales = () if kind == "FLOAT32" else (0.5,)
    return Tensor(name, kind, tuple(shape), (), scales, (0,) * len(scales), 0, False, 0, data)


if __name__ == "__main__":
    main()
