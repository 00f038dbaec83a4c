"""What a failed compilation means, and what to do about it."""

from __future__ import annotations

from reefline.edgetpu.compiler.log import CompilerLog, FailureKind

_EXPLANATIONS = {
    FailureKind.NOT_QUANTIZED: ("the model is not quantized to integers", "convert it with calibration images"),
    FailureKind.DYNAMIC_SHAPE: (
        "the model has tensors of dynamic shape",
        "export it with batch size 1 and fixed shapes",
    ),
    FailureKind.OP_VERSION: (
        "an operator is newer than the compiler",
        "convert with an older TensorFlow (2.16 at most), or replace the operator",
    ),
    FailureKind.CUSTOM_OP: ("the model has a custom operator that the compiler lacks", "move it out of the model"),
    FailureKind.FLEX_OPS: (
        "the model has TensorFlow operators that TFLite lacks",
        "export the detector for TFLite, and convert with the built-in operators alone",
    ),
    FailureKind.LARGE_ACTIVATIONS: (
        "activations are too large for the Edge TPU",
        "take a smaller input, or search for a smaller part that compiles (-d)",
    ),
    FailureKind.TIMEOUT: ("the compiler ran out of time", "allow it more, or take a smaller input"),
    FailureKind.INTERNAL_ERROR: ("the compiler met an internal error", "try again, or compiler 16.0 with -d"),
    FailureKind.CRASH: ("the compiler crashed", "try again, or search for a smaller part that compiles (-d)"),
    FailureKind.UNKNOWN: ("the compiler gave no reason that is known", "read its output, or try -d"),
}


def describe_failure(log: CompilerLog) -> str:
    """Return one sentence on a failure: what it is, the compiler's own words, and what to do.

    Raises:
        ValueError: the log is not one of a failure.
    """
    if log.failure is None:
        raise ValueError(f"the outcome is {log.outcome.value}: there is no failure to describe")
    what, remedy = _EXPLANATIONS[log.failure]
    said = f' ("{log.detail}")' if log.detail else ""
    return f"{what}{said}; {remedy}"
