"""The Edge TPU section: of an exported model, or of the preflight."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.edgetpu.placement_report import PlacedOp, Placement
from reefline.edgetpu.preflight_report import Preflight
from reefline.errors import RecordError
from reefline.report.sections.edge_tpu import (
    Latency,
    ModelFile,
    OperatorCount,
    count_operators,
    find_edge_tpu_facts,
    list_latencies,
    make_edge_tpu_section,
)
from reefline.report.sources import RunSources
from reefline.structures.artifacts import PreflightFolder, ScoresFolder
from tests.factories_compiler import SUCCESS_LOG
from tests.factories_evaluation import make_edgetpu_record, make_scores
from tests.factories_quality import write_exported_model

OPS = (
    PlacedOp(0, "CONV_2D", 1, Placement.EDGETPU, "within all known limits"),
    PlacedOp(1, "RESIZE_BILINEAR", 3, Placement.UNCERTAIN, "large outputs may not map"),
    PlacedOp(2, "CONV_2D", 1, Placement.CPU, "depends on op 1", 1),
    PlacedOp(3, "<script>alert(1)</script>", 1, Placement.CPU, "the Edge TPU does not support this operator"),
)


def write_model(folder: Path, *, ops: tuple[PlacedOp, ...] = OPS, log: str = "", problems: tuple[str, ...] = ()):
    """Write an exported model, and return it as the sources of a page."""
    return RunSources(model=write_exported_model(folder, ops, log=log, problems=problems))


def make_html(sources: RunSources) -> str:
    """Return the HTML of the section."""
    section = make_edge_tpu_section(sources)
    assert section is not None
    assert (section.id, section.title) == ("edge-tpu", "Edge TPU")
    return section.html


def test_a_run_without_model_and_preflight_has_no_section() -> None:
    assert make_edge_tpu_section(RunSources()) is None


def test_operators_are_counted_by_type_and_place() -> None:
    assert count_operators(OPS[:3]) == (OperatorCount("CONV_2D", 1, 1, 0), OperatorCount("RESIZE_BILINEAR", 0, 0, 1))
    assert [kind.total for kind in count_operators(OPS[:3])] == [2, 1]


def test_an_exported_model(tmp_path: Path) -> None:
    sources = write_model(tmp_path, problems=("a tensor has a dynamic shape",))
    facts = find_edge_tpu_facts(sources)
    assert facts is not None
    assert (facts.share, facts.input_size_px, facts.log) == (0.9, (640, 320), None)
    assert facts.files == (ModelFile("model_int8.tflite", 2048),)
    assert [op.index for op in facts.left_out] == [1, 2, 3]
    html = make_html(sources)
    assert "90.0 %" in html and "9 of 10 operators" in html and "640 × 320" in html and "2.0 KiB" in html
    assert "a tensor has a dynamic shape" in html and "All 4 operators" in html
    assert "<p>edgetpu_compiler is not installed.</p>" in html and "Compiler log" not in html
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count("large outputs may not map") == 2


def test_the_compilers_log_and_memory(tmp_path: Path) -> None:
    sources = write_model(tmp_path, log=f"{SUCCESS_LOG}<script>\n")
    html = make_html(sources)
    assert "<dt>Parameters cached on the chip</dt><dd>1.00 MiB</dd>" in html
    assert "<dt>Left on the chip</dt><dd>6.00 MiB</dd>" in html
    assert "<dt>Parameters streamed from the host</dt><dd>2.0 KiB</dd>" in html
    assert "Model compiled successfully in 17 ms." in html and "&lt;script&gt;" in html


def test_of_a_long_log_the_end_is_shown(tmp_path: Path) -> None:
    facts = find_edge_tpu_facts(write_model(tmp_path, log="a" * 5 + "b" * 20_000))
    assert facts is not None
    assert facts.log_text == "[5 characters left out]\n" + "b" * 20_000


def test_time_per_image_of_each_scored_model(tmp_path: Path) -> None:
    scores = make_scores(baseline_version=4, milliseconds={"float": 80.0, "shipped": 12.25, "baseline": 13.0})
    expected = (
        Latency("Shipped model (int8)", 12.25),
        Latency("Float model", 80.0),
        Latency("Baseline (version 4)", 13.0),
    )
    assert list_latencies(scores) == expected
    assert list_latencies(make_scores()) == ()
    scores.write(tmp_path / "scores.json")
    sources = write_model(tmp_path / "model")
    html = make_html(RunSources(model=sources.model, scores=ScoresFolder(tmp_path)))
    assert '<th scope="row">Shipped model (int8)</th><td class="num">12.2</td>' in html
    assert '<td class="num">80.0</td>' in html


def test_everything_on_the_edge_tpu(tmp_path: Path) -> None:
    html = make_html(write_model(tmp_path, ops=OPS[:1]))
    assert "Every operator runs on the Edge TPU." in html and "Not on the Edge TPU" not in html


def test_the_preflight_of_a_run_that_stopped_before_an_export(tmp_path: Path) -> None:
    record = make_edgetpu_record(ops_on_tpu=0, ops_on_cpu=9, ops_uncertain=1)
    Preflight(record, True, (), OPS[1:]).write(tmp_path / "preflight.json")
    html = make_html(RunSources(preflight=PreflightFolder(tmp_path)))
    assert "the preflight’s results for the untrained model" in html
    assert "0.0 %" in html and "depends on op 1" in html
    assert "1 operator is uncertain: only edgetpu_compiler decides where it runs." in html
    assert "Operators by type" not in html


def test_a_run_that_the_preflight_stopped_shows_the_record_of_its_error() -> None:
    record = make_edgetpu_record(ops_on_tpu=6, ops_on_cpu=4, ops_uncertain=0)
    section = make_edge_tpu_section(RunSources(), stopped_with=record)
    assert section is not None
    assert "the preflight’s results for the untrained model" in section.html
    assert "6 of 10 operators" in section.html
    assert "Every operator runs" not in section.html


def test_a_model_counts_more_than_its_preflight(tmp_path: Path) -> None:
    sources = write_model(tmp_path)
    Preflight(make_edgetpu_record(ops_on_tpu=0), True, (), ()).write(tmp_path / "preflight.json")
    facts = find_edge_tpu_facts(RunSources(model=sources.model, preflight=PreflightFolder(tmp_path)))
    assert facts is not None and not facts.is_untrained


@pytest.mark.parametrize("is_trained", [pytest.param(True, id="exported"), pytest.param(False, id="stopped before")])
def test_memory_and_latency_are_the_preflights(is_trained: bool, tmp_path: Path) -> None:
    model = write_model(tmp_path).model if is_trained else None
    lines = ("parameters: 4.89 MiB", "about 5 ms")
    Preflight(make_edgetpu_record(), True, (), (), lines).write(tmp_path / "preflight.json")
    html = make_html(RunSources(model=model, preflight=PreflightFolder(tmp_path)))
    assert "Memory and latency, predicted from the untrained model" in html
    assert "<li>Parameters: 4.89 MiB</li>" in html and "<li>About 5 ms</li>" in html


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    sources = write_model(tmp_path)
    (tmp_path / "placement.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match="source: damaged"):
        make_edge_tpu_section(sources)
