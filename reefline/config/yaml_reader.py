"""YAML as configs are written: a file or one value; unclear plain scalars and repeated keys do not pass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reefline.errors import ConfigError

# Far above any real config; they keep a hostile one from taking minutes and gigabytes.
MAX_CONFIG_BYTES = 100_000

# Escapes can name them, but neither a path nor JSON can hold them.
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")


class BoundedLoader(yaml.SafeLoader):
    """Refuses documents that are nested, or repeated by aliases, without bounds."""

    max_depth = 100
    max_values = 200_000
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > self.max_depth:
            raise yaml.composer.ComposerError(
                None, None, f"nested more than {self.max_depth} levels deep", self.peek_event().start_mark
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_document(self) -> yaml.Node | None:
        node: yaml.Node | None = super().compose_document()
        if node is not None:
            _measure(node, _Extent(self.max_values, self.max_depth), {}, frozenset())
        return node


class ConfigLoader(BoundedLoader):
    """YAML 1.2's plain scalars: `off`, 1:30 and 017 are words, 1e-3 is a number. A repeated key is an error.

    Tags other than those of JSON's types are errors.
    """

    max_depth = 30
    max_values = 20_000

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError):
            shown = _shorten(str(node.value))
            raise _problem(f"{shown!r} is not a valid {node.tag.removeprefix(_TAG)}", node) from None

    def construct_scalar(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode) and _UNUSABLE.search(node.value):
            raise _problem("contains a null character or half of a surrogate pair; remove it", node)
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _problem("a list or a section is used as a key; expected a word", key_node)
            if key_node.value in seen:
                raise _problem(f"duplicate key {_shorten(key_node.value)!r}; keep one", key_node)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


ConfigLoader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in _TAGS
}
ConfigLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) in ("null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
ConfigLoader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
ConfigLoader.add_implicit_resolver(
    f"{_TAG}int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
ConfigLoader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(
        rf"^(?:[-+]?(?:{_DIGITS}\.(?:{_DIGITS})?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?{_DIGITS}[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


class FastConfigLoader(yaml.CSafeLoader):
    """libyaml's parser, ten times as fast, for files that Reefline wrote: it explains no mistakes and has no bounds."""

    yaml_implicit_resolvers = ConfigLoader.yaml_implicit_resolvers


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file whose top level is a mapping.

    Raises:
        ConfigError: the file is missing, unreadable, too large, not UTF-8, not YAML, or holds something else.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1).decode("utf-8")
        record = _load(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file; name one with --config FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read it ({error}); expected a YAML file in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(record, dict):
        found = "nothing" if record is None else f"a {type(record).__name__}"
        raise ConfigError(f"{path}: contains {found}; expected sections such as model_name, data, trainer and gate")
    return record


def parse_value(text: str, name: str) -> Any:
    """Return the value of one --set (50, 0.1, true, null, [a, b], text); `name` is the key it is for.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return _load(text)
    except yaml.YAMLError as error:
        shown = _shorten(text)
        raise ConfigError(f"--set {name}: {shown!r} is not a YAML value ({_one_line(error)}); quote it") from None


def _load(text: str) -> Any:
    """Return what a text holds.

    Raises:
        yaml.YAMLError: it is not YAML, or too much of it.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise yaml.YAMLError(f"more than {MAX_CONFIG_BYTES} characters; expected a config")
    return yaml.load(text, Loader=ConfigLoader)


@dataclass(frozen=True)
class _Extent:
    """How many values a node contains and how deep, each alias replaced by what it stands for; a word has 1 and 1."""

    values: int
    depth: int


def _measure(node: yaml.Node, limit: _Extent, known: dict[int, _Extent], above: frozenset[int]) -> _Extent:
    """Return the extent of a node; `known` collects those of all nodes, `above` are the nodes around this one.

    Raises:
        yaml.YAMLError: an alias stands for something around itself, or the extent is too large.
    """
    if id(node) in above:
        raise _problem("an alias stands for something that contains it", node)
    if id(node) in known:
        return known[id(node)]
    inside = above | {id(node)}
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    pairs = [child if isinstance(child, tuple) else (child,) for child in children]
    extents = [_measure(part, limit, known, inside) for pair in pairs for part in pair]
    extent = _Extent(
        values=1 + sum(part.values for part in extents), depth=1 + max((part.depth for part in extents), default=0)
    )
    if extent.values > limit.values or extent.depth > limit.depth:
        raise _problem(
            f"more than {limit.values} values or {limit.depth} levels after each alias is replaced by its value", node
        )
    known[id(node)] = extent
    return extent


def _problem(text: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or error).replace("\n", " ")
