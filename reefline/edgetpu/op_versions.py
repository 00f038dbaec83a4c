"""Which operator versions the compiler's own TFLite can read.

An unknown version ends the compilation ("Didn't find op for builtin opcode 'X' version 'N'"), even if the operator
would not map. Coral does not publish which TFLite compiler 16.0 contains. 16.0 dates from July 2021, between TF 2.5 and
2.6, and every version it is known to have rejected was added in TF 2.7 or later. Hence: versions up to TF 2.5 are
known, up to 2.8 doubtful, later ones refused.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

# The TF releases that first ran version 1, 2, 3, ... of an operator.
# Source: tensorflow/lite/tools/versioning/runtime_version.cc of TF 2.10/2.11.
_FIRST_RELEASES = {
    "ABS": "1.13 2.4 2.5 2.6",
    "ADD": "1.5 1.14 2.4 2.6",
    "ARG_MAX": "1.9 1.14 2.9",
    "ARG_MIN": "1.9 1.14 2.9",
    "AVERAGE_POOL_2D": "1.5 1.14 2.3",
    "BATCH_MATMUL": "2.3 2.3 2.4 2.5",
    "BATCH_TO_SPACE_ND": "1.6 1.14 2.3",
    "CAST": "1.5 2.7 2.8 2.9",
    "CONCATENATION": "1.5 1.14 2.3",
    "CONV_2D": "1.5 1.14 1.14 2.3 2.4 2.9",
    "DEPTHWISE_CONV_2D": "1.5 1.12 1.14 2.2 2.3 2.3",
    "DEPTH_TO_SPACE": "2.1 2.5",
    "DEQUANTIZE": "1.13 1.14 1.15 2.2 2.7",
    "DIV": "1.6 2.3",
    "DYNAMIC_UPDATE_SLICE": "2.9",
    "EQUAL": "1.14 1.14 2.3",
    "EXP": "1.7",
    "EXPAND_DIMS": "1.10",
    "FILL": "1.13 2.3 2.5",
    "FLOOR_DIV": "1.14 1.14",
    "FULLY_CONNECTED": "1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3",
    "GATHER": "1.6 1.14 1.15 2.4 2.5",
    "GATHER_ND": "1.14 2.3 2.5",
    "GELU": "2.9 2.9",
    "GREATER": "1.14 1.14",
    "GREATER_EQUAL": "1.14 1.14",
    "HARD_SWISH": "1.15",
    "L2_NORMALIZATION": "1.5 1.14",
    "LEAKY_RELU": "1.13 2.3",
    "LESS": "1.14 1.14",
    "LESS_EQUAL": "1.14 1.14",
    "LOGISTIC": "1.14 1.14 2.3",
    "LOG_SOFTMAX": "1.14 1.14",
    "MAXIMUM": "1.14 1.14 2.3 2.3",
    "MAX_POOL_2D": "1.5 1.14 2.3",
    "MEAN": "1.6 1.14 2.4",
    "MINIMUM": "1.14 1.14 2.3 2.3",
    "MIRROR_PAD": "1.13 2.3",
    "MUL": "1.5 1.14 1.15 2.3 2.6",
    "NOT_EQUAL": "1.14 1.14 2.3",
    "PACK": "1.11 1.14 2.3",
    "PAD": "1.5 1.14 2.4 2.6",
    "PADV2": "1.9 1.14 2.4 2.6",
    "PRELU": "1.8",
    "QUANTIZE": "1.14 1.15 2.7",
    "REDUCE_MAX": "1.11 1.14 2.5",
    "REDUCE_MIN": "1.11 1.14 2.5",
    "REDUCE_PROD": "1.11 2.6",
    "RELU": "1.5 2.1 2.5",
    "RELU6": "1.5 1.14 2.5",
    "RELU_0_TO_1": "2.10",
    "RELU_N1_TO_1": "1.5",
    "RESHAPE": "1.5",
    "RESIZE_BILINEAR": "1.7 1.14 2.2 2.5",
    "RESIZE_NEAREST_NEIGHBOR": "1.13 1.14 2.3 2.4",
    "REVERSE_V2": "1.14 2.2 2.5",
    "RSQRT": "1.10 2.5",
    "SELECT": "1.14 1.14",
    "SLICE": "1.14 1.14 1.14 2.4 2.5",
    "SOFTMAX": "1.5 1.14 2.3",
    "SPACE_TO_BATCH_ND": "1.6 1.14 2.3",
    "SPACE_TO_DEPTH": "1.5 1.14",
    "SPARSE_TO_DENSE": "1.9 1.14 1.15",
    "SPLIT": "1.5 1.14 1.14 2.3",
    "SPLIT_V": "1.13 2.3",
    "SQUARED_DIFFERENCE": "1.13 2.5",
    "SQUEEZE": "1.6 2.5",
    "STRIDED_SLICE": "1.6 1.14 2.1 2.2 2.5 2.6",
    "SUB": "1.6 1.14 2.3 2.4 2.4",
    "SUM": "1.10 1.15",
    "SVDF": "1.5 1.14 2.2 2.3",
    "TANH": "1.14 1.14 2.3",
    "TILE": "1.10 2.2 2.8",
    "TOPK_V2": "1.7 1.14",
    "TRANSPOSE": "1.6 1.14 1.15 2.3 2.4",
    "TRANSPOSE_CONV": "1.9 2.2 2.3",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "1.13 1.14 2.3",
    "UNPACK": "1.11 1.14 2.2 2.3",
    "WHERE": "1.14 2.8",
}
# Reported of compiler 16.0: CONV_2D 6; EXP 2 (libedgetpu#71); QUANTIZE 3 (edgetpu#879); TRANSPOSE_CONV 4 (edgetpu#845).
# That later versions of these are rejected too is an assumption.
_REJECTED_FROM = {"CONV_2D": 6, "EXP": 2, "QUANTIZE": 3, "TRANSPOSE_CONV": 4}
# Later versions that 16.0 has read without mapping them: a compiled model with ADD 4 is published.
_READ_UP_TO = {"ADD": 4}
# "Op builtin_code out of range" was reported of GELU (150), DYNAMIC_UPDATE_SLICE (151, edgetpu#862), RELU_0_TO_1 (152).
_FIRST_UNKNOWN_BUILTIN_CODE = 150
# REDUCE_ALL (140) to MULTINOMIAL (149) were added in TF 2.6 to 2.8. Source: as for the releases, and TFLite's schema.
_FIRST_DOUBTFUL_BUILTIN_CODE = 140
_LAST_KNOWN_RELEASE = (2, 5)
_FIRST_REFUSED_RELEASE = (2, 9)


class VersionStanding(str, enum.Enum):
    """Whether compiler 16.0 reads an operator's version."""

    KNOWN = "known"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"


