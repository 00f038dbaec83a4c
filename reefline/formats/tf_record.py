"""tf.Examples and TFRecords as bytes, without TensorFlow: a process that imports it starts seconds later.

An Example maps names to lists of bytes, floats or integers (tensorflow/core/example/feature.proto), in protobuf's wire
format (https://protobuf.dev/programming-guides/encoding). A TFRecord frames it with its length and two masked CRC-32C
(tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence

_LENGTH_DELIMITED = 2
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
# Smaller integers are one byte as a varint.
_ONE_BYTE = 0x80
_CRC_MASK = 0xA282EAD8
_UINT32 = 0xFFFFFFFF


def encode_features(features: Mapping[str, bytes]) -> bytes:
    """Return a serialized tf.Example of encoded features.

    The names are in order, as in protobuf's deterministic serialization: equal features give equal bytes.
    """
    entries = [_field(1, _encode_name(name) + _field(2, feature)) for name, feature in sorted(features.items())]
    return _field(1, b"".join(entries))


def encode_bytes(values: Sequence[bytes]) -> bytes:
    """Return a feature that is a list of byte strings."""
    return _field(_BYTES_LIST, b"".join([_field(1, value) for value in values]))


def encode_floats(values: Sequence[float]) -> bytes:
    """Return a feature that is a list of floats, rounded to single precision."""
    return _field(_FLOAT_LIST, _field(1, struct.pack(f"<{len(values)}f", *values)) if values else b"")


def encode_integers(values: Sequence[int]) -> bytes:
    """Return a feature that is a list of integers from 0 to 2**63 - 1."""
    if not values:
        return _field(_INT64_LIST, b"")
    is_short = min(values) >= 0 and max(values) < _ONE_BYTE
    return _field(_INT64_LIST, _field(1, bytes(values) if is_short else b"".join(map(_varint, values))))


def frame_record(data: bytes) -> bytes:
    """Return one record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def _masked_crc(data: bytes) -> bytes:
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _CRC_MASK) & _UINT32)


@functools.cache
def _encode_name(name: str) -> bytes:
    return _field(1, name.encode())


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field with a number below 16."""
    length = len(content)
    if length < _ONE_BYTE:
        return b"%c%c%b" % (number << 3 | _LENGTH_DELIMITED, length, content)
    return b"%c%b%b" % (number << 3 | _LENGTH_DELIMITED, _varint(length), content)


def _varint(value: int) -> bytes:
    # Protocol Buffers write a negative number as its two's complement in 64 bits.
    value &= 0xFFFF_FFFF_FFFF_FFFF
    parts = bytearray()
    while value >= _ONE_BYTE:
        parts.append(value & 0x7F | _ONE_BYTE)
        value >>= 7
    parts.append(value)
    return bytes(parts)
