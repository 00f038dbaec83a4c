"""reefline/report/sections/training.py: what a training did, finished or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import RecordError
from reefline.report.sections.training import gather_training, make_training_section
from reefline.report.sources import RunSources
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.report import StopReason
from tests.factories_report import make_training_report, write_training_run


def test_a_finished_training(tmp_path: Path) -> None:
    facts = gather_training(write_training_run(tmp_path, text="the zoo"))
    assert facts is not None and facts.best is not None
    assert (facts.steps, facts.best.step, facts.duration) == (300, 250, "0:03:07")
    assert facts.started_from == "Started from the zoo."
    assert facts.stop_reason == "Early stopping: no improvement in the last 1 evaluation."
    assert len(facts.history) == 30 and len(facts.evaluations) == 6
    assert 'note: "the zoo" line: 39' in facts.config


def test_all_steps_and_new_weights(tmp_path: Path) -> None:
    run = write_training_run(tmp_path)
    make_training_report(reason=StopReason.ALL_STEPS_DONE).write(run.report)
    facts = gather_training(run)
    assert facts is not None
    assert (facts.stop_reason, facts.started_from) == ("All steps are done.", "New weights.")


def test_a_training_that_stopped_early_shows_how_far_it_came(tmp_path: Path) -> None:
    facts = gather_training(write_training_run(tmp_path, finished=False))
    assert facts is not None
    assert (facts.stop_reason, facts.steps, len(facts.evaluations)) == ("Training did not finish.", 300, 6)


def test_a_training_before_its_first_checkpoint(tmp_path: Path) -> None:
    run = write_training_run(tmp_path, finished=False)
    run.state.unlink()
    section = make_training_section(RunSources(model_run=run))
    assert section is not None
    assert "Chosen checkpoint" not in section.html and ">300</dd>" in section.html


def test_a_run_that_did_not_reach_training_has_no_section(tmp_path: Path) -> None:
    assert make_training_section(RunSources()) is None
    assert make_training_section(RunSources(model_run=ModelRunFolder(tmp_path))) is None


def test_the_section_has_curves_evaluations_and_config(tmp_path: Path) -> None:
    section = make_training_section(RunSources(model_run=write_training_run(tmp_path, text="<i>")))
    assert section is not None and section.id == "training"
    for title in ("Loss", "mAP of the float model", "Learning rate"):
        assert f"<figcaption>{title}</figcaption>" in section.html
    assert section.html.count('<span class="badge ok">chosen</span>') == 1
    assert "Effective pipeline.config" in section.html and "&lt;i&gt;" in section.html and "<i>" not in section.html


def test_without_a_history_the_evaluations_are_drawn(tmp_path: Path) -> None:
    run = write_training_run(tmp_path)
    run.history.unlink()
    section = make_training_section(RunSources(model_run=run))
    assert section is not None
    assert "<figcaption>Loss</figcaption>" in section.html and "Learning rate" not in section.html


def test_a_damaged_history_is_an_error(tmp_path: Path) -> None:
    run = write_training_run(tmp_path)
    run.history.write_text("{}\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"history\.jsonl, line 1: step: damaged"):
        make_training_section(RunSources(model_run=run))
