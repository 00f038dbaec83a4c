"""Damage in JPEGs that decoders pass over: libjpeg fills missing parts with grey and only counts a warning.

Pillow does not tell the warnings; simplejpeg tells them, but libjpeg has none for missing scans, and one for padding,
which is harmless. So what causes them is also looked for from outside: markers where there should be none, missing
scans, and data that end before the last row, or after it. ITU-T T.81, B.1 and B.2 define the markers.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

_MARKER_BYTE = 0xFF
_END = 0xD9
_START_OF_SCAN = 0xDA
_RESTART_INTERVAL = 0xDD
_RESTARTS = range(0xD0, 0xD8)
# What may stand between two scans: tables, restart intervals, comments and application data.
_SEGMENTS = frozenset({0xC4, 0xDA, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
# Any number of fill bytes, then a marker; FF 00 stands for FF in the data.
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
# libjpeg reads ahead by up to 8 bytes, and waits for them. Bytes before the end marker do no harm.
_LOOKED_AHEAD = bytes(16)
# More than the last bits of the last block; some cameras pad the data with one value.
_LAST_BYTES = 64
_MAX_PADDING_VALUES = 2
_COEFFICIENTS = frozenset(range(64))
# A JPEG can be decoded at an eighth of its size, in a quarter of the time.
DRAFT_DIVISOR = 8
# libjpeg's warnings about the picture's data, and the one about data that it skips (jerror.h, JWRN_*).
_CORRUPT_DATA = "Corrupt JPEG data: "
_SKIPPED_DATA = "extraneous bytes"


@dataclass(frozen=True)
class FirstScan:
    """The first scan of a JPEG: where its data start, where the first marker and the first end marker after that are.

    `components` is the number of the picture's components (colours). `is_only` is whether the scan holds all of the
    picture, so that only restart markers may come before the end.
    """

    start: int
    marker_at: int
    end_at: int
    components: int
    is_only: bool


def find_first_scan(content: bytes, image: JpegImageFile) -> FirstScan | None:
    """Return the first scan of a JPEG that Pillow has just opened; None without an end marker."""
    # Pillow stops reading there, but not in a file of several pictures.
    start = image.fp.tell() if image.fp is not None and image.format == "JPEG" else _read_header(content)[0]
    # By numpy, as a search for two bytes takes three times as long: FF 00 stands for FF in the data.
    data = np.frombuffer(content, np.uint8, offset=start)
    followed = np.flatnonzero(data[:-1] == _MARKER_BYTE)
    markers = data[followed + 1]
    ends = np.flatnonzero(markers == _END)
    if not len(ends):
        return None
    marker_at, end_at = (start + int(followed[index]) for index in (np.flatnonzero(markers)[0], ends[0]))
    length = 6 + 2 * image.layers
    has_all = content[start - length - 2 : start - length] == bytes((_MARKER_BYTE, _START_OF_SCAN))
    is_only = has_all and not image.info.get("progressive")
    return FirstScan(start, marker_at, end_at, image.layers, is_only)


def find_marker_damage(content: bytes, scan: FirstScan) -> str | None:
    """Return what is wrong with the markers from the first scan on; None if they are right."""
    if scan.is_only:
        if scan.marker_at == scan.end_at:
            return None
        return _follow_data(content, scan.start, _read_header(content)[1])[1]
    headers, problem = _follow_scans(content, scan.start)
    return problem or _find_missing_scans(headers, scan.components)


def load_checking_data(image: JpegImageFile, content: bytes, scan: FirstScan) -> str | None:
    """Decode a JPEG that was just opened, and return how its data and its rows disagree; None if they agree.

    Only known for images of one scan: the last row must come with the last bytes of the data. Without the end marker,
    Pillow's decoder asks for more until it has every row, and no longer.
    """
    if not scan.is_only:
        image.load()
        return None
    cut = max(scan.start, scan.end_at - _LAST_BYTES)
    last_bytes = content[cut : scan.end_at]
    file = _InParts(content[:cut], last_bytes + _LOOKED_AHEAD, content[scan.end_at :])
    image.fp = file  # type: ignore[assignment]
    image.load()
    if file.reads == 1 and len(set(last_bytes)) > _MAX_PADDING_VALUES:
        return "its last row comes before the end of its data"
    return "its data end before its last row" if file.reads > 2 else None


def decode_draft(content: bytes) -> np.ndarray:
    """Return a JPEG in grey (height, width; uint8) at an eighth of its size, which still reads every byte.

    Raises:
        ValueError: libjpeg's warning or error. Without one, the data of each scan that exists are complete.
    """
    import simplejpeg  # type: ignore[import-untyped]

    draft: np.ndarray = simplejpeg.decode_jpeg(
        content, "GRAY", min_height=1, min_width=1, min_factor=DRAFT_DIVISOR, strict=True
    )
    return draft[:, :, 0]


def describe_warning(warning: ValueError) -> str | None:
    """Return libjpeg's warning if it means that a part of the picture is lost; None if it is harmless."""
    text = str(warning)
    return text.removeprefix(_CORRUPT_DATA) if text.startswith(_CORRUPT_DATA) and _SKIPPED_DATA not in text else None


