"""The quality section in a real browser: slider, sorting, filters, and names from data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reefline.evaluation.confusion import count_confusion
from reefline.structures.split_detections import SplitDetections
from tests.factories_quality import make_split, write_quality_page
from tests.factories_report import HOSTILE_NAMES

PHONE = {"width": 360, "height": 740}
NAMES = ("cat", "dog", "fish")


@pytest.fixture(scope="module")
def split() -> SplitDetections:
    return make_split(30, NAMES)


@pytest.fixture(scope="module")
def page_file(split: SplitDetections, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quality_page(tmp_path_factory.mktemp("quality"), split)


def read_matrix(page: Any) -> list[list[str]]:
    """Return the cells of the confusion matrix."""
    rows = "[...document.querySelectorAll('#confusion tbody tr')]"
    return page.evaluate(f"{rows}.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent))")


def expect_matrix(split: SplitDetections, threshold: float) -> list[list[str]]:
    """Return the cells as they should be; background on background is empty."""
    counts = count_confusion(split.scored("shipped"), len(NAMES), threshold)
    cells = [[str(count) for count in row] for row in counts.tolist()]
    cells[-1][-1] = ""
    return cells


def shown_errors(page: Any) -> list[dict[str, str]]:
    """Return the data of every error that is listed and whose figure is visible."""
    visible = "[...document.querySelectorAll('#gallery li')].filter((item) => item.checkVisibility())"
    return page.evaluate(f"{visible}.map((item) => ({{...item.dataset}}))")


def column(page: Any, number: int) -> list[str]:
    """Return the texts of a column of the table of classes."""
    return page.locator(f"#quality-classes tbody tr > :nth-child({number})").all_inner_texts()


def test_the_section_opens_without_errors_and_requests(page_file: Path, open_page: Any) -> None:
    opened = open_page()
    page = opened.open(page_file)
    page.wait_for_timeout(200)
    assert opened.console == []
    assert opened.requests == [page_file.as_uri()]
    assert page.locator("#gallery figure").count() > 5


def test_the_slider_sets_the_threshold_by_keyboard(page_file: Path, split: SplitDetections, open_page: Any) -> None:
    page = open_page().open(page_file)
    slider = page.locator("#confusion-threshold")
    start = float(slider.get_attribute("aria-valuetext"))
    assert read_matrix(page) == expect_matrix(split, start)
    at_start = page.inner_text("#confusion-sum")
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "0.05"
    assert read_matrix(page) == expect_matrix(split, 0.05)
    page.keyboard.press("ArrowRight")
    assert read_matrix(page) == expect_matrix(split, 0.1)
    page.keyboard.press("End")
    expected = expect_matrix(split, 0.95)
    assert read_matrix(page) == expected
    right = sum(int(expected[place][place]) for place in range(3))
    missed = sum(int(row[-1]) for row in expected[:-1])
    said = page.inner_text("#confusion-sum")
    assert said.startswith(f"Confidence from 0.95: {right} correct, ") and f"{missed} missed" in said
    slider.fill(str(round(start / 0.05) - 1))
    assert page.inner_text("#confusion-sum") == at_start


def test_colours_follow_the_slider(page_file: Path, open_page: Any) -> None:
    page = open_page().open(page_file)
    classes = "[...document.querySelectorAll('#confusion td')].map((cell) => cell.className)"
    start = page.locator("#confusion-threshold").input_value()
    before = page.evaluate(classes)
    page.locator("#confusion-threshold").fill("18")
    assert page.evaluate(classes) != before
    page.locator("#confusion-threshold").fill(start)
    assert page.evaluate(classes) == before


def test_filters_hide_and_show(page_file: Path, open_page: Any) -> None:
    page = open_page().open(page_file)
    everything = shown_errors(page)
    kinds = {error["kind"] for error in everything}
    assert {"background", "missed", "classification"} <= kinds
    page.select_option("#gallery-kind", "missed")
    missed = shown_errors(page)
    assert {error["kind"] for error in missed} == {"missed"}
    assert len(missed) == sum(error["kind"] == "missed" for error in everything)
    assert page.locator("#gallery figure:visible").count() < page.locator("#gallery figure").count()
    assert page.locator("#gallery g[data-error]:visible").count() == len(missed)
    page.select_option("#gallery-class", label="dog")
    value = page.input_value("#gallery-class")
    dogs = shown_errors(page)
    assert 0 < len(dogs) < len(missed)
    assert all(value in error["classes"].split() for error in dogs)
    page.select_option("#gallery-kind", "")
    page.select_option("#gallery-class", "")
    assert shown_errors(page) == everything


def test_the_lowest_score_leaves_missed_objects(page_file: Path, open_page: Any) -> None:
    page = open_page().open(page_file)
    everything = shown_errors(page)
    page.locator("#gallery-score").fill("0.8")
    shown = shown_errors(page)
    assert shown == [error for error in everything if float(error.get("score", 1)) >= 0.8]
    assert 0 < len(shown) < len(everything)
    figures = page.locator("#gallery figure:visible").count()
    total = page.locator("#gallery figure").count()
    assert page.inner_text("#gallery-sum") == f"{len(shown)} errors in {figures} of {total} images, score from 0.80"


def test_a_header_sorts_both_ways_by_keyboard(page_file: Path, open_page: Any) -> None:
    page = open_page().open(page_file)
    header = page.locator("#quality-classes th", has_text="Objects")
    objects = [int(text) for text in column(page, 2)]
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert [int(text) for text in column(page, 2)] == sorted(objects)
    assert header.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert [int(text) for text in column(page, 2)] == sorted(objects, reverse=True)
    page.locator("#quality-classes th button").first.click()
    assert column(page, 1) == sorted(NAMES)
    assert header.get_attribute("aria-sort") is None


def test_unknown_values_sort_last(open_page: Any, tmp_path: Path) -> None:
    page = open_page().open(write_quality_page(tmp_path, make_split(1, tuple("abcdefgh"))))
    button = page.locator("#quality-classes th button", has_text="Threshold")
    for _ in range(2):
        button.click()
        values = column(page, 7)
        known = [text for text in values if text != "–"]
        assert known and values == [*known, *["–"] * (len(values) - len(known))]


def test_without_scripts_everything_is_shown(page_file: Path, split: SplitDetections, open_page: Any) -> None:
    page = open_page(java_script_enabled=False).open(page_file)
    assert not page.locator("#confusion-controls, #gallery-controls").first.is_visible()
    assert page.locator("#gallery figure").count() == page.locator("#gallery figure:visible").count()
    start = float(page.inner_text("#confusion-sum").split()[2].rstrip(":"))
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#confusion tbody tr").all()]
    assert rows == expect_matrix(split, start)


def test_pictures_are_drawn_wherever_they_are_used(page_file: Path, open_page: Any) -> None:
    page = open_page().open(page_file)
    overlay = page.locator("#gallery .overlay").first
    overlay.evaluate("(svg) => svg.querySelectorAll('g').forEach((group) => group.remove())")
    pixels = overlay.screenshot()
    overlay.evaluate("(svg) => svg.querySelector('use').remove()")
    assert overlay.screenshot() != pixels


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page_file: Path, open_page: Any, scheme: str) -> None:
    opened = open_page(color_scheme=scheme)
    opened.open(page_file)
    assert opened.find_faults() == []


def test_names_from_data_are_text(open_page: Any, tmp_path: Path) -> None:
    opened = open_page(viewport=PHONE)
    files = tuple(f"{name}.jpg" for name in HOSTILE_NAMES)
    page = opened.open(write_quality_page(tmp_path, make_split(12, HOSTILE_NAMES, names=files)))
    assert page.evaluate("window.owned ?? null") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert opened.console == []
    page.select_option("#gallery-class", label=HOSTILE_NAMES[0])
    assert len(shown_errors(page)) > 0
    page.locator("#quality-classes th button").first.click()
    assert {text[:50] for text in column(page, 1)} == {name[:50] for name in HOSTILE_NAMES}
