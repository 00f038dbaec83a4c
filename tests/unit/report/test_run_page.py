"""reefline/report/run_page.py and run_files.py: pages of runs, made without a pipeline."""

from __future__ import annotations

import dataclasses
import json
import platform
from pathlib import Path

import pytest

from reefline.report import run_files, run_history
from reefline.report.environment import Environment
from reefline.report.reviewed_run import ReviewedRun
from reefline.report.run_history import RunHistory
from reefline.report.run_page import make_run_page, read_or_make_sections
from reefline.report.section import ReviewSections, Section
from reefline.report.summary import Failure, RunRecords, Summary, Verdict
from reefline.structures.artifacts import IngestionFolder, ReviewFolder
from tests.factories_evaluation import make_edgetpu_record
from tests.factories_lineage import make_artifact, make_execution, make_run
from tests.factories_report import make_records

KEPT = ReviewSections((Section("data", "Data", "<p>kept</p>"),))


@pytest.fixture
def review(tmp_path: Path) -> ReviewFolder:
    folder = ReviewFolder(tmp_path / "review")
    folder.root.mkdir()
    KEPT.write(folder.sections)
    folder.statistics.write_text("statistics")
    return folder


def test_a_page_has_the_kept_sections_between_those_of_the_run(tmp_path: Path, review: ReviewFolder) -> None:
    run = make_run(make_execution("ReviewReport", outputs={"review": make_artifact(review.root)}))
    page, problems = make_run_page(
        ReviewedRun(make_records(names=("cat", "demo")), tmp_path, Environment(), run=run), tmp_path
    )
    assert "<h1><bdi>demo</bdi></h1>" in page and "<title>demo · 20260102T120000</title>" in page
    places = [page.index(f'<section id="{id_}"') for id_ in ("verdict", "data", "provenance")]
    assert places == sorted(places)
    assert "<p>kept</p>" in page and 'id="changes"' not in page
    assert problems == ()
    assert (tmp_path / "statistics.html").read_text() == "statistics"


@pytest.mark.parametrize("damage", ["missing", "torn", "failed", "no-statistics"])
def test_sections_that_are_unusable_are_made_again(tmp_path: Path, review: ReviewFolder, damage: str) -> None:
    run = make_run(make_execution("ReviewReport", outputs={"review": make_artifact(review.root)}))
    records = make_records()
    assert read_or_make_sections(ReviewedRun(records, tmp_path, None, run=run), tmp_path) == KEPT
    if damage == "missing":
        review.sections.unlink()
    elif damage == "no-statistics":
        review.statistics.unlink()
    elif damage == "torn":
        review.sections.write_text('{"sections": [')
    else:
        ReviewSections(KEPT.sections, problems=("review page: section Data is missing",)).write(review.sections)
    made = read_or_make_sections(ReviewedRun(records, tmp_path, None, run=run), tmp_path)
    assert made.problems == ()
    assert [section.id for section in made.sections] == ["data"]
    assert "kept" not in made.sections[0].html


def test_a_run_that_stopped_before_the_pipeline_has_no_sections_but_its_findings(tmp_path: Path) -> None:
    assert read_or_make_sections(ReviewedRun(RunRecords("1", "m"), tmp_path, None), tmp_path) == ReviewSections(())
    records = dataclasses.replace(make_records(Verdict.FAILED), edgetpu=None)
    (data,) = read_or_make_sections(ReviewedRun(records, tmp_path, None), tmp_path).sections
    assert data.id == "data" and "cat.xml" in data.html


def test_a_run_that_the_preflight_stopped_has_an_edge_tpu_section(tmp_path: Path) -> None:
    records = RunRecords("1", "m", Failure("EdgeTpuPreflight", "too few operators"), edgetpu=make_edgetpu_record())
    (section,) = read_or_make_sections(ReviewedRun(records, tmp_path, None, run=make_run()), tmp_path).sections
    assert section.id == "edge-tpu"


def test_the_earlier_run_is_the_last_of_the_same_model_that_ingested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(run_id: str, model: str, *, ingested: bool = True) -> None:
        (reports / run_id).mkdir(parents=True)
        (reports / run_id / "summary.json").write_text(json.dumps({"model": model}))
        outputs = {"report": make_artifact(f"/{run_id}")} if ingested else {}
        runs[run_id] = make_run(make_execution("VocExampleGen", outputs=outputs), run_id=run_id)

    reports, runs = tmp_path / "reports", {}
    add("20260101T000000-9", "cells")
    add("20260101T000000-10", "cells")
    add("20260102T000000", "other")
    add("20260103T000000", "cells", ingested=False)
    add("20260105T000000", "cells")
    (reports / "20260104T000000").mkdir()
    (reports / "20260104T000000" / "summary.json").write_text("[")
    (reports / "latest").symlink_to("20260105T000000")
    monkeypatch.setattr(run_history, "read_run", lambda _db, run_id: runs[run_id])
    found = RunHistory(tmp_path).find_earlier("20260104T120000", "cells")
    assert found is not None
    assert (found.run_id, found.ingestion) == ("20260101T000000-10", IngestionFolder(Path("/20260101T000000-10")))
    assert RunHistory(tmp_path).find_earlier("20260101T000000-9", "cells") is None


def test_a_page_is_written_and_rewritten_from_what_lies_next_to_it(tmp_path: Path) -> None:
    records = make_records(Verdict.FAILED)
    folder = tmp_path / "reports" / records.run_id
    folder.mkdir(parents=True)
    assert run_files.write_run_page(records, "", tmp_path) == ()
    first = (folder / "index.html").read_text(encoding="utf-8")
    Summary.from_records(records).write(folder / "summary.json")
    (folder / "index.html").unlink()
    assert run_files.rewrite_run_page(RunHistory(tmp_path), records.run_id) == ()
    again = (folder / "index.html").read_text(encoding="utf-8")
    assert platform.platform() in again
    for shown in ("lower trainer.learning_rate", "cat.xml"):
        assert shown in first and shown in again


def test_a_rewritten_page_has_no_environment_but_the_one_that_was_kept(tmp_path: Path) -> None:
    records = make_records(Verdict.FAILED)
    folder = tmp_path / "reports" / records.run_id
    folder.mkdir(parents=True)
    Summary.from_records(records).write(folder / "summary.json")
    assert run_files.rewrite_run_page(RunHistory(tmp_path), records.run_id) == ()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Not recorded." in page and platform.platform() not in page
    assert not (folder / "environment.json").exists()
