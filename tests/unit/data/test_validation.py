"""The rules on data sets, their severities, and the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reefline.data.image_record import EVAL, TRAIN, ImageRecord, read_records, write_records
from reefline.data.reports import Anomaly, IngestionReport, ValidationReport
from reefline.data.rules.dataset_rules import (
    DatasetContext,
    Observation,
    check_box_tiny,
    check_class_absent,
    check_class_imbalance,
    check_classes_alike,
    check_duplicate_across_splits,
    check_duplicate_in_split,
    check_label_outside_label_map,
    check_near_duplicate_across_splits,
)
from reefline.data.rules.severity import describe_finding, resolve_severities
from reefline.data.rules.table import DATASET_RULES, RULES, Rule
from reefline.data.validation import validate_data_set
from reefline.errors import ConfigError, DataError
from reefline.findings import Action, Finding, Severity
from reefline.settings import ValidationSettings
from tests.factories import make_object_record, make_record, make_report

DatasetCheck = Callable[[DatasetContext], Iterator[Observation]]
REPO_DIR = Path(__file__).resolve().parents[3]


def _apply(
    check: DatasetCheck, *records: ImageRecord, names: tuple[str, ...] = ("cat",), **settings: object
) -> list[Finding]:
    report = make_report([r for r in records if all(o.label in names for o in r.objects)], names=names)
    (rule,) = (rule for rule in DATASET_RULES if rule.check is check)
    return list(rule.find(DatasetContext(records, report, ValidationSettings(**settings))))


def test_tiny_boxes_are_reported() -> None:
    objects = (make_object_record(box=(4, 4, 5.5, 20), index=3), make_object_record(box=(4, 4, 6, 20), index=4))
    (finding,) = _apply(check_box_tiny, make_record(objects=objects))
    assert (finding.file, finding.object, finding.action) == ("a.xml", 3, Action.KEPT)
    assert "a side of 1.5 px is less than 2" in finding.message
    assert len(_apply(check_box_tiny, make_record(objects=objects), min_box_px=3)) == 2


def test_a_label_outside_the_label_map_is_reported() -> None:
    (finding,) = _apply(check_label_outside_label_map, make_record(objects=(make_object_record("dog", index=2),)))
    assert (finding.file, finding.object) == ("a.xml", 2)
    assert _apply(check_label_outside_label_map, make_record()) == []


def test_a_class_that_a_split_lacks_is_reported() -> None:
    dog = make_record("b.jpg", split=EVAL, objects=(make_object_record("dog"),))
    both = make_record(objects=(make_object_record("cat"), make_object_record("dog")))
    (finding,) = _apply(check_class_absent, both, dog, names=("cat", "dog"))
    assert "the eval split has no 'cat'" in finding.message
    assert _apply(check_class_absent, both, names=("cat", "dog")) == []


def test_classes_that_look_alike_are_reported() -> None:
    names = ("Cat", "cat", "c\u200bat", "dog", "traffic light")
    (finding,) = _apply(check_classes_alike, make_record(), names=names)
    assert "'Cat', 'cat', 'c\\u200bat' look alike" in finding.message


def test_heavy_imbalance_is_reported() -> None:
    many = make_record(objects=tuple(make_object_record("cat", index=i) for i in range(9)))
    few = make_record("b.jpg", objects=(make_object_record("dog"),))
    (finding,) = _apply(check_class_imbalance, many, few, names=("cat", "dog", "emu"), max_class_imbalance=8)
    assert "'dog' has 1 training boxes, 'cat' has 9" in finding.message
    assert _apply(check_class_imbalance, many, few, names=("cat", "dog"), max_class_imbalance=9) == []
    assert _apply(check_class_imbalance, make_record(split=EVAL)) == []


def test_exact_duplicates_are_reported_within_a_split_and_across() -> None:
    one, twin = make_record("a.jpg", sha256="1" * 64), make_record("b.jpg", sha256="1" * 64)
    other = make_record("c.jpg", sha256="1" * 64, split=EVAL)
    (within,) = _apply(check_duplicate_in_split, twin, one)
    assert (within.file, within.rule) == ("a.jpg", "duplicate_in_split")
    assert "in the train split: b.jpg;" in within.message
    assert _apply(check_duplicate_across_splits, one, twin) == []
    (across,) = _apply(check_duplicate_across_splits, one, twin, other)
    assert "b.jpg (train), c.jpg (eval)" in across.message
    assert _apply(check_duplicate_in_split, one, twin, other) == []


def test_near_duplicates_are_reported_across_splits() -> None:
    one = make_record("a.jpg", perceptual_hash=0b1111)
    near = make_record("b.jpg", perceptual_hash=0, split=EVAL)
    (finding,) = _apply(check_near_duplicate_across_splits, one, near)
    assert {finding.file} <= {"a.jpg", "b.jpg"}
    assert "differ in 4 of 64 bits" in finding.message
    assert _apply(check_near_duplicate_across_splits, one, near, near_duplicate_bits=3) == []
    same_split = make_record("b.jpg", perceptual_hash=0)
    assert _apply(check_near_duplicate_across_splits, one, same_split) == []
    exact = make_record("b.jpg", perceptual_hash=0b1111, split=EVAL, sha256=one.sha256)
    assert _apply(check_near_duplicate_across_splits, one, exact) == []


WARNED = Finding("a.xml", 0, "box_degenerate", "bad", Action.DROPPED_BOX)
RECORDS = (make_record("a.jpg"), make_record("b.jpg", split=EVAL, perceptual_hash=(1 << 64) - 1))


def _validate(
    *anomalies: Anomaly, findings: tuple[Finding, ...] = (WARNED,), **severities: Severity
) -> ValidationReport:
    report = make_report(RECORDS, findings=findings)
    return validate_data_set(RECORDS, report, anomalies, ValidationSettings(severities=severities))


def test_a_warning_is_reported_an_error_stops_and_off_is_silent() -> None:
    assert _validate().findings == (WARNED,)
    assert _validate(box_degenerate=Severity.OFF).findings == ()
    with pytest.raises(DataError, match=r"a\.xml, object 0: bad \[box_degenerate\]") as caught:
        _validate(box_degenerate=Severity.ERROR)
    assert caught.value.findings == (WARNED,)


def test_all_errors_are_raised_with_all_findings() -> None:
    unsafe = Finding("b.xml", None, "filename_unsafe", "worse", Action.DROPPED_IMAGE)
    with pytest.raises(DataError, match="worse") as caught:
        _validate(Anomaly("eval", "image/width", "too small"), findings=(unsafe, WARNED))
    assert caught.value.problems == (
        "b.xml: worse [filename_unsafe]",
        "split eval, feature image/width: too small [anomaly]",
    )
    assert caught.value.findings == (WARNED, unsafe)


def test_the_data_set_rules_run() -> None:
    twins = (make_record("a.jpg", sha256="1" * 64), make_record("b.jpg", sha256="1" * 64, split=EVAL))
    with pytest.raises(DataError, match="duplicate_across_splits"):
        validate_data_set(twins, make_report(twins), (), ValidationSettings())


def test_an_unknown_rule_is_refused() -> None:
    overrides = {"box_degenrate": Severity.OFF, "zzz": Severity.OFF}
    with pytest.raises(ConfigError, match="unknown rule 'box_degenrate': did you mean 'box_degenerate'") as caught:
        resolve_severities(overrides)
    assert len(caught.value.problems) == 2
    assert resolve_severities({"box_tiny": Severity.ERROR})["box_tiny"] is Severity.ERROR


def test_a_finding_on_the_data_set_is_described_as_such() -> None:
    assert describe_finding(Finding("", None, "class_absent", "m", Action.KEPT)) == "the data set: m [class_absent]"


def test_every_rule_is_applied_and_documented() -> None:
    rooms = (REPO_DIR / "reefline" / room for room in ("data", "images"))
    sources = "".join(path.read_text() for room in rooms for path in room.rglob("*.py"))
    docs = (REPO_DIR / "docs" / "data.md").read_text()
    for rule in RULES:
        # A rule without a function is named in the table and where it is applied.
        assert sources.count(f'"{rule.name}"') >= (2 if type(rule) is Rule else 1), f"{rule.name} is never applied"
        assert f"| `{rule.name}` | {rule.severity.value} |" in docs


def test_rules_have_distinct_names() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(set(names)) == sorted(names)


def test_records_and_reports_come_back(tmp_path: Path) -> None:
    records = [make_record("é.jpg"), make_record("b.jpg", objects=(), perceptual_hash=(1 << 64) - 1)]
    write_records(tmp_path / "records.jsonl", records)
    assert list(read_records(tmp_path / "records.jsonl")) == records
    report = make_report(records, findings=(WARNED,))
    report.write(tmp_path / "report.json")
    assert IngestionReport.read(tmp_path / "report.json") == report
    validation = ValidationReport((WARNED,), (Anomaly(TRAIN, "f", "d"),))
    validation.write(tmp_path / "validation.json")
    assert ValidationReport.read(tmp_path / "validation.json") == validation
