"""The data section, the changes and TFDV's statistics in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reefline.data.image_record import EVAL, TRAIN
from reefline.data.reports import Anomaly
from reefline.findings import Action
from reefline.od_api.model_config import build_model_config, load_template, write_pipeline_config
from reefline.report.page import assemble_page
from reefline.report.section import Section
from reefline.report.sections.changes import make_changes_section
from reefline.report.sections.data import make_data_section
from reefline.report.sources import RunSources
from reefline.report.statistics_page import make_statistics_page
from reefline.structures.artifacts import ModelRunFolder
from tests.factories import make_object_record, make_record
from tests.factories_data import make_finding, make_hostile_ingestion, write_ingestion, write_statistics
from tests.factories_report import HOSTILE_NAMES

PHONE = {"width": 360, "height": 740}


def _write_usual(folder: Path) -> Path:
    """Write the page of a run with findings of every kind, many classes, and changes since the run before."""
    classes = [f"class {number}" for number in range(30)]
    objects = tuple(make_object_record(name, (n, 5, n + 9, 9 + n), n) for n, name in enumerate(classes))
    records = [
        make_record(
            f"{n}.jpg", split=(TRAIN, EVAL)[n % 2], width_px=64 + n, objects=objects[n:], sha256=f"{n // 2:064d}"
        )
        for n in range(20)
    ]
    findings = [
        *(make_finding(f"{n}.xml", item) for n in range(12) for item in range(12)),
        *(make_finding(f"{n}.jpg", None, "duplicate_across_splits", "identical", Action.KEPT) for n in range(0, 8, 2)),
        make_finding("", None, "class_absent", "the eval split has no 'dog'", Action.KEPT),
    ]
    now = write_ingestion(folder / "now", records, findings)
    before = write_ingestion(folder / "before", records[3:])
    run = ModelRunFolder(folder)
    write_pipeline_config(build_model_config(load_template("ssd_mobilenet_v2_tiny"), None, 30), run.pipeline_config)
    anomalies = [Anomaly("eval", "image/object/bbox/xmin", "Float feature has NaN values.")]
    return _write(
        folder,
        make_changes_section(now, before, "20260101T000000"),
        make_data_section(RunSources(ingestion=now, model_run=run), anomalies=anomalies),
    )


def _write(folder: Path, *sections: Section | None) -> Path:
    page = folder / "index.html"
    page.write_text(assemble_page("Run", [section for section in sections if section is not None]), encoding="utf-8")
    return page


def _write_statistics_page(folder: Path) -> Path:
    page = folder / "statistics.html"
    write_statistics(write_statistics(folder, "train"), "eval")
    page.write_text(make_statistics_page(folder), encoding="utf-8")
    return page


@pytest.fixture(scope="module", params=[_write_usual, _write_statistics_page], ids=["run", "statistics"])
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write: Callable[[Path], Path] = request.param
    return write(tmp_path_factory.mktemp("page"))


def test_nothing_is_requested_and_nothing_fails(page_file: Path, open_page: Any) -> None:
    opened = open_page(viewport=PHONE)
    page = opened.open(page_file)
    opened.open_details()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert opened.console == []
    assert opened.requests == [page_file.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page_file: Path, open_page: Any, scheme: str) -> None:
    opened = open_page(color_scheme=scheme)
    opened.open(page_file)
    opened.open_details()
    assert opened.find_faults() == []


def test_boxes_lie_on_their_pictures(open_page: Any, tmp_path: Path) -> None:
    folder = write_ingestion(tmp_path, findings=[make_finding()])
    page = open_page().open(_write(tmp_path, make_data_section(RunSources(ingestion=folder))))
    picture = page.locator("#data .shot img").first.bounding_box()
    rect = page.locator("#data .shot .overlay rect").first.bounding_box()
    scale = picture["width"] / 64
    # The factory's box is 5, 5, 30, 20 in an image of 64 x 48 px; the stroke lies half outside.
    assert rect["x"] - picture["x"] == pytest.approx(5 * scale, abs=3)
    assert rect["y"] - picture["y"] == pytest.approx(5 * scale, abs=3)
    assert rect["width"] == pytest.approx(25 * scale, abs=5)
    assert page.evaluate("document.querySelector('#data .shot img').naturalWidth") == 64


def test_pairs_stand_side_by_side_on_a_phone_too(open_page: Any, tmp_path: Path) -> None:
    page = open_page(viewport=PHONE).open(_write_usual(tmp_path))
    left, right = (page.locator("#data .pair").first.locator("img").nth(n).bounding_box() for n in (0, 1))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    assert page.locator("#data .pair").count() == 4


def test_long_lists_open_by_keyboard(open_page: Any, tmp_path: Path) -> None:
    page = open_page().open(_write_usual(tmp_path))
    summary = page.get_by_text("The first 100 findings")
    cell = page.locator("details", has=summary).locator("tbody th").first
    assert not cell.is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert cell.is_visible()
    assert page.get_by_text("and 44 more; all in summary.json").is_visible()


def test_names_from_data_are_text(open_page: Any, tmp_path: Path) -> None:
    opened = open_page(viewport=PHONE)
    folder = make_hostile_ingestion(tmp_path / "now", HOSTILE_NAMES)
    section = make_data_section(
        RunSources(ingestion=folder), anomalies=[Anomaly(name, name, name) for name in HOSTILE_NAMES]
    )
    changes = make_changes_section(folder, write_ingestion(tmp_path / "before"), HOSTILE_NAMES[0])
    page = opened.open(_write(tmp_path, changes, section))
    opened.open_details()
    assert page.evaluate("window.owned ?? null") is None
    assert HOSTILE_NAMES[0] in page.inner_text("#data") and HOSTILE_NAMES[0] in page.inner_text("#changes")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert opened.console == []
