"""AnnotationValidator after the real VocExampleGen, StatisticsGen and ExampleValidator on the checked-in schema."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2

from reefline.data.anomalies import read_anomalies
from reefline.data.reports import Anomaly, ValidationReport
from reefline.errors import DataError, RecordError
from reefline.findings import Severity
from reefline.formats.tf_example import IngestedExample, IngestedObject, write_examples
from reefline.settings import ValidationSettings
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import add_image, make_data_set, make_jpeg, make_object
from tests.factories_ingestion import REPO_DIR, ingest, open_run


def _write_split_lists(data: Path, train: list[str], val: list[str]) -> None:
    folder = data / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("\n".join(train))
    (folder / "val.txt").write_text("\n".join(val))


def test_good_data_has_neither_findings_nor_anomalies(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=16)
    add_image(data, "negative", seed=50, objects=())
    add_image(data, "edges", seed=51, objects=[make_object(box=(0, 0, 64, 48))])
    run = ingest(data, tmp_path / "ws", validation=ValidationSettings())
    path = run.folder("ExampleAnomalies", "AnnotationValidator") / "validation.json"
    assert ValidationReport.read(path) == ValidationReport((), ())


def test_a_warning_is_reported_and_an_error_stops(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=16)
    (data / "image_001.jpg").write_bytes((data / "image_003.jpg").read_bytes())
    names = [f"image_{i:03d}" for i in range(16)]
    _write_split_lists(data, names[:2] + names[4:], names[2:4])
    with pytest.raises(DataError, match=r"this image \(train\) is identical to image_003\.jpg \(eval\)") as caught:
        ingest(data, tmp_path / "ws", validation=ValidationSettings())
    assert [finding.rule for finding in caught.value.findings] == ["duplicate_across_splits"]
    assert open_run(tmp_path / "ws").states("AnnotationValidator") == ["FAILED"]
    lenient = ValidationSettings(severities={"duplicate_across_splits": Severity.WARNING})
    run = ingest(data, tmp_path / "ws", validation=lenient)
    assert run.states("VocExampleGen") == ["COMPLETE", "CACHED"]
    path = run.folder("ExampleAnomalies", "AnnotationValidator") / "validation.json"
    report = ValidationReport.read(path)
    assert [finding.rule for finding in report.findings] == ["duplicate_across_splits"]


def _validate(folder: Path, *examples: IngestedExample) -> anomalies_pb2.Anomalies:
    write_examples(folder / "data.gz", examples)
    statistics = tfdv.generate_statistics_from_tfrecord(str(folder / "data.gz"))
    schema = tfdv.load_schema_text(str(REPO_DIR / "configs" / "schema.pbtxt"))
    return tfdv.validate_statistics(statistics, schema)


GOOD_BOX = BoxXyxyPx(1, 2, 30, 40)


def _make_example(box: BoxXyxyPx = GOOD_BOX, *, class_id: int = 1) -> IngestedExample:
    return IngestedExample(
        source_id="a.jpg",
        filename="a.jpg",
        encoded_jpeg=make_jpeg(),
        width_px=64,
        height_px=48,
        objects=(IngestedObject(box, class_id, "cat"),),
        sha256="0" * 64,
    )


def test_the_schema_accepts_ingested_examples(tmp_path: Path) -> None:
    negative = replace(_make_example(), objects=())
    assert not _validate(tmp_path, _make_example(), negative).anomaly_info
    assert not _validate(tmp_path, negative).anomaly_info


@pytest.mark.parametrize(
    ("example", "feature"),
    [
        pytest.param(_make_example(BoxXyxyPx(1, 2, 64 * 1.2, 40)), "image/object/bbox/xmax", id="box-of-1.2"),
        pytest.param(_make_example(BoxXyxyPx(1, -1, 30, 40)), "image/object/bbox/ymin", id="negative-box"),
        pytest.param(_make_example(BoxXyxyPx(float("nan"), 1, 30, 40)), "image/object/bbox/xmin", id="nan-box"),
        pytest.param(_make_example(class_id=-1), "image/object/class/label", id="negative-class"),
    ],
)
def test_the_schema_refuses_invalid_examples(tmp_path: Path, example: IngestedExample, feature: str) -> None:
    assert list(_validate(tmp_path, _make_example(), example).anomaly_info) == [feature]


def test_anomalies_of_every_split_are_read(tmp_path: Path) -> None:
    bad = _validate(tmp_path, _make_example(BoxXyxyPx(1, 2, 64 * 1.2, 40)))
    for split, message in (("train", anomalies_pb2.Anomalies()), ("eval", bad)):
        (tmp_path / f"Split-{split}").mkdir()
        (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(message.SerializeToString())
    (found,) = read_anomalies(tmp_path)
    assert (found.split, found.feature) == ("eval", "image/object/bbox/xmax")
    assert isinstance(found, Anomaly)
    assert "1.2" in found.description


def test_missing_and_damaged_anomalies_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no Split-\*/SchemaDiff\.pb; run the pipeline again"):
        read_anomalies(tmp_path)
    (tmp_path / "Split-train").mkdir()
    (tmp_path / "Split-train" / "SchemaDiff.pb").write_bytes(b"\xff")
    with pytest.raises(RecordError, match=r"SchemaDiff\.pb: damaged"):
        read_anomalies(tmp_path)
