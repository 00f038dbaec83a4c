"""Chromium without a window; the tests are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page


@dataclass
class OpenPage:
    """A page in the browser, with what it wrote to the console and what it asked the network for."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path) -> Page:
        """Open a file from disk."""
        self.page.goto(path.as_uri())
        return self.page

    def open_details(self) -> None:
        """Unfold everything."""
        self.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")

    def find_faults(self) -> list[str]:
        """Return what axe-core finds serious or critical."""
        from axe_playwright_python.sync_playwright import Axe

        return [
            f"{fault['id']}: {node['html'][:200]} {node['failureSummary']}"
            for fault in Axe().run(self.page).response["violations"]
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is missing; run `make browser` as root, or `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Any]:
    """Return a function that opens an empty page; `options` are those of Playwright's new_context."""
    contexts = []

    def make(**options: Any) -> OpenPage:
        context = browser.new_context(**options)
        contexts.append(context)
        opened = OpenPage(context.new_page())

        def record(route: Any) -> None:
            opened.requests.append(route.request.url)
            if route.request.url.startswith("file:"):
                route.continue_()
            else:
                route.abort()

        context.route("**/*", record)
        opened.page.on("console", lambda message: opened.console.append(f"{message.type}: {message.text}"))
        opened.page.on("pageerror", lambda error: opened.console.append(f"error: {error}"))
        return opened

    yield make
    for context in contexts:
        context.close()
