"""reefline/report/text.py: a run's last screen, for every way that a run ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from reefline.evaluation.report import GateResult
from reefline.findings import Action, Finding
from reefline.report.summary import Summary
from reefline.report.text import describe_run
from tests.factories_evaluation import make_edgetpu_record
from tests.factories_summary import make_blessed, make_failed, make_float_only, make_refused, make_unstarted


def _serve(folder: Path, version: str) -> Path:
    (folder / "serving" / "pets").mkdir(parents=True)
    (folder / "serving" / "pets" / "CURRENT").write_text(version)
    return folder / "serving"


def test_everything_about_a_blessed_run(tmp_path: Path) -> None:
    run_folder = tmp_path / "reports" / "1"
    assert describe_run(make_blessed(), run_folder, _serve(tmp_path, "2\n")) == [
        "train: 8 images, 20 boxes (cat 12, dog 8)",
        "eval: 2 images, 7 boxes (cat 3, dog 4)",
        "findings: box_degenerate: 2 dropped_box; a.xml, object 1: xmin 5, xmax 5",
        "findings: image_unused: 1 kept; b.jpg: no annotation",
        "anomaly: eval: image/width: out of range",
        "training: 1,000 steps in 0:02:05, best at step 800 (early stopping)",
        "metrics   float    int8  baseline",
        "mAP      0.6000  0.5000    0.4000",
        "mAP_50   0.6000  0.5000    0.4000",
        "mAP_75   0.6000  0.5000    0.4000",
        "AR_100   0.6000  0.5000    0.4000",
        "AP cat   0.6000  0.5000    0.4000",
        "AP dog   0.6000  0.5000    0.4000",
        "Edge TPU: 9 of 10 operators (prediction); not compiled: edgetpu_compiler is not installed",
        "rule      value  threshold  baseline",
        "min_map  0.5000     0.4000    0.4000  passed",
        "verdict: BLESSED",
        "bundle: ws/serving/pets/2",
        f"report: {run_folder / 'summary.json'}",
    ]


@pytest.mark.parametrize(
    ("make", "end"),
    [
        pytest.param(
            make_refused,
            [
                "verdict: NOT_BLESSED",
                "failed: min_map: mAP 0.5000 is below 0.9000",
                "bundle: none (nothing was pushed)",
            ],
            id="refused",
        ),
        pytest.param(
            make_failed,
            [
                "stopped at Trainer:",
                "error: loss is NaN at step 7",
                "error: the batch held a.jpg",
                "verdict: FAILED",
                "bundle: none (nothing was pushed)",
            ],
            id="failed",
        ),
        pytest.param(
            make_unstarted,
            [
                "stopped at config:",
                "error: c.yaml: no such config file",
                "verdict: FAILED",
                "bundle: none (nothing was pushed)",
            ],
            id="stopped-at-its-config",
        ),
    ],
)
def test_the_last_lines(tmp_path: Path, make: Callable[[], Summary], end: list[str]) -> None:
    lines = describe_run(make(), tmp_path, tmp_path / "serving")
    assert lines[-len(end) - 1 :] == [*end, f"report: {tmp_path / 'summary.json'}"]


def test_the_report_is_the_page_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    assert describe_run(make_refused(), tmp_path, tmp_path)[-1] == f"report: {tmp_path / 'index.html'}"


def test_messages_of_the_runner_replace_those_of_the_summary(tmp_path: Path) -> None:
    lines = describe_run(make_failed(), tmp_path, tmp_path, problems=("one\ntwo",))
    assert lines[-5:-3] == ["stopped at Trainer:", "error: one\ntwo"]


@pytest.mark.parametrize(
    ("current", "note"),
    [
        pytest.param("1", "note: version 1 is serving, not version 2 of this run", id="rolled-back"),
        pytest.param("two", "CURRENT: 'two' found, a version expected", id="damaged"),
        pytest.param("", "CURRENT: '' found", id="empty"),
    ],
)
def test_what_else_serves_is_a_note(tmp_path: Path, current: str, note: str) -> None:
    assert note in describe_run(make_blessed(), tmp_path, _serve(tmp_path, current))[-2]


def test_nothing_that_serves_is_a_note(tmp_path: Path) -> None:
    lines = describe_run(make_blessed(), tmp_path, tmp_path)
    assert lines[-2] == "note: no version is serving (CURRENT is missing)"


def test_a_model_without_int8_has_no_such_column(tmp_path: Path) -> None:
    assert "metrics   float" in describe_run(make_float_only(), tmp_path, tmp_path)


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    unknown = GateResult("min_class_ap", None, 0.3, False, "AP is unknown for 'cat'")
    lines = describe_run(dataclasses.replace(make_refused(), gate=(unknown,)), tmp_path, tmp_path)
    assert "min_class_ap      -     0.3000         -  failed" in lines


def test_data_without_findings_say_so(tmp_path: Path) -> None:
    assert "findings: none" in describe_run(make_blessed(findings=()), tmp_path, tmp_path)


def test_long_lists_and_names_are_cut(tmp_path: Path) -> None:
    long = Finding("x" * 10_000, 0, "label_unknown", "m", Action.KEPT)
    classes = {f"class {number}": number for number in range(50)}
    split = dataclasses.replace(make_blessed().data.splits["train"], per_class=classes)
    lines = describe_run(make_blessed(findings=(long,), splits={"train": split}), tmp_path, tmp_path)
    assert "class 19 19, …)" in lines[0] and "class 20" not in lines[0]
    assert max(map(len, lines)) < 600


def test_the_edge_tpu_line_does_not_repeat_its_numbers(tmp_path: Path) -> None:
    reason = "no compiler; install it; predicted to run on the Edge TPU: 9 of 10 operators"
    lines = describe_run(make_blessed(edgetpu=make_edgetpu_record(reason=reason)), tmp_path, tmp_path)
    assert "Edge TPU: 9 of 10 operators (prediction); not compiled: no compiler" in lines
