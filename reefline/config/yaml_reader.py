"""YAML as configs are written: a file or one value; unclear plain scalars and repeated keys do not pass."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from reefline.errors import ConfigError


class ConfigLoader(yaml.SafeLoader):
    """YAML 1.2's plain scalars (`off` is a word, 1e-3 a number); a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key_node.value!r}; keep one", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


ConfigLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
ConfigLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
ConfigLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file whose top level is a mapping.

    Raises:
        ConfigError: the file is missing, unreadable, not UTF-8, not YAML, or holds something else.
    """
    try:
        record = yaml.load(path.read_text(encoding="utf-8"), Loader=ConfigLoader)
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
        return yaml.load(text, Loader=ConfigLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {name}: {text!r} is not a YAML value ({_one_line(error)}); quote it") from None


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or error).replace("\n", " ")
