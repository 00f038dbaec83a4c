"""Whether a training may begin: what a preflight found, against the gate's own rules on the Edge TPU."""

from __future__ import annotations

from collections.abc import Sequence

from reefline.edgetpu.placement import describe_left_out
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.gate import judge_placement
from reefline.preflight import Preflight
from reefline.settings import GateSettings


def find_preflight_problems(preflight: Preflight, settings: GateSettings, suitable: Sequence[str]) -> tuple[str, ...]:
    """Return why the gate would refuse the model whatever is trained: the rule, the operators, and what to change.

    A model of which nothing runs on the Edge TPU is refused without a rule, too. `suitable` are the templates that were
    made for the Edge TPU.
    """
    failed = [result for result in judge_placement(preflight.edgetpu, settings) if not result.passed]
    if failed:
        verdicts = [f"gate.{result.rule}: {result.reason} ({_name_source(preflight.edgetpu)})" for result in failed]
    elif preflight.edgetpu.ops_on_tpu == preflight.edgetpu.ops_uncertain == 0:
        verdicts = [
            f"edgetpu: required, but nothing of the model runs on the Edge TPU ({_name_source(preflight.edgetpu)})"
        ]
    else:
        return ()
    compiled_only = [result.rule for result in failed] == ["edgetpu_compiled"]
    said = [preflight.edgetpu.reason] if compiled_only or _is_compilers_word(preflight.edgetpu) else []
    predicted = [] if compiled_only else [*preflight.problems, *describe_left_out(preflight.left_out)]
    return (*verdicts, *said, *predicted, _advise(preflight, compiled_only, suitable))


def describe_placement(found: EdgeTpuRecord) -> str:
    """Return the line that tells of an untrained model's placement."""
    uncertain = f", {found.ops_uncertain} are uncertain" if found.ops_uncertain else ""
    return f"{found.ops_on_tpu} of {found.ops_total} operators run on the Edge TPU{uncertain} ({_name_source(found)})"


def _name_source(found: EdgeTpuRecord) -> str:
    return f"{'edgetpu_compiler on' if _is_compilers_word(found) else 'a prediction from'} the untrained model"


def _is_compilers_word(found: EdgeTpuRecord) -> bool:
    return found.source is PlacementSource.COMPILER


def _advise(preflight: Preflight, compiled_only: bool, suitable: Sequence[str]) -> str:
    if compiled_only:
        return "nothing was trained; mend what keeps the compiler from it, or set gate.edgetpu_compiled to null"
    decided = "; edgetpu_compiler decides what is uncertain here" if preflight.edgetpu.ops_uncertain else ""
    return (
        f"nothing was trained; choose a template that maps (trainer.model: {', '.join(suitable)}), another "
        f"trainer.input_size, or a lower gate.min_edgetpu_ops{decided}"
    )
