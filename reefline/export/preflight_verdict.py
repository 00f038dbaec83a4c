"""Whether training may start: a preflight's result against the gate's rules on the Edge TPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from reefline.edgetpu.placement_report import PlacedOp, describe_left_out
from reefline.edgetpu.preflight_report import Preflight
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.evaluation.gate import judge_placement
from reefline.settings import GateSettings
from reefline.tflite.graph import POSTPROCESS_OP

_COMPILED = "edgetpu_compiled"
# Every detector ends with these: float boxes and scores for the post-processing.
_DETECTOR_REST = ("DEQUANTIZE", POSTPROCESS_OP)


def find_preflight_problems(preflight: Preflight, settings: GateSettings, suitable: Sequence[str]) -> tuple[str, ...]:
    """Return why the gate would refuse the model however it is trained: the rule, the operators, and what to change.

    A model without any operator on the Edge TPU is refused without a rule, too. The counts are the compiler's if it
    gave an answer, otherwise the operators predicted to be left out are listed. `suitable` are the templates that map.
    """
    found = preflight.edgetpu
    failed = [result for result in judge_placement(found, settings) if not result.passed]
    if failed:
        verdicts = [f"gate.{result.rule}: {result.reason} ({_name_source(found)})" for result in failed]
    elif found.ops_on_tpu == found.ops_uncertain == 0:
        verdicts = [f"edgetpu: required, but no operator runs on the Edge TPU ({_name_source(found)})"]
    else:
        return ()
    rules = {result.rule for result in failed}
    problems = verdicts
    if _is_from_compiler(found) or _COMPILED in rules:
        problems = [*problems, found.reason]
    if not _is_from_compiler(found) and rules != {_COMPILED}:
        problems = [*problems, *preflight.problems, *describe_left_out(preflight.left_out)]
    return (*problems, " ".join(("Nothing was trained.", *_advise(preflight, rules, suitable))))


def describe_placement(found: EdgeTpuRecord) -> str:
    """Return one line on an untrained model's placement."""
    uncertain = f", {found.ops_uncertain} are uncertain" if found.ops_uncertain else ""
    return f"{found.ops_on_tpu} of {found.ops_total} operators run on the Edge TPU{uncertain} ({_name_source(found)})"


def _name_source(found: EdgeTpuRecord) -> str:
    return f"{'edgetpu_compiler on' if _is_from_compiler(found) else 'a prediction from'} the untrained model"


def _is_from_compiler(found: EdgeTpuRecord) -> bool:
    return found.source is PlacementSource.COMPILER


def _advise(preflight: Preflight, rules: set[str], suitable: Sequence[str]) -> Iterator[str]:
    found = preflight.edgetpu
    if rules != {_COMPILED} and not _is_from_compiler(found) and _is_all_that_can_map(preflight.left_out):
        share = math.floor(100 * found.ops_on_tpu / found.ops_total) / 100
        yield f"These operators run on the CPU in every detector; set gate.min_edgetpu_ops to {share:.2f} or lower."
    elif rules != {_COMPILED}:
        yield (
            f"Choose a template that maps (trainer.model: {', '.join(suitable)}), another trainer.input_size, or a "
            "lower gate.min_edgetpu_ops."
        )
        if found.ops_uncertain:
            yield "edgetpu_compiler decides where uncertain operators run."
    if _COMPILED in rules:
        yield "Fix what prevents the compilation, or set gate.edgetpu_compiled to null."


def _is_all_that_can_map(left_out: Sequence[PlacedOp]) -> bool:
    return all(op.op in _DETECTOR_REST and op.blocked_by is None for op in left_out)
