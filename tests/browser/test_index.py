"""The page over all runs in a real browser: filtering, comparing, the keyboard, a phone, and a run under way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reefline.data.image_record import write_records
from reefline.evaluation.report import EvaluationReport
from reefline.lineage.records import ExecutionState
from reefline.report.image_list import keep_image_list
from reefline.report.index_page import write_index
from reefline.report.live import ComponentTime, LiveState, LiveTraining
from reefline.report.server import ReportServer
from reefline.report.summary import Pushed
from reefline.training.report import EvaluationPoint
from tests.factories import make_record
from tests.factories_evaluation import make_metrics, make_scores
from tests.factories_server import serve_reports
from tests.factories_summary import PASSED, make_blessed, make_failed, make_refused, write_run

PHONE = {"width": 360, "height": 740}
HOSTILE = "<img src=x onerror=alert(1)>\"'\u202e"
DAYS = [f"2026010{day}T120000" for day in range(1, 9)]
IMAGES = [["a", "b"], ["a", "b", "c"], ["a", "c"], ["a", "b", "d"]]


def _write_runs(workspace: Path) -> Path:
    """Write eight runs of two models, among them refused, failed and damaged ones, and return the index."""
    reports = workspace / "reports"
    for number, (day, value) in enumerate(zip(DAYS[:4], (0.4, 0.5, 0.45, 0.6), strict=True)):
        scores = make_scores(make_metrics(value), float_model=make_metrics(value + 0.05))
        summary = make_blessed(day, evaluation=EvaluationReport(scores, (PASSED,)), pushed=Pushed(number + 1, "p"))
        folder = write_run(reports, summary, config=f"model_name: pets\ntrainer: {{seed: {number}, num_steps: 9}}\n")
        write_records(workspace / "records.jsonl", [make_record(f"{name}.jpg") for name in IMAGES[number]])
        keep_image_list(folder, workspace / "records.jsonl")
    hostile = make_blessed(DAYS[4], model=HOSTILE)
    write_run(reports, hostile, config=f"{json.dumps(HOSTILE)}: {json.dumps(HOSTILE)}\n")
    write_run(reports, dataclasses.replace(make_refused(DAYS[5]), model=HOSTILE))
    write_run(reports, make_failed(DAYS[6]), config="")
    (reports / DAYS[7]).mkdir()
    home = workspace / "serving" / "pets"
    home.mkdir(parents=True)
    (home / "CURRENT").write_text("4\n")
    write_index(reports, workspace / "serving")
    return reports / "index.html"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_runs(tmp_path_factory.mktemp("runs"))


def _choose(page: Any, *days: str) -> None:
    for day in days:
        page.check(f'.choose[value="{day}"]')


def _table(page: Any, caption: str) -> dict[str, list[str]]:
    """Return the cells of a comparison's table by the header of their row."""
    rows = page.locator("#comparison-result table").filter(has_text=caption).first.locator("tbody tr")
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()}


def test_it_opens_without_errors_and_without_requests(index: Path, open_page: Any) -> None:
    opened = open_page()
    page = opened.open(index)
    _choose(page, DAYS[0], DAYS[3])
    assert opened.console == []
    assert opened.requests == [index.as_uri()]
    assert page.locator("#run-table tbody tr").count() == 8
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(index: Path, open_page: Any, scheme: str) -> None:
    opened = open_page(color_scheme=scheme)
    _choose(opened.open(index), DAYS[0], DAYS[3])
    assert opened.find_faults() == []


def test_two_runs_side_by_side(index: Path, open_page: Any) -> None:
    page = open_page().open(index)
    # The newer one first: the older one is still on the left.
    _choose(page, DAYS[1], DAYS[0])
    assert page.inner_text("#comparison-hint") == f"{DAYS[0]} and {DAYS[1]}, the older one first."
    assert _table(page, "COCO metrics")["mAP"] == ["0.4500", "0.5500", "+0.1000", "0.4000", "0.5000", "+0.1000"]
    assert _table(page, "AP by class")["dog"][3:] == ["0.4000", "0.5000", "+0.1000"]
    assert _table(page, "values differ") == {"trainer.seed": ["0", "1"]}
    assert _table(page, "Rules of the gate")["min_map"][0].startswith("passed")
    assert _table(page, "Images and boxes")["train: cat"] == ["12", "12", "+0"]
    assert "1 added, 0 removed, 0 with other content, boxes or split." in page.inner_text("#comparison-result")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        # From 0 to 2, c came and b went; c was added on the way, so it is one addition.
        pytest.param((0, 2), "1 added, 1 removed, 0 with other", id="over-two-steps"),
        pytest.param((0, 3), "1 added, 0 removed, 0 with other", id="gone-and-back-again"),
        pytest.param((0, 4), "The images of at least one of them were not kept.", id="unknown"),
        pytest.param((0, 6), "The config of at least one of them was not kept.", id="no-config"),
        pytest.param((0, 7), "summary.json is missing", id="no-summary"),
    ],
)
def test_what_differs_in_the_images(index: Path, open_page: Any, days: tuple[int, int], said: str) -> None:
    opened = open_page()
    page = opened.open(index)
    _choose(page, *(DAYS[day] for day in days))
    assert said in page.inner_text("#comparison-result")
    assert opened.console == []


