"""What stops a run before training, and the messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reefline.edgetpu.placement_report import PlacedOp, Placement
from reefline.edgetpu.preflight_report import Preflight
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.export.preflight_verdict import describe_placement, find_preflight_problems
from reefline.settings import GateSettings

LEFT_OUT = (
    PlacedOp(57, "RESHAPE", 1, Placement.CPU, "rank 5 is not supported"),
    PlacedOp(58, "CONV_2D", 3, Placement.CPU, "supported, but depends on RESHAPE #57", blocked_by=57),
    PlacedOp(59, "CONV_2D", 3, Placement.CPU, "supported, but depends on RESHAPE #57", blocked_by=57),
    PlacedOp(60, "ADD", 2, Placement.CPU, "supported, but depends on RESHAPE #57", blocked_by=57),
)
FOUND = Preflight(
    edgetpu=EdgeTpuRecord(
        compiled=False,
        compiler_version=None,
        source=PlacementSource.PREDICTION,
        ops_total=40,
        ops_on_tpu=36,
        ops_on_cpu=4,
        ops_uncertain=0,
        reason="edgetpu_compiler is not on the PATH",
    ),
    conforms=True,
    problems=(),
    left_out=LEFT_OUT,
)
SUITABLE = ("small", "large")


def _find(found: Preflight = FOUND, **rules: float) -> tuple[str, ...]:
    return find_preflight_problems(found, GateSettings(**rules), SUITABLE)


def _with_record(**changed: object) -> Preflight:
    return replace(FOUND, edgetpu=replace(FOUND.edgetpu, **changed))


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({}, id="no-rule"),
        pytest.param({"min_edgetpu_ops": 0.9}, id="reached"),
        pytest.param({"edgetpu_compiled": False}, id="compiled-is-not-asked-for"),
        pytest.param({"min_map": 1.0}, id="rules-on-quality-wait-for-the-gate"),
    ],
)
def test_a_model_that_the_gate_would_pass_has_no_problem(rules: dict[str, float]) -> None:
    assert _find(**rules) == ()


def test_too_few_operators_are_listed_with_what_to_change() -> None:
    problems = _find(min_edgetpu_ops=0.95)
    assert problems == (
        "gate.min_edgetpu_ops: share of operations on the Edge TPU (36 of 40) 0.9000 is below 0.9500 "
        "(a prediction from the untrained model)",
        "op 57 RESHAPE v1: cpu: rank 5 is not supported",
        "3 more ops run on the CPU only because they depend on these: 2 CONV_2D, 1 ADD",
        "Nothing was trained. Choose a template that maps (trainer.model: small, large), another "
        "trainer.input_size, or a lower gate.min_edgetpu_ops.",
    )


def test_a_compiler_that_is_asked_for_and_missing_stops_the_run() -> None:
    verdict, reason, advice = _find(edgetpu_compiled=True)
    assert verdict == "gate.edgetpu_compiled: not compiled for the Edge TPU (a prediction from the untrained model)"
    assert reason == "edgetpu_compiler is not on the PATH"
    assert "set gate.edgetpu_compiled to null" in advice


def test_both_rules_are_listed_with_their_advice() -> None:
    problems = _find(edgetpu_compiled=True, min_edgetpu_ops=1.0)
    assert [problem.partition(":")[0] for problem in problems[:2]] == ["gate.min_edgetpu_ops", "gate.edgetpu_compiled"]
    assert problems[2] == "edgetpu_compiler is not on the PATH"
    assert problems[3].startswith("op 57 ")
    assert "Choose a template that maps" in problems[-1]
    assert "set gate.edgetpu_compiled to null" in problems[-1]


def test_without_a_rule_a_model_of_which_nothing_maps_is_refused() -> None:
    found = _with_record(ops_on_tpu=0, ops_on_cpu=40)
    found = replace(found, conforms=False, problems=("op 3 CONV_2D v9: newer than the compiler",))
    problems = _find(found)
    assert problems[0].startswith("edgetpu: required, but no operator runs on the Edge TPU")
    assert "op 3 CONV_2D v9: newer than the compiler" in problems


def test_a_model_in_doubt_is_not_refused_without_a_rule() -> None:
    assert _find(_with_record(ops_on_tpu=0, ops_on_cpu=4, ops_uncertain=36)) == ()


def test_the_compilers_counts_are_marked_as_such() -> None:
    said = _with_record(source=PlacementSource.COMPILER, reason="36 of 40 according to edgetpu_compiler")
    problems = _find(said, min_edgetpu_ops=0.95)
    assert problems[0].endswith("(edgetpu_compiler on the untrained model)")
    assert problems[1] == "36 of 40 according to edgetpu_compiler"
    assert not [problem for problem in problems if problem.startswith("op ")]
    assert (
        describe_placement(said.edgetpu)
        == "36 of 40 operators run on the Edge TPU (edgetpu_compiler on the untrained model)"
    )


def test_what_no_detector_can_map_is_no_reason_for_another_template() -> None:
    rest = ("DEQUANTIZE", "DEQUANTIZE", "CUSTOM:TFLite_Detection_PostProcess")
    left_out = tuple(PlacedOp(37 + i, name, 1, Placement.CPU, "not supported") for i, name in enumerate(rest))
    found = replace(_with_record(ops_on_tpu=37, ops_on_cpu=3), left_out=left_out)
    assert _find(found, min_edgetpu_ops=0.95)[-1] == (
        "Nothing was trained. These operators run on the CPU in every detector; "
        "set gate.min_edgetpu_ops to 0.92 or lower."
    )


def test_doubts_are_for_the_compiler_to_decide() -> None:
    doubted = _with_record(ops_on_tpu=30, ops_uncertain=6)
    assert _find(doubted, min_edgetpu_ops=0.9)[-1].endswith(" edgetpu_compiler decides where uncertain operators run.")


def test_the_line_of_a_run_names_doubts() -> None:
    line = describe_placement(_with_record(ops_on_tpu=30, ops_uncertain=6).edgetpu)
    assert line == "30 of 40 operators run on the Edge TPU, 6 are uncertain (a prediction from the untrained model)"


def test_a_preflight_reads_back_as_it_was_written() -> None:
    assert Preflight.from_json(FOUND.to_json()) == FOUND
