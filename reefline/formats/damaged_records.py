"""Which gzip TFRecords are damaged: TensorFlow's own error names no file."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

_BLOCK_BYTES = 1 << 20
# TensorFlow, Beam and Python, in that order.
_SIGNS = re.compile(
    r"DataLossError|inflate\(\) failed|(?:corrupted|truncated) record|TFRecord (?:data )?is corrupt"
    r"|BadGzipFile|zlib\.error|end-of-stream marker"
)


def tells_of_damage(error_text: str) -> bool:
    """Return whether an error's text, its causes included, means that records could not be read."""
    return _SIGNS.search(error_text) is not None


def find_damaged_records(folder: Path) -> tuple[Path, ...]:
    """Return the .gz files below a folder that do not decompress to the checksum at their end; all are read."""
    return tuple(path for path in sorted(folder.rglob("*.gz")) if path.is_file() and _is_damaged(path))


def _is_damaged(path: Path) -> bool:
    if path.stat().st_size == 0:
        return True
    try:
        with gzip.open(path) as file:
            while file.read(_BLOCK_BYTES):
                pass
    except (OSError, EOFError, zlib.error):
        return True
    return False
