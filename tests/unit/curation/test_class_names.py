from pathlib import Path

import pytest

from reefline.curation.class_names import (
    find_suspicious_names,
    parse_renames,
    survey_class_names,
    write_renamed,
)
from reefline.errors import DataError, UsageError
from reefline.formats.voc import parse_voc_annotation
from tests.factories import add_image, make_object


@pytest.fixture
def data(tmp_path: Path) -> Path:
    add_image(tmp_path / "in", "a", seed=0, objects=(make_object("cat"), make_object("Cat")))
    add_image(tmp_path / "in", "b", seed=1, objects=(make_object("dog"), make_object("cat")))
    return tmp_path / "in"


def test_classes_are_counted(data: Path) -> None:
    survey = survey_class_names(data)
    assert [(each.name, each.boxes, each.images) for each in survey.classes] == [
        ("cat", 2, 2),
        ("Cat", 1, 1),
        ("dog", 1, 1),
    ]
    assert survey.suspicions == ("'Cat' and 'cat' look alike",)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["bicycle", "bycicle"], ["'bicycle' and 'bycicle' are spelled nearly alike"]),
        (["cat\u200b", "dog"], [r"'cat\u200b' contains invisible characters (ZERO WIDTH SPACE)"]),
        (["red  car"], ["'red  car' has several spaces in a row"]),
        (["card_1", "card_2"], []),
        (["cat", "car"], []),
        (["person", "persons"], ["'person' and 'persons' are spelled nearly alike"]),
    ],
    ids=["typo", "invisible", "spaces", "numbered", "short", "plural"],
)
def test_names_that_look_like_mistakes(names: list[str], found: list[str]) -> None:
    assert find_suspicious_names(names) == found


def test_classes_are_merged_and_dropped_in_a_copy(data: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    assert write_renamed(data, out, parse_renames(["Cat=cat"], ["dog"])) == 2
    assert [(each.name, each.boxes) for each in survey_class_names(out).classes] == [("cat", 3)]
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    assert {path.relative_to(out) for path in out.rglob("*.*")} == {
        path.relative_to(data) for path in data.rglob("*.*")
    }


def test_the_rest_of_an_annotation_stays(data: Path, tmp_path: Path) -> None:
    [xml] = data.rglob("a.xml")
    xml.write_text(xml.read_text().replace("<segmented>", "<source><database>mine</database></source><segmented>"))
    write_renamed(data, tmp_path / "out", {"Cat": "cat"})
    [copy] = (tmp_path / "out").rglob("a.xml")
    assert "<database>mine</database>" in copy.read_text()
    assert [item.label for item in parse_voc_annotation(copy.read_bytes()).objects] == ["cat", "cat"]


def test_a_class_that_does_not_occur_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no box has the class 'cow'; the classes are Cat, cat, dog"):
        write_renamed(data, tmp_path / "out", {"cow": "cat"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("renames", "drops", "message"),
    [
        (["cat"], [], "expected OLD=NEW"),
        (["cat="], [], "expected OLD=NEW"),
        (["=cat"], [], "expected OLD=NEW"),
        (["cat=a\nb"], [], "expected OLD=NEW"),
        (["cat=a", "cat=b"], [], "renamed or dropped twice"),
        (["cat=a"], ["cat"], "renamed or dropped twice"),
    ],
    ids=["no equals", "no new", "no old", "line break", "twice", "renamed and dropped"],
)
def test_renames_that_make_no_sense(renames: list[str], drops: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_renames(renames, drops)
