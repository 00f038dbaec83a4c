"""Operators that may or may not map: what documentation and observation leave open, one function each.

A doubt returns why an operator might not map, or None. "Coral's table" is as in op_limits; "pairs" are nine of Google's
models with their compiled forms, which show what happened to each operator.
"""

from __future__ import annotations

from reefline.edgetpu.op_limits import ON_CHIP_BYTES, Rule, list_data
from reefline.tflite.graph import Graph, Operator

_UNSEEN_DENSE_VERSIONS = range(6, 9)


def doubt_resize(op: Operator, graph: Graph) -> str | None:
    """Depending on its sizes, a resize may not map, to keep precision. Source: Coral's table, which gives no sizes.

    Among the pairs, bilinear resizes to double size (from 6, 12 and 24 px, version 3) and to the same size (33 px) were
    mapped, larger ones (1 to 33, 33 to 513 px) were not. Logs of 16.0 show mapped nearest-neighbour resizes, without
    sizes; that doubling maps for them, and at any size, is an assumption.
    """
    if op.name not in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        return None
    before, after = list_data(op, graph)[0].shape[1:3], graph.get_outputs(op)[0].shape[1:3]
    if after in (before, tuple(2 * size for size in before)):
        return None
    sizes = f"{list(before)} to {list(after)}"
    return f"a resize from {sizes} may stay on the CPU for precision; the same and double size are known to map"


def doubt_tile(op: Operator, graph: Graph) -> str | None:
    """TILE is not in Coral's table; among the pairs, one that widens one pixel to an image was mapped."""
    if op.name != "TILE":
        return None
    return "TILE is not documented as supported; one that widens a single pixel is known to have mapped"


def doubt_fully_connected_version(op: Operator, graph: Graph) -> str | None:
    """Neither success nor failure is known for FULLY_CONNECTED 6 to 8. Source: none; 5 and 9 were rejected."""
    if op.name == "FULLY_CONNECTED" and op.version in _UNSEEN_DENSE_VERSIONS:
        return f"nothing is known about version {op.version}: 4 maps, 5 and 9 were rejected"
    return None


def doubt_large_tensor(op: Operator, graph: Graph) -> str | None:
    """A very large tensor may not map. Source: Coral's table (RESHAPE), "large activation tensors" (edgetpu#439).

    No size is documented: a tensor that exceeds the 8 MB of on-chip memory by itself counts as very large.
    """
    for tensor in (*list_data(op, graph), *graph.get_outputs(op)):
        if tensor.size_bytes > ON_CHIP_BYTES:
            return f"very large tensor: {tensor.name!r} needs {tensor.size_bytes / 2**20:.1f} MiB of 8 on chip"
    return None


DOUBTS: tuple[Rule, ...] = (doubt_resize, doubt_tile, doubt_fully_connected_version, doubt_large_tensor)