@dataclass(frozen=True)
class VersionJudgement:
    """A standing and, unless it is KNOWN, why."""

    standing: VersionStanding
    reason: str = ""


def judge_version(name: str, builtin_code: int, version: int) -> VersionJudgement:
    """Return whether compiler 16.0 is expected to read an operator: up to TF 2.5 it is, from TF 2.9 on it is not.

    An operator missing from the table counts as known at version 1, and as doubtful at any later one.
    """
    if builtin_code >= _FIRST_UNKNOWN_BUILTIN_CODE:
        return _refuse(f"builtin code {builtin_code}: out of range for compiler 16.0, which knows codes below 150")
    if builtin_code >= _FIRST_DOUBTFUL_BUILTIN_CODE:
        return _doubt(f"builtin code {builtin_code} was added in TF 2.6 to 2.8, after compiler 16.0")
    rejected = _REJECTED_FROM.get(name)
    if rejected is not None and version >= rejected:
        return _refuse(f"version {version}: compiler 16.0 is known to reject version {rejected}")
    if version <= _READ_UP_TO.get(name, 0):
        return VersionJudgement(VersionStanding.KNOWN)
    releases = _FIRST_RELEASES.get(name, "").split()
    if not releases:
        if version <= 1:
            return VersionJudgement(VersionStanding.KNOWN)
        return _doubt(f"version {version}: its TensorFlow release is unknown")
    if version > len(releases):
        return _refuse(f"version {version} is newer than TF 2.11; compiler 16.0 dates from TF 2.5")
    release = releases[max(version, 1) - 1]
    major, minor = (int(part) for part in release.split("."))
    if (major, minor) >= _FIRST_REFUSED_RELEASE:
        return _refuse(f"version {version} was added in TF {release}; compiler 16.0 dates from TF 2.5")
    if (major, minor) > _LAST_KNOWN_RELEASE:
        return _doubt(f"version {version} was added in TF {release}; compiler 16.0 probably reads up to TF 2.5")
    return VersionJudgement(VersionStanding.KNOWN)


def _refuse(reason: str) -> VersionJudgement:
    return VersionJudgement(VersionStanding.REFUSED, reason)


def _doubt(reason: str) -> VersionJudgement:
    return VersionJudgement(VersionStanding.DOUBTFUL, reason)
