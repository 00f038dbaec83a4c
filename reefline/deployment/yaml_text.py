"""Text as a YAML scalar, without a YAML library: a board that deploys bundles needs none."""

from __future__ import annotations

import json


def quote_yaml(text: str) -> str:
    """Return a text as a double-quoted YAML scalar (YAML 1.2, 5.7), whatever characters it has."""
    return "".join(
        character if character.isprintable() else f"\\U{ord(character):08x}"
        for character in json.dumps(text, ensure_ascii=False)
    )
