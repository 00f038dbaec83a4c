"""Parameter values on their way through KFP: protobuf's Value knows doubles only, and files hold text."""

from __future__ import annotations

import json
from typing import Any

from tests.kubeflow.emulation.errors import BackendError


def to_value(value: Any) -> Any:
    """Return JSON as google.protobuf.Value has it: every number is a double."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, list):
        return [to_value(item) for item in value]
    return {key: to_value(item) for key, item in value.items()}


def format_json(value: Any) -> str:
    """Return JSON as Go's protojson writes it: a double that is whole looks like an integer."""
    return json.dumps(_as_go_numbers(value), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _as_go_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, list):
        return [_as_go_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_go_numbers(item) for key, item in value.items()}
    return value


def to_text(value: Any) -> str:
    """Return a value as text, as KFP's PbValueToText."""
    if value is None:
        return ""
    return value if isinstance(value, str) else format_json(value)


def read_text(text: str, kind: str) -> Any:
    """Return what a parameter file holds, as KFP's TextToPbValue.

    Raises:
        BackendError: the text is no value of this type.
    """
    try:
        if kind == "STRING":
            return text
        if kind == "NUMBER_INTEGER":
            return float(int(text.strip(), 10))
        if kind == "NUMBER_DOUBLE":
            return float(text.strip())
        parsed = json.loads(text)
    except ValueError:
        raise BackendError(f"TextToPbValue({text!r}, {kind}) failed") from None
    if not isinstance(parsed, {"BOOLEAN": bool, "LIST": list, "STRUCT": dict}[kind]):
        raise BackendError(f"TextToPbValue({text!r}, {kind}): unexpected type")
    return to_value(parsed)


def check_value(name: str, value: Any, kind: str) -> Any:
    """Return a resolved input as its declared type, as KFP's normalizeResolvedParameterValue.

    Raises:
        BackendError: it is of another type.
    """
    if kind == "STRING":
        return value if isinstance(value, str) else to_text(value)
    expected = {"NUMBER_INTEGER": float, "NUMBER_DOUBLE": float, "BOOLEAN": bool, "LIST": list, "STRUCT": dict}[kind]
    if not isinstance(value, expected):
        raise BackendError(f"input parameter {name!r} type mismatch: expect {kind}, got {type(value).__name__}")
    return value
