"""TFDV's statistics of the ingested examples, read from StatisticsGen's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reefline.data.split_files import find_split_files
from reefline.errors import RecordError

_FILE = "FeatureStats.pb"
_TOP_VALUES = 10


@dataclass(frozen=True)
class Bar:
    """A bucket of a histogram: its count as a share of the fullest bucket's, 0..1, and what a reader hovers over."""

    share: float
    label: str


@dataclass(frozen=True)
class NumberStatistics:
    """The values of a numeric feature; `bars` are the buckets of equal width."""

    mean: float
    deviation: float
    zeros: int
    lowest: float
    median: float
    highest: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class TextStatistics:
    """The values of a text feature; `top` are the most frequent ones with their counts."""

    distinct: int
    mean_length: float
    top: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class SplitStatistics:
    """A feature in one split: in how many of its `examples` it is present, and how many values those have."""

    split: str
    examples: int
    present: int
    fewest: int
    mean: float
    most: int
    numbers: NumberStatistics | None
    texts: TextStatistics | None

    @property
    def missing(self) -> int:
        """In how many examples the feature is missing."""
        return self.examples - self.present


@dataclass(frozen=True)
class FeatureStatistics:
    """A feature in every split that has it; `type` is TFDV's name."""

    name: str
    type: str
    splits: tuple[SplitStatistics, ...]


def read_statistics(folder: Path) -> tuple[FeatureStatistics, ...]:
    """Return the statistics of each feature, by name.

    Raises:
        RecordError: the folder holds no statistics, or they are damaged.
    """
    features: dict[str, tuple[str, list[SplitStatistics]]] = {}
    for split, path in find_split_files(folder, _FILE).items():
        for name, kind, statistics in _read_split(split, path):
            features.setdefault(name, (kind, []))[1].append(statistics)
    return tuple(FeatureStatistics(name, kind, tuple(rows)) for name, (kind, rows) in sorted(features.items()))


def _read_split(split: str, path: Path) -> list[tuple[str, str, SplitStatistics]]:
    from google.protobuf.message import DecodeError
    from tensorflow_metadata.proto.v0 import statistics_pb2

    try:
        datasets = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets
    except OSError as error:
        raise RecordError(f"{path}: cannot read it ({error.strerror})") from error
    except DecodeError as error:
        raise RecordError(f"{path}: damaged ({error}); run the pipeline again") from error
    # Further data sets are slices of the first.
    return (
        [_read_feature(split, datasets[0].num_examples, feature) for feature in datasets[0].features]
        if datasets
        else []
    )


def _read_feature(split: str, examples: int, feature: Any) -> tuple[str, str, SplitStatistics]:
    kind = feature.WhichOneof("stats")
    stats = getattr(feature, kind) if kind else None
    common = getattr(stats, "common_stats", None)
    name = feature.name or "/".join(feature.path.step)
    statistics = SplitStatistics(
        split=split,
        examples=examples,
        present=common.num_non_missing if common else 0,
        fewest=common.min_num_values if common else 0,
        mean=common.avg_num_values if common else 0.0,
        most=common.max_num_values if common else 0,
        numbers=_read_numbers(stats) if kind == "num_stats" else None,
        texts=_read_texts(stats) if kind == "string_stats" else None,
    )
    return name, feature.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[feature.type].name, statistics


def _read_numbers(stats: Any) -> NumberStatistics:
    standard = next((h for h in stats.histograms if h.type == h.STANDARD), None)
    return NumberStatistics(
        mean=stats.mean,
        deviation=stats.std_dev,
        zeros=stats.num_zeros,
        lowest=stats.min,
        median=stats.median,
        highest=stats.max,
        bars=_read_bars(standard.buckets) if standard is not None else (),
    )


def _read_bars(buckets: Sequence[Any]) -> tuple[Bar, ...]:
    fullest = max((bucket.sample_count for bucket in buckets), default=0.0) or 1.0
    return tuple(
        Bar(
            bucket.sample_count / fullest,
            f"{bucket.low_value:.4g} to {bucket.high_value:.4g}: {bucket.sample_count:,.0f}",
        )
        for bucket in buckets
    )


def _read_texts(stats: Any) -> TextStatistics:
    return TextStatistics(
        distinct=stats.unique,
        mean_length=stats.avg_length,
        top=tuple((bucket.label, int(bucket.sample_count)) for bucket in stats.rank_histogram.buckets[:_TOP_VALUES]),
    )
