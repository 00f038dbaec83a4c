"""The platform document against what KFP reads: an unknown field is refused, or ignored without a word."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.kubeflow.lint_finding import LintFinding

# The fields of each message, with their types: those of kfp-kubernetes 2.17.0, and the messages of KFP's
# pipeline_spec.proto around them, with kubernetes as the only platform.
_FIELDS_FILE = Path(__file__).with_name("platform_fields.json")
_ROOT = "PlatformSpec"
# A message of another proto, which is not looked into.
_ANY_MESSAGE = "Struct"
_REPEATED, _MAP = "[]", re.compile(r"map<(.+)>")


def find_platform_problems(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[LintFinding]:
    """Yield an error for each field that KFP does not know or that has a value of another type."""
    found: dict[tuple[str, str], list[str]] = {}
    problems = [*_check(platform, _ROOT, ())]
    for place, message in problems:
        # The same volume or secret is in every task: one finding for all of them.
        if place[:4] == ("platforms", "kubernetes", "deploymentSpec", "executors") and len(place) > 5:
            task, field = place[4].removesuffix("_executor"), _join(place[5:])
            found.setdefault((field, message), []).append(task)
        else:
            yield LintFinding(f"platform document: {_join(place)}", message)
    for (field, message), tasks in found.items():
        yield LintFinding(f"platform document: {', '.join(sorted(tasks))}: {field}", message)
    if not problems:
        yield from _check_labels(spec, platform)


def _check_labels(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[LintFinding]:
    known = _find_mapping(spec, "deploymentSpec", "executors")
    given = _find_mapping(platform, "platforms", "kubernetes", "deploymentSpec", "executors")
    for label in sorted(given.keys() - known.keys()):
        yield LintFinding(f"platform document: {label}", f"no such executor in the pipeline; {_suggest(label, known)}")


def _find_mapping(document: Any, *keys: str) -> Mapping[str, Any]:
    """Return the mapping at the end of the keys; an empty one where the document has another shape."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def _check(value: Any, kind: str, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the place and the problem of each value that is not of its kind; nulls are found elsewhere."""
    if value is None:
        return
    values = _MAP.fullmatch(kind)
    if kind.endswith(_REPEATED):
        yield from _check_list(value, kind.removesuffix(_REPEATED), place)
    elif kind in _SCALARS:
        expected, fits = _SCALARS[kind]
        if not fits(value):
            yield place, f"{_show(value)} found, {expected} expected"
    elif not isinstance(value, Mapping):
        yield place, f"{_show(value)} found, an object expected"
    elif values:
        for key, inner in value.items():
            yield from _check(inner, values[1], (*place, str(key)))
    elif kind != _ANY_MESSAGE:
        fields = _read_fields()[kind]
        for key, inner in value.items():
            if (field := _to_camel(str(key))) in fields:
                yield from _check(inner, fields[field], (*place, str(key)))
            else:
                yield (*place, str(key)), f"unknown field; {_suggest(field, fields)}"


def _check_list(value: Any, kind: str, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(value, list):
        yield place, f"{_show(value)} found, a list expected"
        return
    for position, inner in enumerate(value):
        yield from _check(inner, kind, (*place, f"[{position}]"))


def _is_integer(value: Any) -> bool:
    # In JSON, protobuf writes int64 as text.
    return type(value) is int or (isinstance(value, str) and re.fullmatch(r"-?\d+", value) is not None)


_SCALARS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("text", lambda value: isinstance(value, str)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int32": ("an integer", _is_integer),
    "int64": ("an integer", _is_integer),
}


@functools.cache
def _read_fields() -> Mapping[str, Mapping[str, str]]:
    fields: dict[str, dict[str, str]] = json.loads(_FIELDS_FILE.read_text(encoding="utf-8"))
    return fields


def _to_camel(name: str) -> str:
    """Return a field's name as JSON has it; protobuf reads secret_as_env, too."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(sorted(known))}"


def _join(place: tuple[str, ...]) -> str:
    return ".".join(place).replace(".[", "[")


def _show(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"
