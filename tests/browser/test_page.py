"""Pages of runs in a real browser: nothing leaves the machine, and everyone can read and use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reefline.report.summary import Verdict
from tests.factories_report import HOSTILE_NAMES, write_page

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module", params=list(Verdict), ids=lambda verdict: verdict.value)
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("run"), request.param)


@pytest.fixture(scope="module")
def blessed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("blessed"))


def test_a_page_opens_without_errors_and_without_requests(page_file: Path, open_page: Any) -> None:
    opened = open_page()
    page = opened.open(page_file)
    opened.open_details()
    page.wait_for_timeout(200)
    assert opened.console == []
    assert opened.requests == [page_file.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page_file: Path, open_page: Any, scheme: str) -> None:
    opened = open_page(color_scheme=scheme)
    opened.open(page_file)
    opened.open_details()
    assert opened.find_faults() == []


def test_a_phone_needs_no_sideways_scrolling(page_file: Path, open_page: Any) -> None:
    opened = open_page(viewport=PHONE)
    page = opened.open(page_file)
    opened.open_details()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_keyboard_switches_the_theme_and_the_choice_is_kept(blessed_file: Path, open_page: Any) -> None:
    page = open_page(color_scheme="light").open(blessed_file)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "theme":
            break
    page.keyboard.press("Enter")
    assert page.inner_text("#theme") == "Light theme"
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark


def test_the_theme_works_where_storage_is_off(blessed_file: Path, open_page: Any) -> None:
    opened = open_page(color_scheme="dark")
    opened.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }})"
    )
    page = opened.open(blessed_file)
    page.click("#theme")
    assert page.get_attribute("html", "data-theme") == "light"
    assert opened.console == []


def test_the_first_tab_stop_skips_to_the_content(blessed_file: Path, open_page: Any) -> None:
    page = open_page().open(blessed_file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_wide_tables_can_be_scrolled_by_keyboard(blessed_file: Path, open_page: Any) -> None:
    page = open_page(viewport=PHONE).open(blessed_file)
    table = page.locator("#verdict .scroll").first
    assert table.get_attribute("tabindex") == "0"
    assert table.get_attribute("aria-label") == "Baseline: version 3, which was serving, scored on the same images."


def test_print_opens_what_is_folded(blessed_file: Path, open_page: Any) -> None:
    page = open_page(color_scheme="dark").open(blessed_file)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator(".toc").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_the_policy_stops_other_scripts_styles_and_requests(blessed_file: Path, open_page: Any) -> None:
    opened = open_page()
    page = opened.open(blessed_file)
    blocked = page.evaluate(
        """async () => {
          const blocked = [];
          document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.owned = 1";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<p style='color: red' onclick='window.owned = 1'>x</p>");
          document.body.lastElementChild.click();
          document.body.insertAdjacentHTML("beforeend", "<img alt='' src='https://example.org/x.png'>");
          await fetch("https://example.org/").catch(() => 0);
          await new Promise((resolve) => setTimeout(resolve, 200));
          return [blocked.sort(), window.owned ?? null];
        }"""
    )
    assert blocked == [["connect-src", "img-src", "script-src-attr", "script-src-elem", "style-src-attr"], None]
    assert opened.requests == [blessed_file.as_uri()]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=["script", "quotes", "end-tags", "direction", "templates", "long"])
def test_names_from_data_are_text(name: str, open_page: Any, tmp_path: Path) -> None:
    opened = open_page(viewport=PHONE)
    others = tuple(other for other in HOSTILE_NAMES if other != name)
    for verdict in (Verdict.NOT_BLESSED, Verdict.FAILED):
        page = opened.open(write_page(tmp_path / verdict.value, verdict, names=(*others, name)))
        opened.open_details()
        assert page.evaluate("window.owned ?? null") is None
        assert name[:60] in page.inner_text("h1") + page.text_content("h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert opened.console == []
