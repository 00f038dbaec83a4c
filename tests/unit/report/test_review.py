"""reefline/report/review.py: what ReviewReport makes of artifacts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from reefline.report import page, review, section
from reefline.report.review import write_review
from reefline.report.section import NOT_IN_THE_REVIEW, ReviewSections
from reefline.report.sources import RunSources
from reefline.structures.artifacts import ReviewFolder
from tests.factories_data import write_ingestion, write_statistics
from tests.factories_quality import make_split, write_exported_model, write_scores
from tests.factories_report import write_training_run


@pytest.fixture
def folder(tmp_path: Path) -> ReviewFolder:
    (tmp_path / "review").mkdir()
    return ReviewFolder(tmp_path / "review")


def _make_sources(root: Path) -> RunSources:
    """Write what a complete run leaves, without its images."""
    return replace(
        write_scores(root / "scores", make_split(8, ("cat",), names=("a.jpg",))),
        model_run=write_training_run(root / "model_run"),
        model=write_exported_model(root / "model", ()),
        statistics=write_statistics(root / "statistics", "train"),
    )


def test_the_review_needs_no_template_that_does_not_count_as_its_code(
    tmp_path: Path, folder: ReviewFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(section.TEMPLATE_DIR, templates)
    for name in NOT_IN_THE_REVIEW:
        (templates / name).unlink()
    monkeypatch.setattr(section, "TEMPLATE_DIR", templates)
    monkeypatch.setattr(page, "TEMPLATE_DIR", templates)
    section._environment.cache_clear()
    try:
        write_review(_make_sources(tmp_path), "cells", folder)
    finally:
        section._environment.cache_clear()
    made = ReviewSections.read(folder.sections)
    assert made.problems == ()
    assert [one.id for one in made.sections] == ["training", "quality", "edge-tpu"]
    assert "<h1><bdi>cells</bdi></h1>" in folder.page.read_text(encoding="utf-8")


@pytest.mark.parametrize("works", [pytest.param(True, id="made"), pytest.param(False, id="failed")])
def test_the_page_of_statistics_is_linked_if_it_exists(
    tmp_path: Path, folder: ReviewFolder, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    def fail(_folder: Path) -> str:
        raise ZeroDivisionError("odd")

    if not works:
        monkeypatch.setattr(review, "make_statistics_page", fail)
    sources = RunSources(
        ingestion=write_ingestion(tmp_path / "ingestion"), statistics=write_statistics(tmp_path / "statistics", "train")
    )
    write_review(sources, "cells", folder)
    made = ReviewSections.read(folder.sections)
    assert ('<a href="statistics.html">' in made.sections[0].html) is works
    assert folder.statistics.is_file() is works
    assert bool(made.problems) is not works
