"""Reading a TFLite flatbuffer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reefline.errors import BundleError

_FILE_IDENTIFIER = b"TFL3"


def count_operators(path: Path) -> int:
    """Return the number of operators in a model's first subgraph, the one that runs.

    Raises:
        BundleError: the file is not a TFLite model.
    """
    return int(open_model(path).Subgraphs(0).OperatorsLength())


def open_model(path: Path) -> Any:
    """Return the flatbuffer's Model.

    Raises:
        BundleError: the file is not a TFLite model.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    if content[4:8] != _FILE_IDENTIFIER:
        raise BundleError(
            f"{path}: not a TFLite model (bytes 4 to 8 are {content[4:8]!r}, expected {_FILE_IDENTIFIER!r})"
        )
    return schema.Model.GetRootAs(content, 0)
