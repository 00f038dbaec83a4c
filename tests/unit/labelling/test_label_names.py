from pathlib import Path

import pytest

from reefline.errors import ConfigError, UsageError
from reefline.labelling.label_names import fit_names, guess_names, parse_label_lines, read_label_map
from reefline.structures.coco_labels import COCO_LABELS

PBTXT = """
item { name: "/m/01g317" id: 1 display_name: "person" }
item { name: "bicycle" id: 3 }
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("???\nperson\nn/a\n", (None, "person", None)),
        ("0  person\n2: car\n", ("person", None, "car")),
        ("7 up\ncola\n", ("7 up", "cola")),
        ("cat\r\ndog", ("cat", "dog")),
    ],
    ids=["plain", "unnamed", "numbered", "digits in a name", "windows"],
)
def test_lines_name_classes(text: str, expected: tuple[str | None, ...]) -> None:
    assert parse_label_lines(text) == expected


def test_a_label_map_may_have_gaps_and_display_names(tmp_path: Path) -> None:
    (tmp_path / "coco.pbtxt").write_text(PBTXT)
    assert read_label_map(str(tmp_path / "coco.pbtxt")) == ("person", None, "bicycle")
    assert read_label_map("coco") is COCO_LABELS


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("missing.txt", None, r"missing\.txt: cannot read it \(No such file.*expected a \.pbtxt label map, a text"),
        ("empty.txt", b"\n", "names no class"),
        ("binary.txt", b"\xff\xfe\x00", r"cannot read it \(not UTF-8 text\)"),
        ("bad.pbtxt", b"item {", r"bad\.pbtxt: cannot read the label map"),
        ("zero.pbtxt", b'item { id: 0 name: "a" }', "with ids from 1 to 9999"),
    ],
    ids=["missing", "empty", "binary", "syntax", "background"],
)
def test_files_without_names_are_refused(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        read_label_map(str(tmp_path / name))


def test_names_fit_the_model() -> None:
    assert fit_names((None, "cat", "dog"), 2, "f") == ("cat", "dog")
    assert fit_names(("cat",), 3, "f") == ("cat", None, None)
    assert fit_names(("cat", "dog"), None, "f") == ("cat", "dog")
    with pytest.raises(UsageError, match="f: names 3 classes, but the model has 2"):
        fit_names(("a", "b", "c"), 2, "f")


def test_only_a_model_with_cocos_number_of_classes_has_its_names() -> None:
    assert guess_names(90) == guess_names(91) == COCO_LABELS
    assert guess_names(3) == guess_names(None) == ()
