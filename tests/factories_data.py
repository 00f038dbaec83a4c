"""Artifacts of ingestion that never ran, with pictures and hostile names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from reefline.data.image_record import EVAL, TRAIN, ImageRecord, write_records
from reefline.data.reports import FindingPictures, PicturedBox, PicturedFile
from reefline.findings import Action, Finding
from reefline.images.thumbnails import ThumbnailWriter
from reefline.structures.artifacts import IngestionFolder
from tests.factories import HEIGHT_PX, WIDTH_PX, make_object_record, make_pixels, make_record, make_report


def make_finding(
    file: str = "a.xml",
    item: int | None = 0,
    rule: str = "box_degenerate",
    message: str = "xmax is not greater than xmin",
    action: Action = Action.DROPPED_BOX,
) -> Finding:
    return Finding(file, item, rule, message, action)


def write_ingestion(
    root: Path,
    records: Sequence[ImageRecord] | None = None,
    findings: Sequence[Finding] = (),
    *,
    names: Sequence[str] = (),
    pictures: bool = True,
) -> IngestionFolder:
    """Write what VocExampleGen reports; every file that findings name has a picture with the findings' boxes."""
    root.mkdir(parents=True, exist_ok=True)
    folder = IngestionFolder(root)
    records = tuple(records if records is not None else (make_record("a.jpg"), make_record("b.jpg", split=EVAL)))
    write_records(folder.records, records)
    names = names or sorted({item.label for record in records for item in record.objects}) or ("cat",)
    make_report(records, names=names, findings=tuple(findings)).write(folder.report)
    if pictures:
        _write_pictures(folder, records, findings)
    return folder


def _write_pictures(folder: IngestionFolder, records: Sequence[ImageRecord], findings: Sequence[Finding]) -> None:
    image_of = {record.xml: record.image for record in records}
    images = {record.image for record in records}
    files: dict[str, set[int]] = {name: set() for name in images}
    for finding in findings:
        files.setdefault(finding.file, set()).update(() if finding.object is None else (finding.object,))
    pictured = [
        PicturedFile(
            name,
            image_of.get(name, name),
            WIDTH_PX,
            HEIGHT_PX,
            tuple(PicturedBox(item, "cat", (5.0, 5.0, 30.0, 20.0)) for item in sorted(items)),
        )
        for name, items in files.items()
        if image_of.get(name, name) in images
    ]
    with ThumbnailWriter(folder.thumbnails) as thumbnails:
        for number, name in enumerate(sorted(images)):
            thumbnails.add(name, Image.fromarray(make_pixels(number)))
    FindingPictures(tuple(pictured)).write(folder.pictures)


def make_hostile_ingestion(root: Path, names: Sequence[str]) -> IngestionFolder:
    """Write an ingestion whose classes, files and messages have the given names, with a pair across splits."""
    records = []
    for number, name in enumerate(names):
        objects = tuple(make_object_record(label, index=index) for index, label in enumerate(names))
        # Some names are too long for a file system, but not for a record.
        records.append(make_record(f"{name}.jpg", split=(TRAIN, EVAL)[number % 2], objects=objects, sha256="0" * 64))
    first = records[0]
    findings = [
        *(make_finding(f"{name}.xml", message=f"no {name!r}: {name}") for name in names),
        make_finding(first.image, None, "duplicate_across_splits", f"identical to {names[-1]}", Action.KEPT),
        make_finding(names[0], None, names[0], names[0], Action.KEPT),
    ]
    return write_ingestion(root, records, findings, names=names)


def write_statistics(folder: Path, split: str, *, examples: int = 4, label: str = "cat") -> Path:
    """Write TFDV's statistics of a split with the feature image/width and a text feature called `label`."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    data = statistics.datasets.add(num_examples=examples)
    width = data.features.add(type=statistics_pb2.FeatureNameStatistics.INT)
    width.path.step.append("image/width")
    numbers = width.num_stats
    numbers.common_stats.num_non_missing = examples - 1
    numbers.common_stats.min_num_values = numbers.common_stats.max_num_values = 1
    numbers.mean, numbers.std_dev, numbers.min, numbers.median, numbers.max = 20.0, 5.0, 10.0, 19.0, 30.0
    numbers.num_zeros = 2
    quantiles = numbers.histograms.add(type=statistics_pb2.Histogram.QUANTILES)
    quantiles.buckets.add(low_value=0, high_value=99, sample_count=7)
    standard = numbers.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    standard.buckets.add(low_value=10, high_value=20, sample_count=3)
    standard.buckets.add(low_value=20, high_value=30, sample_count=1.5)
    text = data.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
    text.path.step.append(label)
    text.string_stats.common_stats.num_non_missing = examples
    text.string_stats.common_stats.min_num_values = 0
    text.string_stats.common_stats.max_num_values = 9
    text.string_stats.common_stats.avg_num_values = 2.5
    text.string_stats.unique, text.string_stats.avg_length = 2, 3.0
    for number in range(12):
        text.string_stats.rank_histogram.buckets.add(label=f"{label} {number}", sample_count=50 - number)
    path = folder / f"Split-{split}" / "FeatureStats.pb"
    path.parent.mkdir(parents=True)
    path.write_bytes(statistics.SerializeToString())
    return folder
