"""Whether a training may begin: what a preflight found, against the gate's own rules on the Edge TPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from reefline.edgetpu.placement import PlacedOp, describe_left_out
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.evaluation.gate import judge_placement
from reefline.export.preflight import Preflight
from reefline.settings import GateSettings
from reefline.tflite.graph import POSTPROCESS_OP

_COMPILED = "edgetpu_compiled"
# What every detector ends with: float boxes and scores for the post-processing.
_DETECTOR_REST = ("DEQUANTIZE", POSTPROCESS_OP)


def find_preflight_problems(preflight: Preflight, settings: GateSettings, suitable: Sequence[str]) -> tuple[str, ...]:
    """Return why the gate would refuse the model whatever is trained: the rule, the operators, and what to change.

    A model of which nothing runs on the Edge TPU is refused without a rule, too. Where the compiler gave its word, its
    own counts are told, else the operators that are predicted to be left. `suitable` are the templates that were made
    for the Edge TPU.
    """
    found = preflight.edgetpu
    failed = [result for result in judge_placement(found, settings) if not result.passed]
    if failed:
        verdicts = [f"gate.{result.rule}: {result.reason} ({_name_source(found)})" for result in failed]
    elif found.ops_on_tpu == found.ops_uncertain == 0:
        verdicts = [f"edgetpu: required, but nothing of the model runs on the Edge TPU ({_name_source(found)})"]
    else:
        return ()
    rules = {result.rule for result in failed}
    problems = verdicts
    if _is_compilers_word(found) or _COMPILED in rules:
        problems = [*problems, found.reason]
    if not _is_compilers_word(found) and rules != {_COMPILED}:
        problems = [*problems, *preflight.problems, *describe_left_out(preflight.left_out)]
    return (*problems, f"nothing was trained; {'; '.join(_advise(preflight, rules, suitable))}")


def describe_placement(found: EdgeTpuRecord) -> str:
    """Return the line that tells of an untrained model's placement."""
    uncertain = f", {found.ops_uncertain} are uncertain" if found.ops_uncertain else ""
    return f"{found.ops_on_tpu} of {found.ops_total} operators run on the Edge TPU{uncertain} ({_name_source(found)})"


def _name_source(found: EdgeTpuRecord) -> str:
    return f"{'edgetpu_compiler on' if _is_compilers_word(found) else 'a prediction from'} the untrained model"


def _is_compilers_word(found: EdgeTpuRecord) -> bool:
    return found.source is PlacementSource.COMPILER


def _advise(preflight: Preflight, rules: set[str], suitable: Sequence[str]) -> Iterator[str]:
    found = preflight.edgetpu
    if rules != {_COMPILED} and not _is_compilers_word(found) and _is_all_that_can_map(preflight.left_out):
        share = math.floor(100 * found.ops_on_tpu / found.ops_total) / 100
        yield f"what is left stays on the CPU in every detector: make gate.min_edgetpu_ops {share:.2f} or less"
    elif rules != {_COMPILED}:
        yield (
            f"choose a template that maps (trainer.model: {', '.join(suitable)}), another trainer.input_size, or a "
            "lower gate.min_edgetpu_ops"
        )
        if found.ops_uncertain:
            yield "edgetpu_compiler decides what is uncertain here"
    if _COMPILED in rules:
        yield "mend what keeps the compiler from it, or set gate.edgetpu_compiled to null"


def _is_all_that_can_map(left_out: Sequence[PlacedOp]) -> bool:
    return all(op.op in _DETECTOR_REST and op.blocked_by is None for op in left_out)
