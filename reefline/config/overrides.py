"""Values of a config that the command line replaces: --set trainer.num_steps=50."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reefline.config.yaml_reader import parse_value
from reefline.errors import ConfigError

_MAX_PARTS = 10


@dataclass(frozen=True)
class Override:
    """One --set: the parts of a dotted name, and its value as YAML reads it."""

    path: tuple[str, ...]
    value: Any

    @property
    def name(self) -> str:
        """The dotted name."""
        return ".".join(self.path)


def parse_override(text: str) -> Override:
    """Read one KEY=VALUE of --set; the value is YAML (50, 0.1, true, null, [a, b], text).

    Raises:
        ConfigError: the key or the equals sign is missing, or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    path = tuple(name.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"--set {text}: expected KEY=VALUE with a dotted name, such as trainer.num_steps=50")
    if len(path) > _MAX_PARTS:
        raise ConfigError(f"--set {name[:60]}…: {len(path)} parts found; no value has more than {_MAX_PARTS}")
    return Override(path, parse_value(value, name))


def apply_override(record: Mapping[str, Any], override: Override) -> dict[str, Any]:
    """Return a copy of `record` with one value replaced; missing sections around it are created.

    Raises:
        ConfigError: the name goes through something that is not a section.
    """
    return _replace_value(record, override.path, override)


def _replace_value(record: Mapping[str, Any], path: Sequence[str], override: Override) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**record, head: override.value}
    below = record.get(head)
    if below is None:
        below = {}
    if not isinstance(below, Mapping):
        raise ConfigError(
            f"--set {override.name}: {head} is a single value ({below!r}) and has no key {'.'.join(rest)}"
        )
    return {**record, head: _replace_value(below, rest, override)}
