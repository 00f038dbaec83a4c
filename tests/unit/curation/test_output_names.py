from __future__ import annotations

import unicodedata

import pytest

from reefline.curation.output_names import choose_stems


def test_equal_names_get_their_folders_in_front() -> None:
    assert choose_stems(["cats/1.jpg", "dogs/1.jpg", "dogs/2.jpg"]) == ("cats_1", "dogs_1", "2")


def test_suffix_case_and_unicode_form_do_not_tell_names_apart() -> None:
    decomposed = unicodedata.normalize("NFD", "ü")
    stems = choose_stems(["a.jpg", "a.png", "A.gif", "ü.jpg", f"{decomposed}.png", "a_png.jpg"])
    folded = {unicodedata.normalize("NFC", stem.casefold()) for stem in stems}
    assert len(folded) == len(stems)
    assert stems[-1] == "a_png"


@pytest.mark.parametrize(
    ("image", "stem"),
    [
        ("x..\\..\\evil.jpg", "x.._.._evil"),
        ("C:evil.jpg", "C_evil"),
        (" a .jpg", "a"),
        ("line\nbreak\u202e.jpg", "line_break_"),
        ("...jpg", "image"),
        ("naïve 画像.jpg", "naïve 画像"),
    ],
    ids=["backslashes", "drive", "spaces", "control", "dots", "unicode"],
)
def test_unsafe_characters_are_replaced(image: str, stem: str) -> None:
    assert choose_stems([image]) == (stem,)


def test_long_names_stay_unique_and_fit() -> None:
    stems = choose_stems([f"{folder}/{'é' * 120}.jpg" for folder in ("a", "b", "c")])
    assert len(set(stems)) == 3
    assert max(len(stem.encode()) for stem in stems) <= 210


def test_names_of_an_earlier_call_stay() -> None:
    assert choose_stems(["cat/1.jpg", "dog/1.jpg"], {"cat/1.jpg": "1"}) == ("1", "dog_1")
    # Also of images that no longer exist.
    assert choose_stems(["dog/1.jpg"], {"cat/1.jpg": "1"}) == ("dog_1",)
