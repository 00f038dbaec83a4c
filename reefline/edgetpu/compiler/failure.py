"""What a failed compilation means, and what to do about it."""

from __future__ import annotations

from reefline.edgetpu.compiler.log import CompilerLog, FailureKind

_EXPLANATIONS = {
    FailureKind.NOT_QUANTIZED: ("the model is not quantized to integers", "convert it with calibration images"),
    FailureKind.DYNAMIC_SHAPE: (
        "the model has tensors with dynamic shapes",
        "export it with batch size 1 and fixed shapes",
    ),
    FailureKind.OP_VERSION: (
        "an operator is newer than the compiler",
        "convert with TensorFlow 2.16 or older, or replace the operator",
    ),
    FailureKind.CUSTOM_OP: (
        "the model has a custom operator that the compiler does not support",
        "move it out of the model",
    ),
    FailureKind.FLEX_OPS: (
        "the model has TensorFlow operators that TFLite does not support",
        "export the detector for TFLite, and convert with built-in operators only",
    ),
    FailureKind.LARGE_ACTIVATIONS: (
        "activations are too large for the Edge TPU",
        "use a smaller input size, or search for a smaller part that compiles (-d)",
    ),
    FailureKind.TIMEOUT: ("the compiler timed out", "allow it more time, or use a smaller input size"),
    FailureKind.INTERNAL_ERROR: ("internal compiler error", "try again, or use compiler 16.0 with -d"),
    FailureKind.CRASH: ("the compiler crashed", "try again, or search for a smaller part that compiles (-d)"),
    FailureKind.UNKNOWN: ("the compiler gave no known reason", "read its output, or try -d"),
}


def describe_failure(log: CompilerLog) -> str:
    """Return one sentence on a failure: what it is, the compiler's own words, and what to do.

    Raises:
        ValueError: the log is not of a failure.
    """
    if log.failure is None:
        raise ValueError(f"the outcome is {log.outcome.value}: no failure to describe")
    what, remedy = _EXPLANATIONS[log.failure]
    quote = f' ("{log.detail}")' if log.detail else ""
    return f"{what}{quote}; {remedy}"
