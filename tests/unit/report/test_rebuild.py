"""reefline/report/rebuild.py: pages and missing summaries from ML Metadata and what is left of the artifacts."""

from __future__ import annotations

import datetime
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from reefline.data.image_record import write_records
from reefline.errors import RecordError
from reefline.lineage.records import ExecutionState, RunRecord
from reefline.report import rebuild, review, run_history
from reefline.report.image_list import POINTER_FILE
from reefline.report.rebuild import RebuiltRun, read_or_restore_summary, rebuild_runs
from reefline.report.section import ReviewSections, Section
from reefline.report.summary import Failure, Summary, Verdict
from reefline.structures.artifacts import IngestionFolder, ReviewFolder
from tests.factories import make_record, make_report
from tests.factories_lineage import make_artifact, make_execution, make_run
from tests.factories_summary import find_schema_errors, make_failed, make_unstarted, write_run

RUN = "20260301T120000"
KEPT = ReviewSections((Section("data", "Data", "<p>from an older Reefline</p>"),))


def _ingest(folder: Path) -> IngestionFolder:
    """Write what VocExampleGen leaves."""
    ingestion = IngestionFolder(folder / "ingestion")
    ingestion.root.mkdir(parents=True)
    records = [make_record("a.jpg"), make_record("b.jpg", split="eval")]
    make_report(records).write(ingestion.report)
    write_records(ingestion.records, records)
    return ingestion


def _know(monkeypatch: pytest.MonkeyPatch, run: RunRecord | None) -> None:
    monkeypatch.setattr(run_history, "read_run", lambda _metadata_db, _run_id: run)
    monkeypatch.setattr(run_history, "read_runs", lambda _metadata_db: (run,) if run else ())


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IngestionFolder:
    """Make ML Metadata know a run that ingested its data and stopped in Trainer."""
    ingestion = _ingest(tmp_path)
    kept = ReviewFolder(tmp_path / "review")
    kept.root.mkdir()
    KEPT.write(kept.sections)
    kept.statistics.write_text("statistics", encoding="utf-8")
    outputs = {"report": make_artifact(ingestion.root)}
    run = make_run(
        make_execution("VocExampleGen", seconds=2.5, outputs=outputs),
        make_execution("ReviewReport", outputs={"review": make_artifact(kept.root)}),
        make_execution("Trainer", ExecutionState.FAILED, after_s=3.0, seconds=4.0),
        run_id=RUN,
    )
    _know(monkeypatch, run)
    return ingestion


def _rebuild(workspace: Path, *run_ids: str) -> list[RebuiltRun]:
    return list(rebuild_runs(workspace, run_ids))


def test_a_page_is_rebuilt_with_sections_made_anew(tmp_path: Path, stopped: IngestionFolder) -> None:
    folder = write_run(tmp_path / "reports", make_failed(RUN), config="")
    (rebuilt,) = _rebuild(tmp_path, RUN)
    assert rebuilt == RebuiltRun(RUN, folder / "index.html")
    page = rebuilt.page.read_text(encoding="utf-8")
    assert "loss is NaN at step 7" in page and '<section id="data"' in page
    assert "from an older Reefline" not in page
    assert (folder / POINTER_FILE).is_file()


def test_kept_sections_stay_where_they_cannot_be_made_anew(
    tmp_path: Path, stopped: IngestionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "reports", make_failed(RUN), config="")
    half = ReviewSections((Section("data", "Data", "<p>thumbnails are missing</p>"),), problems=("no thumbnails",))
    monkeypatch.setattr(review, "make_sections", lambda *_arguments, **_options: half)
    assert _rebuild(tmp_path, RUN)[0].problems == ()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "from an older Reefline" in page and "thumbnails are missing" not in page
    assert (folder / "statistics.html").read_text(encoding="utf-8") == "statistics"


def test_pages_stay_where_their_artifacts_are_gone(tmp_path: Path, stopped: IngestionFolder) -> None:
    folder = write_run(tmp_path / "reports", make_failed(RUN))
    before = (folder / "index.html").read_text(encoding="utf-8")
    shutil.rmtree(stopped.root)
    (rebuilt,) = _rebuild(tmp_path, RUN)
    assert len(rebuilt.problems) == 1 and "report.json: cannot read it" in rebuilt.problems[0]
    assert (folder / "index.html").read_text(encoding="utf-8") == before


def test_a_missing_summary_is_written_again(tmp_path: Path, stopped: IngestionFolder) -> None:
    folder = write_run(tmp_path / "reports", make_failed(RUN), config="model_name: pets\n")
    (folder / "summary.json").unlink()
    (rebuilt,) = _rebuild(tmp_path, RUN)
    assert rebuilt.problems == ()
    summary = Summary.read(folder / "summary.json")
    assert summary.verdict is Verdict.FAILED
    assert summary.failure is not None and summary.failure.component == "Trainer"
    assert "without leaving a report" in summary.failure.message
    assert {name: counts.images for name, counts in summary.data.splits.items()} == {"train": 1, "eval": 1}
    assert summary.seconds == {"VocExampleGen": 2.5, "ReviewReport": 1.0, "Trainer": 4.0}
    assert find_schema_errors(summary.to_json()) == []


