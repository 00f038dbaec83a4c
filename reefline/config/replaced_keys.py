"""Keys that earlier versions had, and what replaces them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def describe_replaced_key(name: str, value: Any) -> str:
    """Return what to write instead of a key with a dotted name; "" for a key that never existed."""
    if name == "trainer.warm_start":
        return f"replaced by trainer.start; {'write start: serving' if value else 'remove it'}"
    if name == "trainer.fine_tune_checkpoint":
        return f"replaced by trainer.start; {_rewrite(value)}"
    return ""


def _rewrite(value: Any) -> str:
    """Return the YAML of a start that means the same as `fine_tune_checkpoint` did."""
    if value is None:
        return "remove it"
    if not isinstance(value, Mapping) or not value.get("source"):
        return "write start: followed by a path or a URL"
    kept = {key: value[key] for key in ("source", "sha256", "type") if value.get(key) is not None}
    if kept.keys() == {"source"}:
        return f"write start: {kept['source']}"
    return f"write start: {{{', '.join(f'{key}: {json.dumps(text)}' for key, text in kept.items())}}}"
