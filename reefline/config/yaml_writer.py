"""A config as YAML text that `yaml_reader` reads back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from reefline.config.yaml_reader import ConfigLoader


class _Dumper(yaml.SafeDumper):
    """Quotes what `yaml_reader` would not read as text."""

    yaml_implicit_resolvers = ConfigLoader.yaml_implicit_resolvers


def _write_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(list, _write_list)


def format_yaml(record: Mapping[str, Any]) -> str:
    """Return a config's content as YAML: keys in their order, sections as blocks, lists on one line."""
    text: str = yaml.dump(
        dict(record), Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=10_000
    )
    return text
