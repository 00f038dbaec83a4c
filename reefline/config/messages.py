"""pydantic's problems as sentences: where, what was found, what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import pydantic

from reefline.config.replaced_keys import describe_replaced_key

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MAX_SHOWN = 200


def describe_problems(error: pydantic.ValidationError, model: type[pydantic.BaseModel], source: str) -> tuple[str, ...]:
    """Return one sentence per problem of validating `model`; each starts with `source` and the value's dotted name."""
    return tuple(f"{source}: {name_of(problem)}: {_describe(problem, model)}" for problem in error.errors())


def name_of(problem: ErrorDetails) -> str:
    """Return the dotted name of the value that the problem is about."""
    return ".".join(map(str, problem["loc"]))


def _describe(problem: ErrorDetails, model: type[pydantic.BaseModel]) -> str:
    *section, key = map(str, problem["loc"])
    if problem["type"] == "missing":
        return f"this {'value' if section else 'section or value'} is missing; add it"
    if problem["type"] == "extra_forbidden":
        replacement = describe_replaced_key(name_of(problem), problem["input"])
        if replacement:
            return replacement
        known = _list_keys(model, section)
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {'.'.join((*section, close[0]))}? " if close else ""
        return f"unknown key; {hint}expected one of {', '.join(known)}"
    found = problem["input"]
    if problem["type"] == "value_error" and isinstance(found, list):
        return _describe_expected(problem)  # names the item, which is all that helps
    shown = found if isinstance(found, (str, int, float, bool)) or found is None else type(found).__name__
    return f"found {_shorten(repr(shown))}; {_describe_expected(problem)}"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _describe_expected(problem: ErrorDetails) -> str:
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "expected a section with its own keys"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return re.sub(r"^Input should be", "expected", problem["msg"])


def _list_keys(model: type[pydantic.BaseModel], section: Sequence[str]) -> list[str]:
    """Return the keys that a section of `model` may have."""
    found: Any = model
    for key in section:
        if key not in found.model_fields:
            continue  # an item of a list, or an entry whose name the user chose
        annotation = found.model_fields[key].annotation
        candidates = (annotation, *get_args(annotation))
        found = next(c for c in candidates if isinstance(c, type) and issubclass(c, pydantic.BaseModel))
    return list(found.model_fields)
