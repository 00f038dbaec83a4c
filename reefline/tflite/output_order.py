"""The order of a detector's outputs: boxes, classes, scores, count, as in TFLite's pretrained detectors.

TFLite's examples, Frigate and others read `get_output_details()` by position; the converter lists scores, boxes, count,
classes. pycoral reads the signature, whose names stay true because they point to tensors, not positions: output_0 is
the count, output_1 the scores, output_2 the classes, output_3 the boxes.
"""

from __future__ import annotations

from reefline.tflite.postprocess import find_postprocess_op


def order_outputs(model: bytes) -> bytes:
    """Return `model` with its outputs in the order of its TFLite_Detection_PostProcess.

    Only the subgraph's list of outputs changes. Models with other outputs than that operator's are returned unchanged.
    Metadata describes outputs by position, so add it afterwards.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray(model)
    parsed = schema.Model.GetRootAs(content, 0)
    operator = find_postprocess_op(parsed)
    if operator is None:
        return model
    # A view of `content`, as in the file: little-endian int32.
    outputs, ordered = parsed.Subgraphs(0).OutputsAsNumpy(), operator.OutputsAsNumpy()
    if sorted(outputs) != sorted(ordered):
        return model
    outputs[:] = ordered
    return bytes(content)
