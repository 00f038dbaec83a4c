"""TFLite's partitioning; the expected sets follow from PartitionGraphIntoIndependentNodeSubsets by hand."""

from __future__ import annotations

from pathlib import Path

from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.placement_report import Placement, describe_left_out
from tests.factories_tflite import OpSpec, TensorSpec, parameter, write_model

RELU, ON_CPU = "RELU6", "HARD_SWISH"


def place(tmp_path: Path, *ops: OpSpec, tensors: tuple[TensorSpec, ...] = ()) -> list[str]:
    """Return the placements of a graph; tensors that no op makes are its inputs."""
    given = {tensor.name for tensor in tensors}
    names = dict.fromkeys(name for op in ops for name in (*op.inputs, *op.outputs) if name not in given)
    made = {name for op in ops for name in op.outputs}
    everything = [*tensors, *map(TensorSpec, names)]
    inputs = [name for name in names if name not in made]
    path = write_model(tmp_path / "model.tflite", everything, ops, inputs, list(ops[-1].outputs))
    return [op.placement.value for op in analyze_model(path).ops]


def op(name: str, *tensors: str) -> OpSpec:
    """Make an operator; its last tensor is what it makes."""
    return OpSpec(name, tensors[:-1], tensors[-1:])


def test_what_does_not_depend_on_the_cpu_maps_wherever_it_stands(tmp_path: Path) -> None:
    ops = (op(RELU, "a", "b"), op(ON_CPU, "b", "c"), op(RELU, "c", "d"), op(RELU, "b", "e"), op(RELU, "e", "f"))
    assert place(tmp_path, *ops) == ["edgetpu", "cpu", "cpu", "edgetpu", "edgetpu"]


def test_leading_cpu_operators_block_nothing(tmp_path: Path) -> None:
    ops = (op(ON_CPU, "a", "b"), op(ON_CPU, "b", "c"), op(RELU, "c", "d"), op(ON_CPU, "d", "e"), op(RELU, "e", "f"))
    assert place(tmp_path, *ops) == ["cpu", "cpu", "edgetpu", "cpu", "cpu"]


def test_a_join_with_a_cpu_branch_stays(tmp_path: Path) -> None:
    ops = (op(RELU, "a", "b"), op(ON_CPU, "x", "y"), op("ADD", "b", "y", "z"))
    assert place(tmp_path, *ops) == ["edgetpu", "cpu", "cpu"]


def test_a_leading_cpu_branch_goes_before_the_first_partition(tmp_path: Path) -> None:
    ops = (op(ON_CPU, "x", "y"), op(RELU, "a", "b"), op("ADD", "b", "y", "z"))
    assert place(tmp_path, *ops) == ["cpu", "edgetpu", "edgetpu"]


def test_what_depends_on_a_doubt_is_uncertain_and_names_it(tmp_path: Path) -> None:
    small, large = TensorSpec("s", (1, 2, 2, 4)), TensorSpec("l", (1, 32, 32, 4))
    resize = OpSpec("RESIZE_BILINEAR", ("s", "size"), ("l",))
    ops = (op(RELU, "a", "s"), resize, op(RELU, "l", "m"), op(ON_CPU, "m", "n"), op(RELU, "n", "o"))
    placements = place(tmp_path, *ops, tensors=(small, large, parameter("size", 32, 32)))
    assert placements == ["edgetpu", "uncertain", "uncertain", "cpu", "cpu"]
    placed = analyze_model(tmp_path / "model.tflite").ops
    assert "op 1 (RESIZE_BILINEAR)" in placed[2].reason
    assert "op 3 (HARD_SWISH)" in placed[4].reason
    assert "only one subgraph" in placed[4].reason


def test_of_two_leading_doubts_one_may_map_and_cut_off_the_rest(tmp_path: Path) -> None:
    """Both on the CPU, they precede the first partition; both mapped, they belong to it; only one, it ends there."""
    small, large, larger = TensorSpec("s", (1, 2, 2, 4)), TensorSpec("l", (1, 32, 32, 4)), TensorSpec("m", (1, 9, 9, 4))
    first, second = (
        OpSpec("RESIZE_BILINEAR", (before, f"size of {after}"), (after,)) for before, after in (("s", "l"), ("l", "m"))
    )
    sizes = (parameter("size of l", 32, 32), parameter("size of m", 9, 9))
    ops = (op(ON_CPU, "a", "s"), first, second, op(RELU, "m", "n"))
    placements = place(tmp_path, *ops, tensors=(small, large, larger, *sizes))
    assert placements == ["cpu", "uncertain", "uncertain", "uncertain"]


def test_one_leading_doubt_cuts_off_nothing(tmp_path: Path) -> None:
    small, large = TensorSpec("s", (1, 2, 2, 4)), TensorSpec("l", (1, 32, 32, 4))
    resize = OpSpec("RESIZE_BILINEAR", ("s", "size"), ("l",))
    ops = (op(ON_CPU, "a", "s"), resize, op(RELU, "l", "m"))
    placements = place(tmp_path, *ops, tensors=(small, large, parameter("size", 32, 32)))
    assert placements == ["cpu", "uncertain", "edgetpu"]


def test_operators_that_wait_for_each_other_do_not_hang_the_analysis(tmp_path: Path) -> None:
    ops = (op(RELU, "a", "b"), op("ADD", "b", "d", "c"), op(RELU, "c", "d"))
    assert place(tmp_path, *ops) == ["edgetpu", "cpu", "cpu"]


def test_a_model_without_anything_to_map_stays_on_the_cpu(tmp_path: Path) -> None:
    assert set(place(tmp_path, op(ON_CPU, "a", "b"), op("ARG_MAX", "b", "c"))) == {Placement.CPU.value}


def test_dependent_operators_are_counted_on_one_line(tmp_path: Path) -> None:
    ops = (op(RELU, "a", "b"), op(ON_CPU, "b", "c"), op(RELU, "c", "d"), op("LOGISTIC", "d", "e"), op(RELU, "e", "f"))
    names = [TensorSpec(name) for name in "abcdef"]
    placed = analyze_model(write_model(tmp_path / "model.tflite", names, ops, ["a"], ["f"])).ops
    assert [op.blocked_by for op in placed] == [None, None, 1, 1, 1]
    assert list(describe_left_out(placed)) == [
        "op 1 HARD_SWISH v1: cpu: the Edge TPU does not support this operator",
        "3 more ops run on the CPU only because they depend on these: 2 RELU6, 1 LOGISTIC",
    ]


def test_without_dependent_operators_there_is_no_such_line(tmp_path: Path) -> None:
    ops = (op(RELU, "a", "b"), op(ON_CPU, "b", "c"))
    placed = analyze_model(write_model(tmp_path / "model.tflite", list(map(TensorSpec, "abc")), ops, ["a"], ["c"])).ops
    assert len(list(describe_left_out(placed))) == 1
