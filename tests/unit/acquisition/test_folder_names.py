from __future__ import annotations

import pytest

from reefline.acquisition.folder_names import name_folder, name_folders
from reefline.errors import UsageError


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        pytest.param("red fox", "red fox", id="space-stays"),
        pytest.param("Füchse", "Füchse", id="umlaut"),
        pytest.param("Fu\u0308chse", "Füchse", id="composed"),
        pytest.param("狐", "狐", id="han"),
        pytest.param("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937", id="joiner-stays"),
        pytest.param("../../etc/passwd", "_.._etc_passwd", id="parents"),
        pytest.param("/etc/passwd", "_etc_passwd", id="absolute"),
        pytest.param("..\\a", "_a", id="backslash"),
        pytest.param("C:fox", "C_fox", id="drive"),
        pytest.param(".hidden", "hidden", id="hidden"),
        pytest.param(" fox. ", "fox", id="ends"),
        pytest.param("a\nb\x00c", "a b c", id="control"),
        pytest.param("\u202egnp.xof", "gnp.xof", id="direction"),
        pytest.param("f\u200box", "fox", id="zero-width"),
        pytest.param("fox\udcff", "fox", id="surrogate"),
        pytest.param("狐" * 100, "狐" * 66, id="long"),
    ],
)
def test_a_keyword_names_one_folder(keyword: str, name: str) -> None:
    assert name_folder(keyword) == name
    assert len(name.encode()) <= 200


@pytest.mark.parametrize("keyword", ["", " ", "..", "/", "***", "\u200b"])
def test_a_keyword_without_letter_and_digit_is_refused(keyword: str) -> None:
    with pytest.raises(UsageError, match="has no letter and no digit"):
        name_folder(keyword)


@pytest.mark.parametrize(
    "keyword",
    ["train", "Test", "val", "valid", "validation", "eval", "images", "annotations", "JPEGImages", "ImageSets",
     "duplicates", "review", "span-12", " train. "],
)  # fmt: skip
def test_a_folder_with_another_meaning_is_refused(keyword: str) -> None:
    with pytest.raises(UsageError, match=r"is part of a data set and no label; use other words, such as '.* photo'"):
        name_folder(keyword)


def test_a_word_that_only_contains_a_reserved_one_is_a_label() -> None:
    assert name_folders(["train station", "trains", "span-a"]).keys() == {"train station", "trains", "span-a"}


@pytest.mark.parametrize(("one", "two"), [("a/b", "a_b"), ("Fox", "fox"), ("fox", "fox.")])
def test_two_keywords_with_one_folder_are_refused(one: str, two: str) -> None:
    with pytest.raises(UsageError, match=r"would share the folder"):
        name_folders([one, two])


def test_a_keyword_that_repeats_counts_once() -> None:
    assert name_folders(["fox", "dog", "fox"]) == {"fox": "fox", "dog": "dog"}
