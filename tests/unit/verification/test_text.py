"""A report as lines and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reefline.findings import Severity
from reefline.verification.estimate import estimate_run
from reefline.verification.records import Problem, VerificationReport
from reefline.verification.text import format_report
from tests.factories_evaluation import make_edgetpu_record
from tests.factories_verification import (
    MB,
    make_data_facts,
    make_fit,
    make_memory,
    make_model_facts,
    make_settings,
    make_timings,
)

PROBLEMS = (Problem(Severity.WARNING, "odd"), Problem(Severity.ERROR, "wrong\n\x1b[2J"))


def make_report(**parts: object) -> VerificationReport:
    defaults = {
        "config": "c.yaml",
        "model_name": "cells",
        "data": make_data_facts(),
        "model": make_model_facts(),
        "anchors": make_fit(),
        "memory": make_memory(weights=3 * MB, optimizer=2 * MB, peak_resident=1500 * MB),
        "timings": make_timings(),
        "first_loss": 1.25,
        "estimate": estimate_run(make_settings(), make_data_facts(), make_timings()),
    }
    return VerificationReport(**{**defaults, **parts})


def test_every_measurement_has_an_aligned_row() -> None:
    text = "\n".join(format_report(make_report()))
    for row in (
        "config          c.yaml (model cells)",
        "data            100 images: 80 train, 20 eval; sampled 64 images with 90 boxes",
        "classes         2: cat, dog (from 100 annotations)",
        "model           ssd_mobilenet_v2_tiny, input 128 x 96 px",
        "parameters      873,425 trainable, 887,665 total",
        "image batch     8 x 96 x 128 x 3",
        "feature maps    6 x 8 x 192, 3 x 4 x 448",
        "anchors         172",
        "predictions     box encodings 8 x 172 x 4, class scores 8 x 172 x 3",
        "anchor fit      10 of 100 boxes (10%) have no anchor with an IoU of 0.5 or more; median best IoU 0.70",
        "memory          peak 1.5 GB resident, training needs about 1.0 GB, 2.0 GB free before training",
        "                weights 3.0 MB, optimizer slots 2.0 MB",
        "first step      20.0 s (including tracing), loss 1.250",
        "step            0.500 s (median)",
        "evaluation      0.100 s per image, plus 5.0 s once for tracing",
        "training        about 0:01:28: start 0:00:30, steps 0:00:50 (10.0 epochs), 2 evaluations 0:00:09",
        "ready to run: 0 error(s), 0 warning(s)",
    ):
        assert row in text


def test_problems_come_last_errors_first_and_cannot_move_the_cursor() -> None:
    lines = format_report(VerificationReport("c.yaml", "", PROBLEMS))
    assert lines == [
        "config          c.yaml",
        "error: wrong\\n\\x1b[2J",
        "warning: odd",
        "NOT READY: 1 error(s), 1 warning(s)",
    ]


def test_a_long_list_of_classes_is_cut() -> None:
    data = make_data_facts(classes=tuple("abcdefghij"), counts_are_exact=False, test_images=7)
    text = "\n".join(format_report(make_report(data=data)))
    assert "10: a, b, c, d, e, f, g, h and 2 more" in text
    assert "107 images: about 80 train, 20 eval, 7 test" in text


@pytest.mark.parametrize(
    ("problems", "exit_code"),
    [
        pytest.param((), 0, id="fine"),
        pytest.param(PROBLEMS[:1], 0, id="doubtful"),
        pytest.param(PROBLEMS, 2, id="errors"),
    ],
)
def test_exit_code(problems: tuple[Problem, ...], exit_code: int) -> None:
    assert make_report(problems=problems).exit_code == exit_code


def test_json_holds_everything() -> None:
    edgetpu = make_edgetpu_record()
    record = json.loads(json.dumps(make_report(problems=PROBLEMS, edgetpu=edgetpu).to_json()))
    assert list(record) == [
        "schema_version",
        "config",
        "model_name",
        "problems",
        "data",
        "model",
        "anchors",
        "memory",
        "timings",
        "first_loss",
        "estimate",
        "edgetpu",
    ]
    assert record["edgetpu"] == edgetpu.to_json()
    assert record["schema_version"] == 1
    assert record["problems"][0] == {"severity": "warning", "message": "odd"}
    assert record["model"]["box_encodings"] == [8, 172, 4]
    assert record["anchors"]["missed_fraction"] == pytest.approx(0.1)
    assert record["estimate"]["total_s"] == pytest.approx(88.5)
    assert record["timings"]["step_s"] == 0.5
    assert VerificationReport("c.yaml", "").to_json()["estimate"] is None


def test_a_report_that_was_written_is_read_back(tmp_path: Path) -> None:
    report = make_report(problems=PROBLEMS, edgetpu=make_edgetpu_record())
    report.write(tmp_path / "report.json")
    assert VerificationReport.read(tmp_path / "report.json") == report


def test_json_does_not_hold_the_values_behind_a_problem() -> None:
    report = make_report(problems=(Problem(Severity.ERROR, "wrong", ("trainer.seed",)),))
    assert report.to_json()["problems"] == [{"severity": "error", "message": "wrong"}]
