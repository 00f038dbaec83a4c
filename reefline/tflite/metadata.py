"""TFLite metadata: the meaning of a detector's outputs and the names of its classes, inside the file.

The format is TensorFlow's (metadata_schema.fbs, "TFLITE_METADATA"): a flatbuffer in one of the model's buffers, and the
associated files as a zip archive appended to the model, which any unzip program reads. The tensor names are those that
the Task Library's ObjectDetector expects. tflite-support's own writer needs libusb, which a bare machine lacks; its
schema does not.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

from reefline.tflite.labels import LABELS_FILE, format_labels, parse_labels
from reefline.tflite.reader import FILE_IDENTIFIER

METADATA_BUFFER = "TFLITE_METADATA"
_METADATA_IDENTIFIER = b"M001"
# A fixed time for zip entries, so that the same model gives the same bytes.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def add_metadata(model: bytes, name: str, labels: Sequence[str], roles: Sequence[str]) -> bytes:
    """Return `model` with metadata and labels inside.

    `roles` are the outputs' meanings in the model's order: "location", "category", "score" and "number of detections".
    Line n of the labels is the 0-based class n.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    contents = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    buffer = schema.BufferT()
    buffer.data = list(_pack_metadata(name, roles))
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_BUFFER, len(contents.buffers)
    contents.buffers.append(buffer)
    contents.metadata = [*(contents.metadata or []), entry]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(contents.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return _append_files(bytes(builder.Output()), {LABELS_FILE: format_labels(labels)})


def read_embedded_labels(model: bytes) -> tuple[str, ...]:
    """Return the class names inside a model that `add_metadata` returned."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return parse_labels(archive.read(LABELS_FILE).decode("utf-8"))


def find_embedded_labels(model: bytes) -> str | None:
    """Return the text of the labels file inside a model of any maker; None without exactly one text file."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".txt")]
            return archive.read(names[0]).decode("utf-8") if len(names) == 1 else None
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, RuntimeError):
        return None


def find_normalization(model: bytes) -> tuple[float, float] | None:
    """Return the mean and standard deviation that the metadata give for the image; None without them.

    Raises:
        any of DAMAGE_ERRORS: the model is damaged.
    """
    from ai_edge_litert import schema_py_generated as litert
    from tensorflow_lite_support.metadata import metadata_schema_py_generated as schema

    parsed = litert.Model.GetRootAs(model, 0)
    entries = (parsed.Metadata(index) for index in range(parsed.MetadataLength()))
    buffers = [entry.Buffer() for entry in entries if entry.Name() == METADATA_BUFFER.encode()]
    if not buffers:
        return None
    content = bytes(parsed.Buffers(buffers[0]).DataAsNumpy())
    metadata = schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(content, 0))
    inputs = metadata.subgraphMetadata[0].inputTensorMetadata if metadata.subgraphMetadata else None
    for unit in (inputs[0].processUnits or ()) if inputs else ():
        if unit.optionsType == schema.ProcessUnitOptions.NormalizationOptions:
            return float(unit.options.mean[0]), float(unit.options.std[0])
    return None


def _append_files(model: bytes, files: dict[str, str]) -> bytes:
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, mode="a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), text.encode("utf-8"))
    return stream.getvalue()


def _pack_metadata(name: str, roles: Sequence[str]) -> bytes:
    import flatbuffers
    from tensorflow_lite_support.metadata import metadata_schema_py_generated as schema

    subgraph = schema.SubGraphMetadataT()
    subgraph.inputTensorMetadata = [_describe_input(schema)]
    subgraph.outputTensorMetadata = [_describe_output(schema, role) for role in roles]
    group = schema.TensorGroupT()
    group.name, group.tensorNames = "detection_result", ["location", "category", "score"]
    subgraph.outputTensorGroups = [group]
    metadata = schema.ModelMetadataT()
    metadata.name = name
    metadata.description = "Finds objects in an image; made by Reefline."
    metadata.minParserVersion = "1.2.0"  # The version that added tensor groups.
    metadata.subgraphMetadata = [subgraph]
    builder = flatbuffers.Builder(0)
    builder.Finish(metadata.Pack(builder), file_identifier=_METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _describe_input(schema: Any) -> Any:
    """Describe an RGB image whose pixels 0..255 are the input."""
    tensor = schema.TensorMetadataT()
    tensor.name = "image"
    tensor.description = "RGB image, pixels 0 to 255."
    tensor.content = schema.ContentT()
    tensor.content.contentPropertiesType = schema.ContentProperties.ImageProperties
    tensor.content.contentProperties = schema.ImagePropertiesT()
    tensor.content.contentProperties.colorSpace = schema.ColorSpaceType.RGB
    unit = schema.ProcessUnitT()
    unit.optionsType = schema.ProcessUnitOptions.NormalizationOptions
    unit.options = schema.NormalizationOptionsT()
    unit.options.mean, unit.options.std = [0.0], [1.0]
    tensor.processUnits = [unit]
    tensor.stats = schema.StatsT()
    tensor.stats.min, tensor.stats.max = [0.0], [255.0]
    return tensor


def _describe_output(schema: Any, role: str) -> Any:
    tensor = schema.TensorMetadataT()
    tensor.name = role
    tensor.content = schema.ContentT()
    if role == "location":
        boxes = schema.BoundingBoxPropertiesT()
        boxes.index = [1, 0, 3, 2]  # The positions of left, top, right and bottom in y_min, x_min, y_max, x_max.
        boxes.type = schema.BoundingBoxType.BOUNDARIES
        boxes.coordinateType = schema.CoordinateType.RATIO
        tensor.content.contentPropertiesType = schema.ContentProperties.BoundingBoxProperties
        tensor.content.contentProperties = boxes
    else:
        tensor.content.contentPropertiesType = schema.ContentProperties.FeatureProperties
        tensor.content.contentProperties = schema.FeaturePropertiesT()
    if role != "number of detections":
        tensor.content.range = schema.ValueRangeT()
        tensor.content.range.min = tensor.content.range.max = 2  # The second dimension counts detections.
    if role == "category":
        labels = schema.AssociatedFileT()
        labels.name, labels.type = LABELS_FILE, schema.AssociatedFileType.TENSOR_VALUE_LABELS
        labels.description = "Line n is the name of class n, counted from 0."
        tensor.associatedFiles = [labels]
    return tensor
