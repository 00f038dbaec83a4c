from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import ConfigError
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.structures.label_map import LabelMap

NAMES = ("red cell", "<script>alert(1)</script>", 'it\'s "quoted"', "é日本", "back\\slash")


def test_names_come_back_and_ids_count_from_1(tmp_path: Path) -> None:
    write_label_map(tmp_path / "map.pbtxt", LabelMap(NAMES))
    label_map = read_label_map(tmp_path / "map.pbtxt")
    assert label_map == LabelMap(NAMES)
    assert label_map.ids_by_name() == dict(zip(NAMES, (1, 2, 3, 4, 5), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["map.pbtxt"]


def test_the_od_api_reads_the_same(tmp_path: Path) -> None:
    from reefline.od_api import compat

    compat.apply()
    from object_detection.utils import label_map_util

    write_label_map(tmp_path / "map.pbtxt", LabelMap(NAMES))
    assert label_map_util.get_label_map_dict(str(tmp_path / "map.pbtxt")) == LabelMap(NAMES).ids_by_name()


def test_the_order_is_that_of_the_ids(tmp_path: Path) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text("item { id: 2 name: 'a' } item { name: 'b' id: 1 display_name: 'B' }")
    assert read_label_map(path).names == ("b", "a")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("item { id: 0 name: 'a' } item { id: 1 name: 'b' }", ["has id 0"], id="starts-at-0"),
        pytest.param("item { id: -4 name: 'a' }", ["negative id -4"], id="negative"),
        pytest.param("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", ["id 1 repeats"], id="repeats"),
        pytest.param("item { id: 1 name: 'a' } item { id: 2147483647 name: 'b' }", ["gaps: found 1, 2147"], id="gap"),
        pytest.param("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", ["name 'a' repeats"], id="name-repeats"),
        pytest.param("item { id: 1 }", ["an item has no name"], id="no-name"),
        pytest.param("", ["holds no class"], id="empty"),
        pytest.param("item { id: 1 nome: 'a' }", ["not a StringIntLabelMap"], id="unknown-field"),
        pytest.param("item { id: 0 name: 'a' } item { id: 3 name: 'a' }", ["id 0", "gaps", "'a' repeats"], id="all"),
    ],
)
def test_a_malformed_map_is_refused_with_one_problem_each(tmp_path: Path, text: str, problems: list[str]) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"map\.pbtxt") as caught:
        read_label_map(path)
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert expected in found


@pytest.mark.parametrize("content", [pytest.param(None, id="missing"), pytest.param(b"\xff\xfe\x00", id="binary")])
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "map.pbtxt").write_bytes(content)
    with pytest.raises(ConfigError, match="cannot read the label map"):
        read_label_map(tmp_path / "map.pbtxt")


def test_a_label_map_cannot_be_made_of_bad_names() -> None:
    with pytest.raises(ConfigError, match="'cat' repeats"):
        LabelMap(("cat", "cat"))
