"""The OD API's StringIntLabelMap message as text; it needs neither TensorFlow nor the compat layer."""

from __future__ import annotations

from collections.abc import Sequence


def parse_label_map_items(text: str) -> list[tuple[int, str]]:
    """Return the (id, name) pairs of a StringIntLabelMap text, in the order of the file.

    Raises:
        ValueError: the text does not follow the message's schema; the message names line and column.
    """
    from google.protobuf import text_format
    from object_detection.protos import string_int_label_map_pb2

    try:
        message = text_format.Parse(text, string_int_label_map_pb2.StringIntLabelMap())
    except text_format.ParseError as error:
        raise ValueError(str(error)) from error
    return [(item.id, item.name) for item in message.item]


def format_label_map_items(names: Sequence[str]) -> str:
    """Return the names as a StringIntLabelMap text with ids from 1 up; unicode stays readable."""
    from google.protobuf import text_format
    from object_detection.protos import string_int_label_map_pb2

    message = string_int_label_map_pb2.StringIntLabelMap()
    for item_id, name in enumerate(names, start=1):
        message.item.add(id=item_id, name=name)
    return text_format.MessageToString(message, as_utf8=True)
