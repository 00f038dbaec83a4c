"""What edgetpu_compiler reported: the records."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

import pydantic

from reefline.system.record import Record

MAPPED_STATUS = "Mapped to Edge TPU"
_Unlisted = pydantic.Field(exclude=True)


class LogOutcome(str, enum.Enum):
    """How a compilation ended; `compiled_nothing_mapped` reports success with everything on the CPU."""

    COMPILED = "compiled"
    NOTHING_MAPPED = "compiled_nothing_mapped"
    FAILED = "failed"


class FailureKind(str, enum.Enum):
    """Why a compilation failed, as far as the text shows."""

    NOT_QUANTIZED = "not_quantized"
    DYNAMIC_SHAPE = "dynamic_shape"
    OP_VERSION = "op_version"
    CUSTOM_OP = "custom_op"
    FLEX_OPS = "flex_ops"
    LARGE_ACTIVATIONS = "large_activations"
    TIMEOUT = "timeout"
    INTERNAL_ERROR = "internal_error"
    CRASH = "crash"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class OperatorRow(Record):
    """One row of the operator table: `count` operators of type `op` share a `status`."""

    op: str
    count: int
    status: str


@dataclass(frozen=True)
class CompilerLog(Record):
    """What a log contains, as `parse-log --json` prints it; None for a number it does not give.

    Numbers are sums over segments (-n). `detail` is the line that reveals the failure, "" if none does; it and the
    on-chip memory are not part of the JSON.
    """

    outcome: LogOutcome
    failure: FailureKind | None
    compiler_version: str | None
    ops_total: int | None = None
    ops_on_tpu: int | None = None
    ops_on_cpu: int | None = None
    subgraphs: int | None = None
    off_chip_bytes: int | None = None
    operators: tuple[OperatorRow, ...] = ()
    on_chip_used_bytes: Annotated[int | None, _Unlisted] = None
    on_chip_free_bytes: Annotated[int | None, _Unlisted] = None
    detail: Annotated[str, _Unlisted] = ""
