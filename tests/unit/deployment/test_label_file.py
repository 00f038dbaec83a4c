"""Label files in the form that a program reads back as the same names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reefline.deployment.label_file import format_labels_for, read_labels_as
from reefline.deployment.programs import LabelReading
from reefline.errors import BundleError

FIRST, EACH = LabelReading.BY_FIRST_LINE, LabelReading.BY_EACH_LINE


@pytest.mark.parametrize(
    ("reading", "labels", "text"),
    [
        pytest.param(FIRST, ("cat", "dog"), "cat\ndog\n", id="plain"),
        pytest.param(FIRST, ("7 up", "cola"), "0 7 up\n1 cola\n", id="first-starts-with-a-number"),
        pytest.param(FIRST, ("cola", "7 up"), "cola\n7 up\n", id="second-starts-with-a-number"),
        pytest.param(FIRST, ("7",), "7\n", id="a-number-alone"),
        pytest.param(FIRST, ("² m", "x"), "0 ² m\n1 x\n", id="a-digit-that-is-no-number"),
        pytest.param(EACH, ("cola", "7 up"), "0 cola\n1 7 up\n", id="each-line"),
    ],
)
def test_the_form_is_the_one_that_is_read_back(reading: LabelReading, labels: tuple[str, ...], text: str) -> None:
    assert format_labels_for(reading, labels, "Frigate") == text
    assert read_labels_as(reading, text) == dict(enumerate(labels))


def test_the_plain_form_breaks_where_the_first_name_starts_with_a_number() -> None:
    assert read_labels_as(FIRST, "7 up\ncola\n") is None
    assert read_labels_as(FIRST, "7 up\n8 cola\n") == {7: "up", 8: "cola"}


def test_names_that_cannot_be_read_are_an_error() -> None:
    with pytest.raises(BundleError, match=r"class names: Viseron would read ':x' as 'x'; rename them"):
        format_labels_for(EACH, ("cat", ":x"), "Viseron")
    with pytest.raises(BundleError, match=r"Frigate would read ' cat' as 'cat'"):
        format_labels_for(FIRST, (" cat",), "Frigate")


@pytest.mark.parametrize("labels", [("cat", "7 up"), ("7 up", "cat"), ("a: b", "c")], ids=" ".join)
@pytest.mark.parametrize("reading", list(LabelReading), ids=lambda reading: reading.name.lower())
def test_files_are_read_as_the_programs_read_them(
    reading: LabelReading, labels: tuple[str, ...], tmp_path: Path
) -> None:
    """Both rules once more, as the programs apply them: to the lines that Python reads from a file."""
    path = tmp_path / "labels.txt"
    path.write_text(format_labels_for(reading, labels, "it"), encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        lines = file.readlines()
    if reading is FIRST:
        indexed = lines[0].split(" ", maxsplit=1)[0].isdigit()
        pairs = [line.split(" ", maxsplit=1) for line in lines] if indexed else enumerate(lines)
        read = {int(index): name.strip() for index, name in pairs}
    else:
        split = [re.split(r"[:\s]+", line.strip(), maxsplit=1) for line in lines]
        read = {int(index): name for index, name in split}
    assert read == dict(enumerate(labels))
