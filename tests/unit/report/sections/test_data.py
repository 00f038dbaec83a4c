"""The data section: its facts, its pictures, its distributions, and its HTML."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reefline.data.image_record import EVAL, TRAIN
from reefline.data.reports import Anomaly, IngestionReport, PicturedBox, PicturedFile, SplitCounts, ValidationReport
from reefline.data.rules.meanings import explain_rule
from reefline.data.rules.table import RULES
from reefline.errors import RecordError
from reefline.findings import Action, Severity
from reefline.od_api.model_config import build_model_config, load_template, write_pipeline_config
from reefline.report.sections.data import make_data_section
from reefline.report.sections.data_distributions import (
    GRID_CELLS,
    MAX_VALUES,
    aspects,
    measure_fit,
    name_image_sizes,
    read_anchors,
    sample_splits,
    side_fractions,
)
from reefline.report.sections.data_facts import MAX_LISTED, count_classes, count_images, group_findings
from reefline.report.sections.data_pictures import MAX_EXAMPLES, MAX_PAIRS, Album, find_examples, find_pairs, open_album
from reefline.report.sources import RunSources
from reefline.structures.artifacts import FindingsFolder, ModelRunFolder
from tests.factories import make_object_record, make_record, make_report
from tests.factories_data import make_finding, make_hostile_ingestion, write_ingestion
from tests.factories_report import HOSTILE_NAMES


def _html(sources: RunSources, **options: object) -> str:
    section = make_data_section(sources, **options)
    assert section is not None and (section.id, section.title) == ("data", "Data")
    return section.html


def _text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_every_rule_has_a_sentence() -> None:
    sentences = {rule.name: explain_rule(rule.name) for rule in RULES}
    assert all(sentence.endswith(".") for sentence in sentences.values()), sentences
    assert explain_rule("new_rule") == ""


def test_splits_count_images_without_boxes() -> None:
    records = [make_record("a.jpg"), make_record("b.jpg", objects=()), make_record("c.jpg", split=EVAL)]
    train, evaluated = count_images(make_report(records), records)
    assert (train.name, train.images, train.boxes, train.empty, train.boxes_per_image) == ("train", 2, 1, 1, 0.5)
    assert evaluated.empty == 0


def test_a_split_without_images_has_no_mean() -> None:
    train, evaluated = count_images(make_report(), ())
    assert (train.boxes_per_image, evaluated.boxes_per_image) == (0.0, 0.0)


def test_classes_are_sorted_and_many_are_collapsed() -> None:
    names = [f"class_{number:03d}" for number in range(400)]
    splits = {
        TRAIN: SplitCounts(9, 400 * 399 // 2, {name: number for number, name in enumerate(names)}),
        EVAL: SplitCounts(0, 0, {}),
    }
    table = count_classes(make_report(names=names, splits=splits))
    assert table.shown[0].name == "class_399" and table.shown[0].boxes == (399, 0)
    assert table.shown[0].shares == (pytest.approx(399 / (400 * 399 / 2)), 0.0)
    assert (len(table.shown), len(table.collapsed), table.left_out) == (15, 300, 85)


def test_a_few_classes_are_not_collapsed() -> None:
    names = [f"class_{number}" for number in range(18)]
    table = count_classes(make_report(names=names))
    assert len(table.shown) == 18 and not table.collapsed and not table.left_out


def test_findings_are_grouped_with_errors_first() -> None:
    findings = [
        *(make_finding(f"{number}.xml") for number in range(MAX_LISTED + 20)),
        make_finding("0.xml", 3, action=Action.FIXED),
        make_finding("", None, "class_absent", "no dog", Action.KEPT),
    ]
    absent, degenerate = group_findings(findings, {"class_absent": Severity.ERROR})
    assert (absent.rule, absent.severity, absent.files) == ("class_absent", Severity.ERROR, 0)
    assert absent.listed[0].where == "the data set"
    assert degenerate.meaning == explain_rule("box_degenerate")
    assert (degenerate.severity, degenerate.files, degenerate.left_out) == (Severity.WARNING, MAX_LISTED + 20, 21)
    assert degenerate.actions == (("box dropped", MAX_LISTED + 20), ("fixed", 1))
    assert degenerate.listed[0].where == "0.xml, object 0"


def _album(boxes: int = 1, files: int = 1, **facts: object) -> Album:
    box = [PicturedBox(number, "cat", (10.0, 10.0, 20.0, 30.0)) for number in range(boxes)]
    pictured = {f"{n}.xml": PicturedFile(f"{n}.xml", f"{n}.jpg", 100, 200, tuple(box)) for n in range(files)}
    return Album(pictured, {f"{n}.jpg": b"jpeg" for n in range(files)}, **facts)


def test_one_picture_per_file_shows_its_findings_boxes() -> None:
    findings = [make_finding("0.xml", item, message=f"message {item % 5}") for item in range(1, 8)]
    (shot,) = find_examples(findings, _album(boxes=10))
    assert (len(shot.rects), shot.more) == (7, 2)
    assert shot.messages == ("message 1", "message 2", "message 3")
    first = shot.rects[0]
    assert (first.x, first.y, first.width, first.height, first.title) == (10, 10, 10, 20, "cat")


def test_pictures_are_limited_in_number_and_in_bytes() -> None:
    findings = [make_finding(f"{number}.xml") for number in range(50)]
    assert len(find_examples(findings, _album(files=50))) == MAX_EXAMPLES
    assert len(find_examples(findings, _album(files=50, budget=11))) == 2
    assert find_examples([make_finding("x.xml")], _album()) == ()


@pytest.mark.parametrize(
    ("box", "drawn"),
    [
        pytest.param((50, 20, 10, 40), (10, 20, 40, 20), id="corners-in-order"),
        pytest.param((50, 20, 50, 20), (48, 16, 4, 8), id="a-point-is-visible"),
        pytest.param((100, 200, 100, 200), (96, 192, 4, 8), id="a-point-at-the-edge"),
        pytest.param((-20, 10, 500, 30), (0, 10, 100, 20), id="clipped"),
        pytest.param((300, 10, 500, 30), (96, 10, 4, 20), id="outside"),
    ],
)
def test_boxes_are_drawn_where_they_can_be_seen(box: tuple[float, ...], drawn: tuple[float, ...]) -> None:
    pictured = PicturedFile("0.xml", "0.jpg", 100, 200, (PicturedBox(0, "cat", box),))
    shot = Album({"0.xml": pictured}, {"0.jpg": b""}).show("0.xml", [make_finding("0.xml")])
    assert shot is not None
    (rect,) = shot.rects
    assert (rect.x, rect.y, rect.width, rect.height) == drawn


def test_pairs_have_both_pictures_and_both_splits(tmp_path: Path) -> None:
    records = [
        make_record("a.jpg", sha256="1" * 64),
        make_record("b.jpg", split=EVAL, sha256="1" * 64),
        make_record("c.jpg", split=EVAL, perceptual_hash=6),
    ]
    findings = [
        make_finding("a.jpg", None, "duplicate_across_splits", "identical", Action.KEPT),
        make_finding("a.jpg", None, "near_duplicate_across_splits", "(train) looks like c.jpg (eval), x", Action.KEPT),
        make_finding("gone.jpg", None, "duplicate_across_splits", "identical", Action.KEPT),
    ]
    album = open_album(write_ingestion(tmp_path, records, findings))
    exact, near = find_pairs(findings, records, album)
    assert [shot.image for shot in exact.shots] == ["a.jpg", "b.jpg"] and exact.is_exact
    assert (near.splits, near.bits, near.is_exact) == (("train", "eval"), 2, False)
    assert len(find_pairs(findings[:1] * 50, records, album)) == MAX_PAIRS


@pytest.mark.parametrize("damage", ["thumbnails", "pictures"])
def test_damaged_pictures_are_left_out(tmp_path: Path, damage: str) -> None:
    folder = write_ingestion(tmp_path, findings=[make_finding()])
    path = getattr(folder, damage)
    path.write_bytes(path.read_bytes()[:-40])
    html = _html(RunSources(ingestion=folder))
    assert "<img" not in html
    assert "The pictures that ingestion made are damaged; some or all are missing." in html


def test_ingestion_of_an_older_version_has_no_pictures(tmp_path: Path) -> None:
    html = _html(RunSources(ingestion=write_ingestion(tmp_path, findings=[make_finding()], pictures=False)))
    assert "<img" not in html and "damaged" not in html
    assert "a.xml, object 0" in html


def test_samples_are_fractions_of_the_image() -> None:
    objects = (make_object_record(box=(0, 0, 32, 12)), make_object_record(box=(60, 40, 64, 48)))
    (split,) = sample_splits([make_record(objects=objects)], (TRAIN, EVAL))
    assert split.name == TRAIN
    assert split.boxes == ((0.5, 0.25), (4 / 64, 8 / 48))
    assert split.objects_per_image == (2,)
    assert split.centres[2][4] == 1 and split.centres[14][15] == 1
    assert sum(map(sum, split.centres)) == 2 and len(split.centres) == GRID_CELLS


def test_derived_values() -> None:
    assert side_fractions([(0.5, 0.5), (0.25, 1.0)]) == [50.0, 50.0]
    assert aspects([(0.5, 0.25), (1.0, 0.0)]) == [2.0]
    assert len(side_fractions([(0.1, 0.1)] * (MAX_VALUES * 3))) == MAX_VALUES


def test_few_image_sizes_are_named() -> None:
    records = [make_record("a.jpg"), make_record("b.jpg"), make_record("c.jpg", width_px=10)]
    assert name_image_sizes(sample_splits(records, ())) == (("64 × 48 px", 2), ("10 × 48 px", 1))
    many = [make_record(f"{width}.jpg", width_px=width) for width in range(50, 60)]
    assert name_image_sizes(sample_splits(many, ())) == ()


def test_the_fit_counts_covered_smaller_and_larger_boxes() -> None:
    fit = measure_fit([(0.2, 0.2), (0.4, 0.4)], [(0.2, 0.2), (0.2, 0.15), (0.05, 0.05), (0.9, 0.9)], 0.5)
    assert (fit.boxes, fit.covered, fit.smaller, fit.larger) == (4, 2, 2, 1)
    nothing = measure_fit([(0.2, 0.2)], [], 0.5)
    assert (nothing.boxes, nothing.covered) == (0, 0)


def test_the_fit_counts_every_box_of_a_large_data_set() -> None:
    boxes = [(0.05, 0.05), (0.2, 0.2), (0.9, 0.9), (0.2, 0.2), (0.2, 0.2), (0.2, 0.2)] * MAX_VALUES
    fit = measure_fit([(0.2, 0.2)], boxes, 0.5)
    assert (fit.boxes, fit.smaller, fit.larger) == (6 * MAX_VALUES, MAX_VALUES, MAX_VALUES)
    alike = measure_fit([(0.2, 0.2)], [(0.2, 0.2)] * (3 * MAX_VALUES), 0.5)
    assert (alike.boxes, alike.covered) == (3 * MAX_VALUES, 3 * MAX_VALUES)


def _write_model_run(root: Path) -> ModelRunFolder:
    root.mkdir()
    config = build_model_config(load_template("ssd_mobilenet_v2_tiny"), None, 1)
    write_pipeline_config(config, ModelRunFolder(root).pipeline_config)
    return ModelRunFolder(root)


def test_anchors_come_from_the_pipeline_config(tmp_path: Path) -> None:
    run = _write_model_run(tmp_path / "run")
    found = read_anchors(run.pipeline_config, [(0.1, 0.1)])
    assert found is not None and found.covered == 1 and len(found.sizes) > 10
    run.pipeline_config.write_text("nonsense {")
    assert read_anchors(run.pipeline_config, []) is None
    assert read_anchors(tmp_path / "none", []) is None


def test_the_section_compares_boxes_with_anchors(tmp_path: Path) -> None:
    sources = RunSources(ingestion=write_ingestion(tmp_path), model_run=_write_model_run(tmp_path / "run"))
    html = _html(sources)
    assert "Boxes and anchors" in html and "of the training boxes have an anchor of similar size and shape" in html
    assert "anchors" not in _html(RunSources(ingestion=write_ingestion(tmp_path)))


def test_images_are_counted_by_license(tmp_path: Path) -> None:
    ingestion = write_ingestion(tmp_path)
    assert "license" not in _html(RunSources(ingestion=ingestion))
    report = IngestionReport.read(ingestion.report)
    licenses = {"CC BY 4.0": 1200, "<b>unknown": 30, **{f"L{number}": 2 for number in range(12)}}
    dataclasses.replace(report, licenses=licenses).write(ingestion.report)
    html = _html(RunSources(ingestion=ingestion))
    assert "1,200 CC BY 4.0 , 30 &lt;b&gt;unknown , 2 L0" in _text(html).replace(" ,", " ,")
    assert ", 4 others." in _text(html)


def test_no_artifact_and_nothing_found_is_no_section() -> None:
    assert make_data_section(RunSources()) is None


def test_findings_of_a_run_that_the_data_stopped(tmp_path: Path) -> None:
    finding = make_finding("bad.xml", None, "xml_forbidden", "entities", Action.DROPPED_IMAGE)
    text = _text(_html(RunSources(), findings=[finding]))
    assert "bad.xml entities image left out" in text
    assert "Images and boxes" not in text and "Distributions" not in text
    anomaly = Anomaly("eval", "image/width", "Column is completely missing")
    text = _text(_html(RunSources(ingestion=write_ingestion(tmp_path)), findings=[], anomalies=[anomaly]))
    assert "eval split, image width: Missing from every image. (image/width)" in text


def test_validation_comes_before_ingestion_and_the_config_sets_severities(tmp_path: Path) -> None:
    folder = FindingsFolder(tmp_path)
    ValidationReport((make_finding("b.xml", 0, "box_tiny", "small", Action.KEPT),), ()).write(folder.validation)
    ingestion = write_ingestion(tmp_path, findings=[make_finding()])
    config = json.dumps({"validation": {"severities": {"box_tiny": "error"}}})
    html = _html(RunSources(config=config, ingestion=ingestion, findings=folder))
    assert explain_rule("box_tiny") in html and explain_rule("box_degenerate") not in html
    assert '<span class="badge bad">error</span>' in html
    for broken in ("", "[]", "{", '{"validation": {"severities": {"nonsense": "error"}}}'):
        html = _html(RunSources(config=broken, ingestion=ingestion, findings=folder))
        assert '<span class="badge warn">warning</span>' in html


def test_the_statistics_are_linked_where_their_page_exists(tmp_path: Path) -> None:
    sources = RunSources(ingestion=write_ingestion(tmp_path))
    assert '<a href="statistics.html">' in _html(sources, statistics_page="statistics.html")
    assert "<a " not in _html(sources)


def test_few_findings_with_pictures_are_not_listed_again(tmp_path: Path) -> None:
    ingestion = write_ingestion(tmp_path, findings=[make_finding(), make_finding("b.xml")])
    assert "Findings of box_degenerate" not in _html(RunSources(ingestion=ingestion))
    three = [make_finding(), make_finding("b.xml"), make_finding("gone.xml")]
    html = _html(RunSources(ingestion=ingestion), findings=three)
    assert "<summary>All 3 findings</summary>" in html


def test_a_damaged_report_is_named(tmp_path: Path) -> None:
    folder = write_ingestion(tmp_path)
    folder.report.write_text("{")
    with pytest.raises(RecordError, match=r"report\.json"):
        make_data_section(RunSources(ingestion=folder))


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="no-image"),
        pytest.param([make_record("a.jpg", objects=())], id="no-box-and-an-empty-split"),
        pytest.param([make_record(f"{n}.jpg", width_px=40 + n) for n in range(9)], id="many-sizes"),
        pytest.param(
            [make_record(objects=tuple(make_object_record(box=(n % 50, 1, 60, 9), index=n) for n in range(3000)))],
            id="3000-boxes-in-one-image",
        ),
    ],
)
def test_odd_data_sets_have_a_section(tmp_path: Path, records: list[object]) -> None:
    html = _html(RunSources(ingestion=write_ingestion(tmp_path, records)))
    assert "No rule found anything wrong with the data." in html
    assert len(html) < 200_000


def test_names_from_the_data_are_escaped(tmp_path: Path) -> None:
    html = _html(RunSources(ingestion=make_hostile_ingestion(tmp_path, HOSTILE_NAMES)))
    assert "<script" not in html and "onerror='" not in html and "</style>" not in html
    assert "&lt;script&gt;window.owned = 1&lt;/script&gt;" in html
    assert "x" * 700 not in html
    # No inline style or handler, which the policy would block.
    assert not re.search(r"<[^>]*\s(?:style|on\w+)=", re.sub(r'"[^"]*"', '""', html))


def test_the_section_is_the_same_each_time(tmp_path: Path) -> None:
    sources = RunSources(ingestion=write_ingestion(tmp_path, findings=[make_finding()]))
    assert make_data_section(sources) == make_data_section(sources)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"records\.jsonl: cannot read it", id="missing"),
        pytest.param("{}", r"records\.jsonl: damaged \(KeyError", id="a-field-is-missing"),
        pytest.param("{", r"records\.jsonl: damaged \(JSONDecodeError", id="cut"),
        pytest.param("null", r"records\.jsonl: damaged \(TypeError", id="null"),
    ],
)
def test_damaged_records_are_named(tmp_path: Path, content: str | None, message: str) -> None:
    folder = write_ingestion(tmp_path)
    folder.records.unlink()
    if content is not None:
        folder.records.write_text(content)
    with pytest.raises(RecordError, match=message):
        make_data_section(RunSources(ingestion=folder))


def test_importing_the_sections_imports_nothing_heavy() -> None:
    code = (
        "import sys; from reefline.report import statistics_page; from reefline.report.sections import changes, data; "
        "heavy = {'numpy', 'PIL', 'matplotlib', 'tensorflow', 'google.protobuf'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
