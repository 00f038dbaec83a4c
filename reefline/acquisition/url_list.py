"""The file of `--from-urls`: one address per line, or CSV with the columns url and label."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Iterator
from pathlib import Path

from reefline.acquisition.query import ImageHit
from reefline.errors import UsageError
from reefline.images.codec import IMAGE_SUFFIXES

SOURCE_NAME = "urls"
_MAX_LISTED = 10


def read_url_list(path: Path) -> dict[str, list[ImageHit]]:
    """Return the addresses of each label; those of a plain list have the label "".

    A first line `url,label` is a heading, which may name the columns in either order and others besides. Without one,
    the file is CSV if every line ends in a label. Empty lines and lines that start with # are skipped. In a plain
    list, commas belong to the address.

    Raises:
        UsageError: the file cannot be read, has no address, or a line has no http(s) address; one problem per line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"--from-urls {path}: cannot read it ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--from-urls {path}: not UTF-8 text; save it as UTF-8") from error
    found: dict[str, list[ImageHit]] = {}
    problems = []
    for number, url, label in _read_rows(lines):
        if url.partition("://")[0].lower() in ("http", "https") and not any(c.isspace() for c in url):
            found.setdefault(label, []).append(ImageHit(url=url, source=SOURCE_NAME))
        else:
            problems.append(f"--from-urls {path}, line {number}: {url[:80]!r} found, an http or https URL expected")
    if problems:
        left_out = len(problems) - _MAX_LISTED
        raise UsageError(*problems[:_MAX_LISTED], *([f"… and {left_out} more lines"] if left_out > 0 else []))
    if not found:
        raise UsageError(f"--from-urls {path}: lists no URL")
    return found


def _read_rows(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Return line number, address and label of each line."""
    used = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    used = [(number, line) for number, line in used if line and not line.startswith("#")]
    columns = _read_heading(used[0][1]) if used else None
    is_csv = columns is not None or all(_ends_in_label(line) for _, line in used)
    for number, line in used[1:] if columns else used:
        if not is_csv:
            yield number, line, ""
            continue
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        url_at, label_at = columns or (0, 1)
        yield number, _cell(cells, url_at), _cell(cells, label_at)


def _read_heading(line: str) -> tuple[int, int] | None:
    """Return the places of the columns url and label, if this is a heading."""
    names = [name.strip().lower() for name in next(csv.reader([line]))]
    return (names.index("url"), names.index("label")) if {"url", "label"} <= set(names) else None


def _ends_in_label(line: str) -> bool:
    """Return whether a line of a file without heading is `url,label`: what follows the last comma is no address."""
    cells = next(csv.reader([line]))
    label = cells[1].strip() if len(cells) == 2 else ""
    is_file_name = posixpath.splitext(label)[1].lower() in IMAGE_SUFFIXES
    return bool(label) and not is_file_name and not set(label) & set("/?&=")


def _cell(cells: list[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
