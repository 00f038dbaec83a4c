"""JSON that other tools wrote: parsed with a message for people, and numbers checked one by one."""

from __future__ import annotations

import json
import math
from typing import Any

from reefline.errors import DataError


def parse_json(content: bytes, source: str) -> Any:
    """Return the value of a JSON file; `source` is its name for messages.

    Raises:
        DataError: the content is not JSON, or nested too deeply.
    """
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: not a JSON file ({error}): export it again") from error


def as_records(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON list, without what is no object; an empty list for any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_number(value: Any) -> float:
    """Return a JSON number, or NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def as_size(value: Any) -> int | None:
    """Return a side in pixels; None where it is missing or no positive number."""
    number = as_number(value)
    return int(number) if math.isfinite(number) and number >= 1 else None


def as_text(value: Any) -> str:
    """Return a JSON string without surrounding space, a number as text, and nothing for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""
