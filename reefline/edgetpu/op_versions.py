"""Which operator versions the compiler's own TFLite can read.

Compiler 16.0 (July 2021) parses a model with a TFLite of TF 2.5's time: a version it does not know ends the whole
compilation ("Didn't find op for builtin opcode 'X' version 'N'"), whether the operator would map or not.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

# The TF releases that first ran version 1, 2, 3, ... of an operator.
# Source: tensorflow/lite/tools/versioning/runtime_version.cc of TF 2.10/2.11.
_FIRST_RELEASES = {
    "ADD": "1.5 1.14 2.4 2.6",
    "ARG_MAX": "1.9 1.14 2.9",
    "AVERAGE_POOL_2D": "1.5 1.14 2.3",
    "BATCH_MATMUL": "2.3 2.3 2.4 2.5",
    "CAST": "1.5 2.7 2.8 2.9",
    "CONCATENATION": "1.5 1.14 2.3",
    "CONV_2D": "1.5 1.14 1.14 2.3 2.4 2.9",
    "DEPTHWISE_CONV_2D": "1.5 1.12 1.14 2.2 2.3 2.3",
    "DEQUANTIZE": "1.13 1.14 1.15 2.2 2.7",
    "DIV": "1.6 2.3",
    "DYNAMIC_UPDATE_SLICE": "2.9",
    "EXP": "1.7",
    "EXPAND_DIMS": "1.10",
    "FULLY_CONNECTED": "1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3",
    "GELU": "2.9 2.9",
    "HARD_SWISH": "1.15",
    "L2_NORMALIZATION": "1.5 1.14",
    "LEAKY_RELU": "1.13 2.3",
    "LOGISTIC": "1.14 1.14 2.3",
    "MAXIMUM": "1.14 1.14 2.3 2.3",
    "MAX_POOL_2D": "1.5 1.14 2.3",
    "MEAN": "1.6 1.14 2.4",
    "MINIMUM": "1.14 1.14 2.3 2.3",
    "MUL": "1.5 1.14 1.15 2.3 2.6",
    "PACK": "1.11 1.14 2.3",
    "PAD": "1.5 1.14 2.4 2.6",
    "PRELU": "1.8",
    "QUANTIZE": "1.14 1.15 2.7",
    "REDUCE_MAX": "1.11 1.14 2.5",
    "REDUCE_MIN": "1.11 1.14 2.5",
    "RELU": "1.5 2.1 2.5",
    "RELU6": "1.5 1.14 2.5",
    "RELU_0_TO_1": "2.10",
    "RELU_N1_TO_1": "1.5",
    "RESHAPE": "1.5",
    "RESIZE_BILINEAR": "1.7 1.14 2.2 2.5",
    "RESIZE_NEAREST_NEIGHBOR": "1.13 1.14 2.3 2.4",
    "RSQRT": "1.10 2.5",
    "SLICE": "1.14 1.14 1.14 2.4 2.5",
    "SOFTMAX": "1.5 1.14 2.3",
    "SPACE_TO_DEPTH": "1.5 1.14",
    "SPLIT": "1.5 1.14 1.14 2.3",
    "SPLIT_V": "1.13 2.3",
    "SQUARED_DIFFERENCE": "1.13 2.5",
    "SQUEEZE": "1.6 2.5",
    "STRIDED_SLICE": "1.6 1.14 2.1 2.2 2.5 2.6",
    "SUB": "1.6 1.14 2.3 2.4 2.4",
    "SUM": "1.10 1.15",
    "TANH": "1.14 1.14 2.3",
    "TILE": "1.10 2.2 2.8",
    "TRANSPOSE": "1.6 1.14 1.15 2.3 2.4",
    "TRANSPOSE_CONV": "1.9 2.2 2.3",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "1.13 1.14 2.3",
    "UNPACK": "1.11 1.14 2.2 2.3",
}
# Seen rejected by compiler 16.0, from this version on: CONV_2D 6; EXP 2 (libedgetpu#71); QUANTIZE 3 (edgetpu#879);
# TRANSPOSE_CONV 4 (edgetpu#845).
_REJECTED_FROM = {"CONV_2D": 6, "EXP": 2, "QUANTIZE": 3, "TRANSPOSE_CONV": 4}
# "Op builtin_code out of range": GELU is 150, DYNAMIC_UPDATE_SLICE 151, RELU_0_TO_1 152 (edgetpu#862).
_FIRST_UNKNOWN_BUILTIN_CODE = 150
_LAST_SURE_RELEASE = (2, 5)
_FIRST_REFUSED_RELEASE = (2, 9)


class VersionStanding(str, enum.Enum):
    """What compiler 16.0 makes of an operator's version."""

    KNOWN = "known"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"


@dataclass(frozen=True)
class VersionJudgement:
    """A standing and, unless it is KNOWN, why."""

    standing: VersionStanding
    reason: str = ""


def judge_version(name: str, builtin_code: int, version: int) -> VersionJudgement:
    """Return whether compiler 16.0 can parse an operator: up to TF 2.5 it does, from TF 2.9 on it does not.

    An operator that the table above does not hold is known at version 1, doubtful at any later one.
    """
    if builtin_code >= _FIRST_UNKNOWN_BUILTIN_CODE:
        return _refuse(f"builtin code {builtin_code} is out of the range that compiler 16.0 knows (up to 149)")
    if version >= _REJECTED_FROM.get(name, version + 1):
        return _refuse(f"version {version} is one that compiler 16.0 is known to reject")
    releases = _FIRST_RELEASES.get(name, "").split()
    if not releases:
        if version <= 1:
            return VersionJudgement(VersionStanding.KNOWN)
        return _doubt(f"version {version}: from which TensorFlow release it is, is not known")
    if version > len(releases):
        return _refuse(f"version {version} is newer than those of TF 2.11; compiler 16.0 reads models of TF 2.5's time")
    release = releases[max(version, 1) - 1]
    major, minor = (int(part) for part in release.split("."))
    if (major, minor) >= _FIRST_REFUSED_RELEASE:
        return _refuse(f"version {version} came with TF {release}; compiler 16.0 reads models of TF 2.5's time")
    if (major, minor) > _LAST_SURE_RELEASE:
        return _doubt(f"version {version} came with TF {release}, after the TF 2.5 that compiler 16.0 is sure to read")
    return VersionJudgement(VersionStanding.KNOWN)


def _refuse(reason: str) -> VersionJudgement:
    return VersionJudgement(VersionStanding.REFUSED, reason)


def _doubt(reason: str) -> VersionJudgement:
    return VersionJudgement(VersionStanding.DOUBTFUL, reason)