class _InParts:
    """A file that hands out one part with every read, and counts the reads."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self.reads = 0

    def seek(self, _: int) -> None:
        """Do nothing: Pillow starts at the beginning."""

    def read(self, _: int) -> bytes:
        self.reads += 1
        return self._parts[self.reads - 1] if self.reads <= len(self._parts) else b""


def _follow_scans(content: bytes, position: int) -> tuple[tuple[bytes, ...], str | None]:
    """Return the headers of all scans, and what is wrong with the markers from `position` on, in the first scan."""
    _, interval, first = _read_header(content)
    headers = [first]
    position, problem = _follow_data(content, position, interval, ends=_SEGMENTS)
    while problem is None and content[position + 1] in _SEGMENTS:
        marker, length = content[position + 1], int.from_bytes(content[position + 2 : position + 4], "big")
        body = position + 4
        position += 2 + length
        if marker == _RESTART_INTERVAL:
            interval = int.from_bytes(content[body : body + 2], "big")
        if marker == _START_OF_SCAN:
            headers.append(content[body:position])
            position, problem = _follow_data(content, position, interval, ends=_SEGMENTS)
        elif content[position : position + 1] != b"\xff":
            problem = f"no marker follows the segment FF {marker:02X}"
        else:
            position, problem = _follow_data(content, position, 0, ends=_SEGMENTS)
    return tuple(headers), problem


def _follow_data(
    content: bytes, position: int, interval: int, ends: frozenset[int] = frozenset()
) -> tuple[int, str | None]:
    """Return where the data of a scan end, at one of `ends` or at the end marker, and what is wrong before that."""
    expected = itertools.cycle(_RESTARTS)
    for found in _MARKER.finditer(content, position):
        marker, position = found[1][0], found.start(1) - 1
        if marker == _END or marker in ends:
            return position, None
        if marker not in _RESTARTS:
            return position, f"a marker FF {marker:02X} inside the picture's data"
        if not interval or marker != next(expected):
            return position, f"an unexpected restart marker FF {marker:02X}"
    return len(content), "no end marker"


def _read_header(content: bytes) -> tuple[int, int, bytes]:
    """Return where the data of the first scan start, the restart interval in blocks (0: no markers), and its header."""
    position, body, interval, marker = 2, 2, 0, 0
    while marker != _START_OF_SCAN and (found := _MARKER.search(content, position)) is not None:
        marker, body = found[1][0], found.end()
        if marker == _RESTART_INTERVAL:
            interval = int.from_bytes(content[body + 2 : body + 4], "big")
        position = body + int.from_bytes(content[body : body + 2], "big")
    return position, interval, content[body + 2 : position]


def _find_missing_scans(headers: Sequence[bytes], components: int) -> str | None:
    """Return what is missing if the scans do not bring every coefficient of every component to its last bit.

    T.81 would allow that (G.1.1.1), but no encoder does it, while every file that was cut between two scans does.
    """
    if len(headers) == 1:
        return "only the first of several scans exists"
    known: dict[int, set[int]] = defaultdict(set)
    for component, coefficients in itertools.chain.from_iterable(map(_read_scan, headers)):
        known[component].update(coefficients)
    complete = sum(coefficients >= _COEFFICIENTS for coefficients in known.values())
    return None if complete >= components else f"only the first {len(headers)} of its scans exist"


def _read_scan(header: bytes) -> Iterator[tuple[int, range]]:
    """Yield each component of a scan and the coefficients of which it brings the last bit (T.81, B.2.3)."""
    end = 1 + 2 * header[0]
    first, last, bits = header[end : end + 3]
    for component in header[1:end:2]:
        yield component, range(first, last + 1) if bits & 0x0F == 0 else range(0)