@pytest.mark.parametrize(
    ("blessed", "pushed", "verdict"),
    [
        pytest.param(1, {"pushed": 1, "version": 3, "path": "serving/m/3"}, Verdict.BLESSED, id="blessed"),
        pytest.param(0, {"pushed": 0}, Verdict.NOT_BLESSED, id="refused"),
    ],
)
def test_a_verdict_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blessed: int, pushed: dict[str, object], verdict: Verdict
) -> None:
    run = make_run(
        make_execution("Evaluator", outputs={"blessing": make_artifact(tmp_path, {"blessed": blessed})}),
        make_execution("Pusher", outputs={"pushed_model": make_artifact(tmp_path, pushed)}),
        run_id=RUN,
    )
    _know(monkeypatch, run)
    (tmp_path / "reports" / RUN).mkdir(parents=True)
    summary = read_or_restore_summary(tmp_path, RUN)
    assert (summary.verdict, summary.failure) == (verdict, None)
    assert not (tmp_path / "reports" / RUN / "summary.json").exists()


def test_a_run_that_ended_between_two_components_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _know(monkeypatch, make_run(make_execution("StatisticsGen"), run_id=RUN))
    (tmp_path / "reports" / RUN).mkdir(parents=True)
    failure = read_or_restore_summary(tmp_path, RUN).failure
    assert failure is not None and failure.component == "StatisticsGen"


def test_nothing_is_written_for_a_folder_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "reports" / "notes").mkdir(parents=True)
    (rebuilt,) = _rebuild(tmp_path, "notes")
    assert rebuilt.problems[0].endswith("missing, and ML Metadata does not know the run: nothing to rebuild")
    assert list((tmp_path / "reports" / "notes").iterdir()) == []


def test_a_page_stays_where_ml_metadata_is_gone(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "reports", make_failed(RUN))
    (rebuilt,) = _rebuild(tmp_path, RUN)
    assert rebuilt.problems == ("ML Metadata does not know this run any more; its page stays as it is",)
    assert RUN in (folder / "index.html").read_text(encoding="utf-8")


def test_a_run_that_stopped_before_the_pipeline_needs_no_ml_metadata(tmp_path: Path) -> None:
    write_run(tmp_path / "reports", make_unstarted(RUN), config="", page=False)
    (rebuilt,) = _rebuild(tmp_path, RUN)
    assert rebuilt.problems == ()
    assert "no such config file" in rebuilt.page.read_text(encoding="utf-8")


def test_a_damaged_summary_stays(tmp_path: Path, stopped: IngestionFolder) -> None:
    folder = write_run(tmp_path / "reports", make_failed(RUN))
    (folder / "summary.json").write_text("{")
    (rebuilt,) = _rebuild(tmp_path, RUN)
    assert rebuilt.problems[0].endswith("; delete the file to restore it")
    assert (folder / "summary.json").read_text() == "{"


def test_a_run_under_way_is_left_alone(tmp_path: Path, stopped: IngestionFolder, monkeypatch) -> None:
    folder = tmp_path / "reports" / RUN
    folder.mkdir(parents=True)
    monkeypatch.setattr(rebuild, "find_run_under_way", lambda _workspace: RUN)
    (rebuilt,) = _rebuild(tmp_path, RUN)
    assert rebuilt.problems == ("is under way; its page is written when it ends",)
    assert list(folder.iterdir()) == []
    with pytest.raises(RecordError, match=f"{RUN}: is under way; follow it with `reefline report --serve`"):
        read_or_restore_summary(tmp_path, RUN)


def test_one_run_that_fails_does_not_stop_the_others(tmp_path: Path, stopped: IngestionFolder) -> None:
    other = "20260302T120000"
    for run_id in (RUN, other):
        write_run(tmp_path / "reports", make_failed(run_id, failure=Failure("Trainer", "x")))
    (tmp_path / "reports" / RUN / "summary.json").write_text("{")
    first, second = _rebuild(tmp_path, RUN, other)
    assert "delete the file" in first.problems[0]
    assert second.problems == ("ML Metadata does not know this run any more; its page stays as it is",)


def test_many_runs_are_rebuilt_with_one_look_into_ml_metadata(
    tmp_path: Path, stopped: IngestionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each summary is read a fixed number of times: a workspace of many runs takes no quadratic time."""
    ids = [f"202603{day:02d}T120000" for day in range(1, 7)]
    for run_id in ids:
        write_run(tmp_path / "reports", make_failed(run_id), config="")
    (known,) = run_history.read_runs(tmp_path / "metadata.db")
    looks, reads = [], Counter[str]()

    def look(_metadata_db: Path) -> tuple[RunRecord, ...]:
        looks.append(1)
        return tuple(replace(known, run_id=run_id) for run_id in ids)

    def read(path: Path, **options: str) -> str:
        reads[str(path)] += path.name == "summary.json"
        return original(path, **options)

    original = Path.read_text
    monkeypatch.setattr(run_history, "read_runs", look)
    monkeypatch.setattr(Path, "read_text", read)
    assert [one.problems for one in _rebuild(tmp_path, *ids)] == [()] * len(ids)
    assert looks == [1]
    assert max(reads.values()) <= 3
    page = (tmp_path / "reports" / ids[-1] / "index.html").read_bytes().decode()
    assert f"as in run {ids[-2]}." in " ".join(re.sub("<[^>]*>", "", page).split())


def test_seconds_are_those_of_ml_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = make_execution("Trainer", ExecutionState.RUNNING)
    assert running.ended is None and isinstance(running.started, datetime.datetime)
    _know(monkeypatch, make_run(make_execution("VocExampleGen", seconds=1.25), running, run_id=RUN))
    (tmp_path / "reports" / RUN).mkdir(parents=True)
    assert read_or_restore_summary(tmp_path, RUN).seconds == {"VocExampleGen": 1.25}
