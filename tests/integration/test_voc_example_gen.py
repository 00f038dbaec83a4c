"""VocExampleGen on real Beam, through a real runner with TFX's own cache."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from components.voc_example_gen import driver, executor
from reefline.data.fingerprint import fingerprint_data
from reefline.data.image_record import read_records
from reefline.data.reports import FindingPictures, IngestionReport
from reefline.errors import ConfigError, DataError
from reefline.formats.tf_example import IngestedExample, IngestedObject, read_examples
from reefline.images.thumbnails import ThumbnailWriter, read_thumbnails
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.settings import IngestionSettings
from reefline.storage.opening import open_storage
from reefline.storage.transfer import upload_tree
from reefline.structures.artifacts import ExamplesFolder, IngestionFolder
from reefline.structures.image_origin import write_origins
from reefline.structures.label_map import LabelMap
from tests.factories import add_image, make_data_set, make_jpeg, make_object
from tests.factories_acquisition import make_origin
from tests.factories_ingestion import IngestionRun, ingest, open_run

BCCD_DIR = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "bccd"


def _report(run: IngestionRun) -> IngestionReport:
    return IngestionReport.read(IngestionFolder(run.folder("ExampleAnomalies", "VocExampleGen")).report)


def _examples(run: IngestionRun, split: str) -> list[IngestedExample]:
    return list(read_examples(ExamplesFolder(run.folder("Examples", "VocExampleGen")).files(split)))


def test_examples_match_the_annotations(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=14)
    add_image(data, "negative", seed=50, objects=())
    run = ingest(data, tmp_path / "ws", settings=IngestionSettings(images_per_shard=5))
    report = _report(run)
    examples = {example.filename: example for split in report.splits for example in _examples(run, split)}
    assert set(examples) == {p.name for p in data.glob("*.jpg")}
    assert {split: counts.images for split, counts in report.splits.items()} == {
        split: len(_examples(run, split)) for split in ("train", "eval")
    }
    first = examples["image_000.jpg"]
    assert first.encoded_jpeg == (data / "image_000.jpg").read_bytes()
    assert first.objects == (IngestedObject(make_object().box_xyxy_px, 1, "cat"),)
    assert examples["negative.jpg"].objects == ()
    assert read_label_map(run.folder("File", "VocExampleGen") / "label_map.pbtxt") == LabelMap(("cat", "dog"))


def test_data_in_an_object_store_gives_the_same_files_byte_for_byte(tmp_path: Path, s3_folder: str) -> None:
    data = make_data_set(tmp_path / "data", images=14)
    (data / "image_003.jpg").write_text("not an image")
    upload_tree(data, open_storage(f"{s3_folder}/data"))
    settings = IngestionSettings(images_per_shard=5, workers=2, max_rejected_fraction=0.2)
    local = ingest(data, tmp_path / "local", settings=settings)
    remote = ingest(f"{s3_folder}/data", tmp_path / "remote", settings=settings)
    for kind in ("Examples", "File", "ExampleAnomalies"):
        assert _files(remote.folder(kind, "VocExampleGen")) == _files(local.folder(kind, "VocExampleGen"))
    again = ingest(f"{s3_folder}/data", tmp_path / "remote", settings=settings)
    assert again.states("VocExampleGen") == ["COMPLETE", "CACHED"]
    open_storage(f"{s3_folder}/data").write("image_004.jpg", make_jpeg(seed=77))
    again = ingest(f"{s3_folder}/data", tmp_path / "remote", settings=settings)
    assert again.states("VocExampleGen") == ["COMPLETE", "CACHED", "COMPLETE"]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_artifact_has_the_facts_others_need(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data")
    many = [make_object(box=(x, 1, x + 5, 9)) for x in range(7)]
    add_image(data, "many", seed=60, objects=many)
    run = ingest(data, tmp_path / "ws", settings=IngestionSettings(images_per_shard=5))
    artifact = run.artifact("Examples", "VocExampleGen")
    assert json.loads(artifact.properties["split_names"].string_value) == ["train", "eval"]
    assert artifact.custom_properties["max_boxes_per_image"].int_value == 7
    fingerprint = artifact.custom_properties["input_fingerprint"].string_value
    assert len(fingerprint) == 64
    report = run.artifact("ExampleAnomalies", "VocExampleGen")
    assert report.custom_properties["input_fingerprint"].string_value == fingerprint
    names = sorted(p.name for p in (Path(artifact.uri) / "Split-train").iterdir())
    assert names == [f"data_tfrecord-{i:05d}-of-{len(names):05d}.gz" for i in range(len(names))]
    assert len(names) > 1


def test_images_are_counted_by_license(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data")
    write_origins(data, [make_origin("image_000.jpg", license="CC0 1.0")])
    run = ingest(data, tmp_path / "ws")
    licenses = IngestionReport.read(run.folder("ExampleAnomalies", "VocExampleGen") / "report.json").licenses
    assert licenses["CC0 1.0"] == 1 and licenses["unknown"] > 1
    # Another license of the same images must not come from the cache.
    write_origins(data, [make_origin("image_000.jpg", license="CC BY 4.0")])
    assert ingest(data, tmp_path / "ws").states("VocExampleGen") == ["COMPLETE", "COMPLETE"]


def test_the_cache_goes_by_content(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data")
    ingest(data, tmp_path / "ws")
    os.utime(data / "image_000.jpg")
    moved = data.rename(tmp_path / "elsewhere")
    assert ingest(moved, tmp_path / "ws").states("VocExampleGen") == ["COMPLETE", "CACHED"]
    (moved / "image_000.jpg").write_bytes(make_jpeg(seed=77))
    assert ingest(moved, tmp_path / "ws").states("VocExampleGen")[-1] == "COMPLETE"
    add_image(moved, "more", seed=78)
    assert ingest(moved, tmp_path / "ws").states("VocExampleGen")[-1] == "COMPLETE"


def test_a_changed_label_map_is_ingested_again(tmp_path: Path) -> None:
    data, path = make_data_set(tmp_path / "data"), tmp_path / "labels.pbtxt"
    write_label_map(path, LabelMap(("dog", "cat")))
    settings = IngestionSettings(label_map=str(path))
    run = ingest(data, tmp_path / "ws", settings=settings)
    assert _report(run).label_map_names == ("dog", "cat")
    write_label_map(path, LabelMap(("cat", "dog", "emu")))
    run = ingest(data, tmp_path / "ws", settings=settings)
    assert run.states("VocExampleGen") == ["COMPLETE", "COMPLETE"]
    assert _report(run).label_map_names == ("cat", "dog", "emu")


def test_too_many_rejected_images_stop_with_the_list_and_leave_nothing(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data")
    (data / "image_003.jpg").write_text("not an image")
    content = (data / "image_004.jpg").read_bytes()
    (data / "image_004.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="2 of 12 images are rejected") as caught:
        ingest(data, tmp_path / "ws")
    assert [problem.split(":")[0] for problem in caught.value.problems[1:]] == ["image_003.jpg", "image_004.jpg"]
    assert [finding.rule for finding in caught.value.findings] == ["image_unreadable", "image_truncated"]
    assert not [path for path in (tmp_path / "ws" / "artifacts").rglob("*") if path.is_file()]
    assert open_run(tmp_path / "ws").states("VocExampleGen") == ["FAILED"]


def test_few_rejected_are_reported_and_the_rest_is_ingested(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data")
    (data / "image_003.jpg").write_text("not an image")
    run = ingest(data, tmp_path / "ws", settings=IngestionSettings(max_rejected_fraction=0.1))
    report = _report(run)
    assert [(finding.file, finding.rule) for finding in report.findings] == [("image_003.jpg", "image_unreadable")]
    assert sum(counts.images for counts in report.splits.values()) == 11


def test_a_bad_label_map_is_reported_before_any_image_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.pbtxt"
    path.write_text("item { id: 0 name: 'cat' }")
    data = make_data_set(tmp_path / "data")
    with pytest.raises(ConfigError, match=r"labels\.pbtxt: an item has id 0"):
        ingest(data, tmp_path / "ws", settings=IngestionSettings(label_map=str(path)))


def test_pictures_of_findings_are_kept_and_change_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data_set(tmp_path / "data")
    add_image(data, "turned", seed=90, image_bytes=make_jpeg(90, orientation=6))
    add_image(data, "tiny", seed=91, objects=[make_object(box=(3, 3, 4, 20)), make_object(box=(20, 9, 5, 30))])
    (data / "image_003.jpg").write_text("not an image")
    settings = IngestionSettings(max_rejected_fraction=0.2)
    folder = IngestionFolder(
        ingest(data, tmp_path / "ws", settings=settings).folder("ExampleAnomalies", "VocExampleGen")
    )
    pictured = {each.file: each for each in FindingPictures.read(folder.pictures).files}
    assert set(pictured) == {"turned.jpg", "tiny.xml"}
    assert [box.object for box in pictured["tiny.xml"].boxes] == [0, 1]
    assert set(read_thumbnails(folder.thumbnails, {"turned.jpg", "tiny.jpg", "image_003.jpg"})) == {
        "turned.jpg",
        "tiny.jpg",
    }

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ThumbnailWriter, "add", fail)
    run = ingest(data, tmp_path / "full", settings=settings)
    without = IngestionFolder(run.folder("ExampleAnomalies", "VocExampleGen"))
    assert not without.thumbnails.exists() and not without.pictures.exists()
    for workspace in ("ws", "full"):
        assert not list((tmp_path / workspace / "artifacts").rglob(".work"))
    names = ("report.json", "records.jsonl")
    assert [(folder.root / name).read_bytes() for name in names] == [
        (without.root / name).read_bytes() for name in names
    ]
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / workspace).rglob("*.gz")} for workspace in ("ws", "full")
    ]
    assert contents[0] and contents[0] == contents[1]


def test_split_folders_with_files_that_cannot_be_used(tmp_path: Path) -> None:
    data = tmp_path / os.fsdecode(b"stra\xdfe")
    for number, split in enumerate(("train", "train", "valid", "test")):
        add_image(data / split, f"{number}", seed=number, objects=[make_object("red\n  cat")])
    os.mkfifo(data / "train" / "pipe.jpg")
    (data / "train" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(make_jpeg(seed=9))
    half = make_jpeg(seed=10, width_px=320, height_px=240)
    add_image(data / "train", "half", image_bytes=half[: len(half) // 2] + b"\xff\xd9")
    run = ingest(data, tmp_path / "ws", settings=IngestionSettings(max_rejected_fraction=0.6))
    report = _report(run)
    assert {split: counts.images for split, counts in report.splits.items()} == {"train": 2, "eval": 1, "test": 1}
    assert report.label_map_names == ("red cat",)
    assert [(finding.file, finding.rule) for finding in report.findings] == [
        ("", "split_by_folder"),
        ("test/3.xml", "label_control_character"),
        ("train/0.xml", "label_control_character"),
        ("train/1.xml", "label_control_character"),
        ("train/caf\\xe9.jpg", "file_unusable"),
        ("train/half.jpg", "image_truncated"),
        ("train/pipe.jpg", "file_unusable"),
        ("valid/2.xml", "label_control_character"),
    ]


def test_another_number_of_workers_finds_the_result_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(executor, "choose_workers", lambda workers: asked.append(workers) or 1)
    data = make_data_set(tmp_path / "data", images=6)
    for workers in (1, 3, None):
        run = ingest(data, tmp_path / "ws", settings=IngestionSettings(workers=workers))
    assert run.states("VocExampleGen") == ["COMPLETE", "CACHED", "CACHED"] and asked == [1]


def test_workers_change_nothing(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data", images=150)
    runs = [
        ingest(data, tmp_path / f"ws_{workers}", settings=IngestionSettings(images_per_shard=50, workers=workers))
        for workers in (1, 2, 3)
    ]
    contents = [
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for kind in ("Examples", "ExampleAnomalies")
            for folder in [run.folder(kind, "VocExampleGen")]
            for path in folder.rglob("*")
            if path.suffix in (".gz", ".jsonl", ".json")
        }
        for run in runs
    ]
    assert len([name for name in contents[0] if name.endswith(".gz")]) > 2
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.skipif(not BCCD_DIR.is_dir(), reason="../shared/data/bccd is missing")
def test_bccd_is_ingested_except_for_two_boxes(tmp_path: Path) -> None:
    run = ingest(BCCD_DIR.resolve(), tmp_path / "ws")
    report = _report(run)
    assert {split: counts.images for split, counts in report.splits.items()} == {"train": 205, "eval": 87, "test": 72}
    assert [(f.file, f.object, f.rule, f.action.value) for f in report.findings] == [
        ("Annotations/BloodImage_00338.xml", 12, "box_degenerate", "dropped_box"),
        ("Annotations/BloodImage_00343.xml", 3, "box_degenerate", "dropped_box"),
    ]
    records = read_records(run.folder("ExampleAnomalies", "VocExampleGen") / "records.jsonl")
    assert sum(record.passes_through for record in records) == 364


def test_data_that_change_between_fingerprint_and_reading_leave_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put back later, the original data would hit the cache, and train on what they never held."""
    data = make_data_set(tmp_path / "data", images=12)

    def take_and_change(*arguments: Any) -> str:
        fingerprint = fingerprint_data(*arguments)
        for suffix in (".jpg", ".xml"):
            (data / f"image_003{suffix}").unlink()
        return fingerprint

    with monkeypatch.context() as patch:
        patch.setattr(driver, "fingerprint_data", take_and_change)
        with pytest.raises(DataError, match="changed during ingestion; run again"):
            ingest(data, tmp_path / "ws")
    assert open_run(tmp_path / "ws").states("VocExampleGen") == ["FAILED"]
