"""reefline/report/index_page.py and what it shows: every folder in reports/ is a row, whatever its state."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reefline.data.image_record import write_records
from reefline.evaluation.report import EvaluationReport
from reefline.report import run_facts
from reefline.report.comparison import make_comparison
from reefline.report.image_list import keep_image_list
from reefline.report.index_page import IndexRow, list_rows, list_serving, make_charts, render_index, write_index
from reefline.report.run_facts import flatten, read_all_runs
from reefline.report.summary import Pushed, Verdict
from tests.factories import make_record
from tests.factories_evaluation import make_metrics, make_scores
from tests.factories_summary import (
    PASSED,
    make_blessed,
    make_failed,
    make_float_only,
    make_refused,
    make_unstarted,
    write_run,
)

DAYS = [f"2026010{day}T120000" for day in range(1, 10)]
HOSTILE = '<script>alert("1")</script>\u202e'


def _scored(value: float, float_value: float = 0.8) -> EvaluationReport:
    return EvaluationReport(make_scores(make_metrics(value), float_model=make_metrics(float_value)), (PASSED,))


def _rows(reports: Path, serving: dict[str, int | None] | None = None) -> list[IndexRow]:
    return list_rows(read_all_runs(reports)[0], reports, serving or {})


def _serve(workspace: Path, model: str, version: str) -> Path:
    home = workspace / "serving" / model
    home.mkdir(parents=True)
    (home / "CURRENT").write_text(version)
    return workspace / "serving"


def test_a_row_has_the_facts_of_its_summary(tmp_path: Path) -> None:
    write_run(tmp_path, make_blessed(DAYS[0]))
    assert _rows(tmp_path, {"pets": 2}) == [
        IndexRow(
            run_id=DAYS[0],
            started="2026-01-01 12:00:00",
            model="pets",
            verdict=Verdict.BLESSED,
            remark="",
            map_float=0.6,
            map_int8=0.5,
            map_50=0.5,
            change=None,
            compared_with="",
            version=2,
            serves=True,
            duration="0:02:07",
            page=f"./{DAYS[0]}/index.html",
            summary=f"./{DAYS[0]}/summary.json",
        )
    ]


def test_the_change_is_against_the_last_measured_run_of_the_model(tmp_path: Path) -> None:
    write_run(tmp_path, make_blessed(DAYS[0], evaluation=_scored(0.5)))
    write_run(tmp_path, make_blessed(DAYS[1], model="cells", evaluation=_scored(0.9)))
    write_run(tmp_path, make_failed(DAYS[2]))
    write_run(tmp_path, make_blessed(DAYS[3], evaluation=_scored(0.625)))
    rows = _rows(tmp_path)
    assert [row.change for row in rows] == [None, None, None, 0.125]
    assert rows[3].compared_with == DAYS[0]


def test_a_model_without_int8_is_compared_by_its_float_model(tmp_path: Path) -> None:
    for day, value in zip(DAYS, (0.5, 0.75), strict=False):
        scores = make_scores(make_metrics(value), float_model=make_metrics(value))
        evaluation = EvaluationReport(dataclasses.replace(scores, int8=None), (PASSED,))
        write_run(tmp_path, make_float_only(day, evaluation=evaluation))
    assert [(row.map_int8, row.map_50, row.change) for row in _rows(tmp_path)] == [
        (None, 0.5, None),
        (None, 0.75, 0.25),
    ]


@pytest.mark.parametrize(
    ("summary", "verdict", "remark"),
    [
        pytest.param(make_refused("1"), Verdict.NOT_BLESSED, "failed: min_map", id="refused"),
        pytest.param(make_failed("1"), Verdict.FAILED, "stopped at Trainer", id="failed"),
        pytest.param(make_unstarted("1"), Verdict.FAILED, "stopped at config", id="stopped-at-its-config"),
    ],
)
def test_a_run_without_bundle_says_why(tmp_path: Path, summary, verdict: Verdict, remark: str) -> None:
    write_run(tmp_path, summary)
    (row,) = _rows(tmp_path)
    assert (row.verdict, row.remark, row.version, row.serves) == (verdict, remark, None, False)


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        pytest.param(None, "summary.json is missing: the run is under way, or was killed", id="missing"),
        pytest.param(
            "{", "summary.json cannot be read: top level: damaged|summary.json cannot be read: damaged", id="cut"
        ),
        pytest.param("[]", "summary.json cannot be read", id="a-list"),
        pytest.param('{"schema_version": 2}', r"schema_version: damaged \(Input should be 1\)", id="other-version"),
        pytest.param("\udcff", "summary.json cannot be read", id="not-utf-8"),
    ],
)
def test_a_damaged_summary_is_a_row_that_says_so(tmp_path: Path, content: str | None, remark: str) -> None:
    (tmp_path / DAYS[0]).mkdir()
    if content is not None:
        (tmp_path / DAYS[0] / "summary.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    (row,) = _rows(tmp_path)
    assert row.verdict is None
    assert re.search(remark, row.remark)
    assert remark.partition(":")[0].partition("\\")[0] in render_index(tmp_path, tmp_path / "serving")


@pytest.mark.parametrize(
    "config", [pytest.param("a: [", id="no-yaml"), pytest.param("- 1", id="a-list"), pytest.param("", id="missing")]
)
def test_a_damaged_config_is_unknown(tmp_path: Path, config: str) -> None:
    write_run(tmp_path, make_blessed(DAYS[0]), config=config)
    (run,), _ = read_all_runs(tmp_path)
    assert run.config is None and run.summary is not None


def test_configs_are_flat() -> None:
    record = {"gate": {"min_map": 0.4, "max_regression": None}, "data": {"extra": {}}, "name": "on", "long": "x" * 999}
    flat = dict(flatten(record))
    assert {key: text for key, text in flat.items() if key != "long"} == {
        "gate.min_map": "0.4", "gate.max_regression": "null", "data.extra": "{}", "name": '"on"'
    }  # fmt: skip
    assert len(flat["long"]) < 400


def test_a_configs_words_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    write_run(tmp_path, make_blessed(DAYS[0]), config="a: off\nb: true\nc: 1e-3\n")
    (run,), _ = read_all_runs(tmp_path)
    assert run.config == {"a": '"off"', "b": "true", "c": "0.001"}


def test_runs_are_in_the_order_of_time(tmp_path: Path) -> None:
    names = [DAYS[1], f"{DAYS[0]}-10", DAYS[0], f"{DAYS[0]}-9"]
    for name in names:
        write_run(tmp_path, make_blessed(name))
    (tmp_path / "latest").symlink_to(DAYS[1])
    (tmp_path / "index.html").write_text("")
    runs, _ = read_all_runs(tmp_path)
    assert [run.run_id for run in runs] == [DAYS[0], f"{DAYS[0]}-9", f"{DAYS[0]}-10", DAYS[1]]
    page = render_index(tmp_path, tmp_path / "serving")
    assert re.findall(r'class="choose" value="([^"]+)"', page) == [run.run_id for run in reversed(runs)]


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in DAYS[:3]:
        write_run(tmp_path, make_blessed(day))
    first = read_all_runs(tmp_path)
    read: list[str] = []
    original = run_facts.read_run_facts
    monkeypatch.setattr(run_facts, "read_run_facts", lambda folder: read.append(folder.name) or original(folder))
    assert read_all_runs(tmp_path) == first
    assert read == []
    make_refused(DAYS[1]).write(tmp_path / DAYS[1] / "summary.json")
    write_run(tmp_path, make_blessed(DAYS[3]))
    verdicts = [run.summary.verdict for run in read_all_runs(tmp_path)[0] if run.summary]
    assert verdicts == [Verdict.BLESSED, Verdict.NOT_BLESSED, Verdict.BLESSED, Verdict.BLESSED]
    assert read == [DAYS[1], DAYS[3]]


@pytest.mark.parametrize("memory", [pytest.param("{", id="cut"), pytest.param('{"format": 0}', id="other-format")])
def test_a_damaged_memory_is_rebuilt(tmp_path: Path, memory: str) -> None:
    write_run(tmp_path, make_blessed(DAYS[0]))
    first = read_all_runs(tmp_path)
    (tmp_path / ".index.json").write_text(memory)
    assert read_all_runs(tmp_path) == first
    assert json.loads((tmp_path / ".index.json").read_text())["format"] == 1


def test_what_serves(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for day, version in zip(DAYS, (1, 2, 2), strict=False):
        write_run(reports, make_blessed(day, pushed=Pushed(version, "p")))
    serving = _serve(tmp_path, "pets", "2")
    (serving / "cells").mkdir()
    (serving / "cells" / "CURRENT").write_text("two")
    cells, pets = list_serving(read_all_runs(reports)[0], reports, serving)
    assert (cells.model, cells.version) == ("cells", None) and "'two' found" in cells.problem
    assert (pets.version, pets.run_id, pets.page) == (2, DAYS[1], f"./{DAYS[1]}/index.html")
    page = render_index(reports, serving)
    assert page.count("serves now") == 2 and "&#39;two&#39; found" in page


def test_a_chart_for_each_model_with_two_measured_runs(tmp_path: Path) -> None:
    for day, value in zip(DAYS, (0.42, 0.58, 0.5), strict=False):
        write_run(tmp_path, make_blessed(day, evaluation=_scored(value)))
    write_run(tmp_path, make_failed(DAYS[4]))
    write_run(tmp_path, make_blessed(DAYS[5], model="cells", evaluation=_scored(0.9)))
    (chart,) = make_charts(read_all_runs(tmp_path)[0])
    assert chart.model == "pets"
    assert chart.description == "mAP of 3 runs, oldest first: from 0.420 to 0.500, lowest 0.420, highest 0.580."
    assert [label for _, label in chart.grid] == ["0.4", "0.5", "0.6", "0.7", "0.8"]
    assert [line.name for line in chart.lines] == ["int8", "float"]
    heights = dict(zip([label for _, label in chart.grid], [y for y, _ in chart.grid], strict=True))
    dots = chart.lines[0].dots
    assert [x for x, _, _ in dots] == [chart.left, (chart.left + chart.right) / 2, chart.right]
    assert heights["0.6"] < dots[1][1] < dots[2][1] == heights["0.5"] < dots[0][1] < heights["0.4"]
    assert dots[2][2] == f"{DAYS[2]}: int8 mAP 0.5000"


def test_equal_values_make_a_chart(tmp_path: Path) -> None:
    for day in DAYS[:2]:
        write_run(tmp_path, make_blessed(day, evaluation=_scored(1.0, 1.0)))
    (chart,) = make_charts(read_all_runs(tmp_path)[0])
    assert len({y for _, y, _ in chart.lines[0].dots}) == 1


def test_the_facts_of_a_comparison(tmp_path: Path) -> None:
    write_run(tmp_path, make_blessed(DAYS[0]), config="model_name: pets\ntrainer: {seed: 1}\n")
    write_run(tmp_path, make_refused(DAYS[1]), config="model_name: pets\ntrainer: {seed: 2}\n")
    facts = make_comparison(*read_all_runs(tmp_path))
    blessed, refused = facts["runs"]
    assert (blessed["id"], blessed["verdict"], refused["verdict"]) == (DAYS[0], "BLESSED", "NOT_BLESSED")
    seed = facts["keys"].index("trainer.seed")
    assert [facts["values"][run["config"][seed]] for run in facts["runs"]] == ["1", "2"]
    assert facts["classes"] == ["cat", "dog"]
    assert blessed["splits"]["train"] == [8, 20, {0: 12, 1: 8}]
    assert blessed["findings"] == {"box_degenerate": 2, "image_unused": 1}
    assert [column[0] for column in blessed["metrics"]] == [0.6, 0.5, 0.4]
    assert refused["metrics"][2] is None
    assert blessed["perClass"][1] == [0.6, 0.5, 0.4, 4]
    assert refused["gate"] == [["min_map", 0.5, 0.9, False]]


def test_the_images_of_runs_are_compared_along_the_runs(tmp_path: Path) -> None:
    lists = [["a", "b"], ["a", "b"], None, ["a", "c"], ["c"]]
    for day, images in zip(DAYS, lists, strict=False):
        folder = write_run(tmp_path, make_blessed(day))
        if images is not None:
            write_records(tmp_path / "records.jsonl", [make_record(f"{name}.jpg") for name in images])
            keep_image_list(folder, tmp_path / "records.jsonl")
    facts = make_comparison(*read_all_runs(tmp_path))
    assert [run["images"] for run in facts["runs"]] == [0, 0, None, 1, 2]
    first, second = facts["imageSteps"]
    assert first["counts"] == [1, 1, 0] and [change[0] for change in first["changes"]] == ["b.jpg", "c.jpg"]
    assert second["counts"] == [0, 1, 0]
    for kept in (tmp_path / ".images").iterdir():
        kept.unlink()
    (tmp_path / ".index.json").unlink()
    assert make_comparison(*read_all_runs(tmp_path))["imageSteps"] == [None, None]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    long = "x" * 10_000
    for day in DAYS[:2]:
        write_run(reports, make_blessed(day, model=HOSTILE), config=f"{json.dumps(HOSTILE)}: {json.dumps(HOSTILE)}\n")
    write_run(reports, make_failed(DAYS[2], model=long))
    (reports / "javascript:alert(1)").mkdir()
    (reports / '"><img src=x>').mkdir()
    (reports / "\udcff").mkdir()
    write_index(reports, _serve(tmp_path, "pets", "2"))
    page = (reports / "index.html").read_text(encoding="utf-8")
    assert HOSTILE not in page and "<img src=x" not in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in page and "\\u003cscript\\u003e" in page
    addresses = re.findall(r'href="([^"]+)"', page)
    assert addresses and all(address.startswith(("./", "#")) for address in addresses)
    assert len(re.findall(r"<script[ >]", page)) == 2


def test_an_empty_workspace_has_a_page(tmp_path: Path) -> None:
    write_index(tmp_path, tmp_path / "serving")
    assert "No runs yet." in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_only_a_live_page_may_fetch(tmp_path: Path) -> None:
    assert "connect-src 'self'" in html.unescape(render_index(tmp_path, tmp_path, live=True))
    page = render_index(tmp_path, tmp_path)
    assert "connect-src" not in page and 'id="live"' not in page


def test_an_index_of_runs_imports_nothing_heavy(tmp_path: Path) -> None:
    write_run(tmp_path, make_blessed(DAYS[0]))
    code = (
        "import sys, pathlib\nfrom reefline.report.index_page import write_index\n"
        "folder = pathlib.Path(sys.argv[1])\nwrite_index(folder, folder / 'serving')\n"
        "print([name for name in ('numpy', 'matplotlib', 'tensorflow', 'ml_metadata', 'PIL') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
