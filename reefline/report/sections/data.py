"""The data section: what was ingested, what was wrong with it, and how it is distributed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.data.image_record import TRAIN, ImageRecord
from reefline.data.reports import Anomaly, IngestionReport, ValidationReport
from reefline.data.rules.severity import resolve_severities
from reefline.errors import ConfigError
from reefline.findings import Finding, Severity
from reefline.report.ingested_images import read_ingested
from reefline.report.section import Section, render
from reefline.report.sections.anomaly_words import explain_anomalies
from reefline.report.sections.data_distributions import (
    AnchorFacts,
    SplitSamples,
    aspects,
    name_image_sizes,
    read_anchors,
    sample_splits,
    side_fractions,
    thin,
)
from reefline.report.sections.data_facts import (
    FindingGroup,
    count_classes,
    count_images,
    group_findings,
    list_licenses,
)
from reefline.report.sections.data_pictures import PAIR_RULES, Album, Pair, Shot, find_examples, find_pairs, open_album
from reefline.report.sources import RunSources

if TYPE_CHECKING:
    from markupsafe import Markup

_ANCHORS = "anchors"


@dataclass(frozen=True)
class _Entry:
    """The findings of a rule with their pictures."""

    facts: FindingGroup
    examples: tuple[Shot, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class _Chart:
    """A chart, or the sentence that says the same."""

    html: Markup | None = None
    sentence: str = ""


def make_data_section(
    sources: RunSources,
    *,
    findings: Sequence[Finding] | None = None,
    anomalies: Sequence[Anomaly] | None = None,
    statistics_page: str = "",
) -> Section | None:
    """Return the section on the data; None where nothing was ingested and nothing was found.

    `findings` and `anomalies` replace those of the run's artifacts: a run that the data stopped has no validation
    report, and only its error carries what was found last. `statistics_page` is the relative address of TFDV's
    statistics, "" where there is no such page.

    Raises:
        RecordError: a record of the run is damaged.
    """
    report = IngestionReport.read(sources.ingestion.report) if sources.ingestion else None
    validation = ValidationReport.read(sources.findings.validation) if sources.findings else None
    known = validation or report
    found = tuple(findings if findings is not None else known.findings if known else ())
    odd = tuple(anomalies if anomalies is not None else validation.anomalies if validation else ())
    if report is None and not found and not odd:
        return None
    records = tuple(read_ingested(sources.ingestion.records)) if sources.ingestion else ()
    album = open_album(sources.ingestion) if sources.ingestion else Album({}, {})
    groups = group_findings(found, _read_severities(sources.config))
    samples = sample_splits(records, report.splits if report else ())
    anchors = _find_anchors(sources, samples)
    html = render(
        "data.html",
        splits=count_images(report, records) if report else (),
        licenses=list_licenses(report) if report else None,
        classes=count_classes(report) if report else None,
        groups=[_illustrate(group, records, album) for group in groups],
        found=len(found),
        anomalies=explain_anomalies(odd),
        charts=_draw(samples, anchors),
        anchors=anchors,
        damaged=album.damaged,
        statistics_page=statistics_page,
        spans=validation.spans if validation else None,
    )
    return Section("data", "Data", html)


def _read_severities(config: str) -> dict[str, Severity]:
    """Return the severity of every rule in a run; the defaults where its config is unknown."""
    with contextlib.suppress(ValueError, TypeError, AttributeError, ConfigError):
        overrides = json.loads(config).get("validation", {}).get("severities", {})
        return resolve_severities({rule: Severity(severity) for rule, severity in overrides.items()})
    return resolve_severities({})


def _illustrate(group: FindingGroup, records: Sequence[ImageRecord], album: Album) -> _Entry:
    if group.rule in PAIR_RULES:
        return _Entry(group, (), find_pairs(group.findings, records, album))
    return _Entry(group, find_examples(group.findings, album), ())


def _find_anchors(sources: RunSources, samples: Sequence[SplitSamples]) -> AnchorFacts | None:
    if sources.model_run is None or not sources.model_run.pipeline_config.is_file():
        return None
    boxes = next((split.boxes for split in samples if split.name == TRAIN), ())
    return read_anchors(sources.model_run.pipeline_config, boxes)


def _draw(samples: Sequence[SplitSamples], anchors: AnchorFacts | None) -> tuple[_Chart, ...]:
    """Return the charts on images, then those on boxes; a split without images or boxes is not drawn."""
    if not samples:
        return ()
    from reefline.report.charts import heat_map, histogram

    charts = [_draw_sizes(samples)]
    shapes = {split.name: aspects(split.image_sizes_px) for split in samples}
    distinct = {round(aspect, 2) for values in shapes.values() for aspect in values}
    if len(distinct) > 1:
        charts.append(_Chart(histogram("Image aspect", "width / height", shapes)))
    counts = {split.name: [float(count) for count in split.objects_per_image] for split in samples}
    charts.append(_Chart(histogram("Objects per image", "objects", counts)))
    with_boxes = [split for split in samples if split.boxes]
    if not with_boxes:
        return tuple(charts)
    charts += _draw_boxes(with_boxes, anchors)
    charts += [_Chart(heat_map(f"Box centres in the image, {split.name}", split.centres)) for split in with_boxes]
    return tuple(charts)


def _draw_sizes(samples: Sequence[SplitSamples]) -> _Chart:
    from reefline.report.charts import histogram

    sizes = name_image_sizes(samples)
    if len(sizes) == 1:
        return _Chart(sentence=f"Every image has {sizes[0][0]}.")
    if sizes:
        listed = ", ".join(f"{size} ({count:,})" for size, count in sizes)
        return _Chart(sentence=f"The images have {len(sizes)} sizes: {listed}.")
    longest = {split.name: [float(max(size)) for size in split.image_sizes_px] for split in samples}
    return _Chart(histogram("Image size", "longer side in px", longest))


def _draw_boxes(samples: Sequence[SplitSamples], anchors: AnchorFacts | None) -> list[_Chart]:
    """Return the charts on the size and shape of boxes, as the model sees them: its input stretches the image."""
    from reefline.report.charts import histogram, scatter

    boxes = {split.name: split.boxes for split in samples}
    if anchors is not None:
        boxes[_ANCHORS] = anchors.sizes
    sides = {name: side_fractions(sizes) for name, sizes in boxes.items()}
    shapes = {name: aspects(sizes) for name, sizes in boxes.items()}
    points = {name: [(100 * w, 100 * h) for w, h in thin(sizes)] for name, sizes in boxes.items()}
    size_label = "side of a square of equal area, %"
    return [
        _Chart(histogram("Box area", size_label, sides, log=True)),
        _Chart(histogram("Box aspect", "width / height as the model sees it", shapes, log=True)),
        _Chart(scatter("Boxes and anchors" if anchors else "Boxes", "width, %", "height, %", points, log=True)),
    ]
