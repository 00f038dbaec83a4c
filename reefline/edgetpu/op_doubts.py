"""What may map to the Edge TPU and may not: where documentation and what was seen leave a doubt, one function each.

A doubt returns why an operator might not map, None where it has nothing to say. "Coral's table" is as in op_rules;
"pairs" are nine of Google's models with their compiled forms, which tell what became of one operator at a time.
"""

from __future__ import annotations

from reefline.edgetpu.op_limits import ON_CHIP_BYTES, Rule, list_data
from reefline.tflite.graph import Graph, Operator

_UNSEEN_DENSE_VERSIONS = range(6, 9)


def doubt_resize(op: Operator, graph: Graph) -> str | None:
    """Depending on its sizes a resize may be left out, to keep precision. Source: Coral's table, which names no sizes.

    Among the pairs, bilinear resizes to twice the sides (from 6, 12 and 24 px, version 3) and to the same (33 px) were
    mapped, those by much (1 to 33, 33 to 513 px) were left. Logs of 16.0 show nearest-neighbour resizes mapped without
    their sizes; that doubling is safe for them, and at any size, is an assumption.
    """
    if op.name not in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        return None
    before, after = list_data(op, graph)[0].shape[1:3], graph.get_outputs(op)[0].shape[1:3]
    if after in (before, tuple(2 * size for size in before)):
        return None
    sizes = f"{list(before)} to {list(after)}"
    return f"a resize from {sizes} may be left to the CPU for precision; twice the size is known to map"


def doubt_tile(op: Operator, graph: Graph) -> str | None:
    """TILE is not in Coral's table; among the pairs, one that widens one pixel to an image was mapped."""
    if op.name != "TILE":
        return None
    return "TILE is not among the documented operations; one that widens a single pixel is known to have mapped"


def doubt_fully_connected_version(op: Operator, graph: Graph) -> str | None:
    """Neither a success nor a failure is known of FULLY_CONNECTED 6 to 8. Source: none; 5 and 9 were rejected."""
    if op.name == "FULLY_CONNECTED" and op.version in _UNSEEN_DENSE_VERSIONS:
        return f"nothing is known of version {op.version}: 4 maps, 5 and 9 were rejected"
    return None


def doubt_large_tensor(op: Operator, graph: Graph) -> str | None:
    """A very large tensor may not map. Source: Coral's table (RESHAPE), "large activation tensors" (edgetpu#439).

    No size is documented: what exceeds the 8 MB of on-chip memory alone is taken for very large.
    """
    for tensor in (*list_data(op, graph), *graph.get_outputs(op)):
        if tensor.size_bytes > ON_CHIP_BYTES:
            return f"very large tensor: {tensor.name!r} takes {tensor.size_bytes / 2**20:.1f} MiB, on-chip memory is 8"
    return None


DOUBTS: tuple[Rule, ...] = (doubt_resize, doubt_tile, doubt_fully_connected_version, doubt_large_tensor)