def test_a_third_choice_replaces_the_first(index: Path, open_page: Any) -> None:
    page = open_page().open(index)
    _choose(page, DAYS[0], DAYS[1], DAYS[2])
    assert page.locator(".choose:checked").evaluate_all("boxes => boxes.map((box) => box.value)") == [DAYS[2], DAYS[1]]
    page.uncheck(f'.choose[value="{DAYS[1]}"]')
    assert page.inner_text("#comparison-hint") == f"{DAYS[2]} is selected. Select another run."
    assert page.inner_text("#comparison-result") == ""


def test_the_filter_shows_one_model(index: Path, open_page: Any) -> None:
    page = open_page().open(index)
    assert page.inner_text("#filter-count") == "8 runs"
    _choose(page, DAYS[4], DAYS[0])
    page.select_option("#model-filter", "pets")
    assert page.locator("#run-table tbody tr:visible").count() == 5
    assert page.inner_text("#filter-count") == "5 of 8 runs"
    # A run that is out of sight is not compared.
    assert page.inner_text("#comparison-hint") == f"{DAYS[0]} is selected. Select another run."
    assert page.locator("#charts figure:visible").count() == 1
    page.select_option("#model-filter", HOSTILE)
    assert page.locator("#run-table tbody tr:visible").count() == 2


def test_one_run_is_counted_as_one(open_page: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "reports", make_blessed(DAYS[0]))
    write_index(tmp_path / "reports", tmp_path / "serving")
    assert open_page().open(tmp_path / "reports" / "index.html").inner_text("#filter-count") == "1 run"


def test_the_keyboard_alone_compares(index: Path, open_page: Any) -> None:
    page = open_page().open(index)
    page.focus("#model-filter")
    pressed = 0
    while page.locator(".choose:checked").count() < 2:
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "choose":
            page.keyboard.press("Space")
        pressed += 1
        assert pressed < 40
    assert page.locator("#comparison-result h3").count() == 5


def test_a_phone_needs_no_sideways_scrolling(index: Path, open_page: Any) -> None:
    page = open_page(viewport=PHONE).open(index)
    _choose(page, DAYS[0], DAYS[3])
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_links_lead_to_the_pages(index: Path, open_page: Any) -> None:
    page = open_page().open(index)
    page.click(f'#run-table th a[href="./{DAYS[0]}/index.html"]')
    assert page.title() == DAYS[0]


class _LiveRun:
    """A reader whose answer the test sets."""

    def __init__(self) -> None:
        self.state = LiveState(is_running=False)

    def read(self) -> LiveState:
        return self.state


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    _write_runs(tmp_path)
    with serve_reports(tmp_path) as server:
        server.site.live = _LiveRun()  # type: ignore[assignment]
        yield server


def test_a_run_under_way_is_shown_and_followed(server: ReportServer, browser: Any) -> None:
    from playwright.sync_api import expect

    point = EvaluationPoint(200, 0.25, 0.5, 1.5)
    training = LiveTraining(250, 1000, 0.5, 0.01, 2.0, 375.0, point, point)
    times = (
        ComponentTime("VocExampleGen", ExecutionState.DONE, 2.0),
        ComponentTime("Trainer", ExecutionState.RUNNING, 65.0),
    )
    running = LiveState(True, DAYS[7], "Trainer", "2026-01-08T12:00:00+00:00", times, training)
    server.site.live.state = running  # type: ignore[attr-defined]
    context = browser.new_context()
    try:
        page = context.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url)
        page.wait_for_selector("#live-training:not([hidden])")
        assert page.inner_text("#live-status") == f"Run {DAYS[7]}: Trainer is running."
        facts = page.inner_text("#live-facts")
        for shown in ("250 of 1000", "0.5000", "0.0100", "2.00", "0:06:15", "mAP 0.250, loss 1.500 (step 200)"):
            assert shown in facts
        assert page.locator("#live-progress").evaluate("bar => bar.position") == 0.25
        assert page.inner_text("#live-components tbody tr:last-child").split() == ["Trainer", "running", "0:01:05"]
        server.site.live.state = dataclasses.replace(running, training=dataclasses.replace(training, step=500))  # type: ignore[attr-defined]
        expect(page.locator("#live-facts")).to_contain_text("500 of 1000")
        write_run(server.site.reports, make_blessed("20260109T120000"))
        server.site.live.state = LiveState(is_running=False)  # type: ignore[attr-defined]
        # The page loads itself again, to show the new row.
        page.wait_for_selector('.choose[value="20260109T120000"]')
        expect(page.locator("#live-status")).to_have_text("No run is under way.")
        assert errors == []
        page.goto(f"{server.url}live")
        expect(page.locator("#live-status")).to_have_text("No run is under way.")
        assert page.title() == "Live"
        assert errors == []
    finally:
        context.close()
