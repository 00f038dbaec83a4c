"""How the newest span differs from those before it, measured by TensorFlow Data Validation's comparators.

Drift compares the newest span with the one before it, skew with everything before it. Classes are compared by the
largest difference of their shares (L-infinity), numbers by the Jensen-Shannon divergence of their histograms; both are
0 for equal distributions and at most 1. The bins of a histogram are those of all values together: TFDV's own differ
from side to side, so that one odd value among equal ones would look like another distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reefline.data.image_record import ImageRecord
from reefline.data.span_report import Comparison, DriftMeasurement, SpanReport, SpanSize
from reefline.data.spans import span_of
from reefline.findings import Action, Finding
from reefline.settings import ValidationSettings

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import statistics_pb2

RULE = "span_drift"
_CLASS = "class of a box"
_BINS = 10
# Fewer values differ by chance alone.
MIN_VALUES = 50


def compare_spans(records: Sequence[ImageRecord], settings: ValidationSettings) -> SpanReport | None:
    """Compare the newest span with those before it; None for data of one span or none."""
    by_span: dict[int, list[ImageRecord]] = {}
    for record in records:
        span = span_of(record.image)
        if span is not None:
            by_span.setdefault(span, []).append(record)
    if len(by_span) < 2:
        return None
    *earlier, newest = sorted(by_span)
    sizes = tuple(
        SpanSize(span, len(by_span[span]), sum(len(record.objects) for record in by_span[span]))
        for span in sorted(by_span)
    )
    before = {
        Comparison.DRIFT: by_span[earlier[-1]],
        # With one earlier span both would be the same.
        **({Comparison.SKEW: [record for span in earlier for record in by_span[span]]} if len(earlier) > 1 else {}),
    }
    return SpanReport(sizes, tuple(_measure(by_span[newest], before, settings)))


def find_drift(report: SpanReport) -> list[Finding]:
    """Return a finding for each distance above its limit."""
    newest = report.spans[-1].span
    against = {Comparison.DRIFT: f"span-{report.spans[-2].span}", Comparison.SKEW: "all spans before it"}
    return [
        Finding(
            "",
            None,
            RULE,
            f"span-{newest} differs from {against[each.comparison]} in the {each.feature}: distance "
            f"{each.distance:.2f}, limit {each.limit:g}: check that the new images are what the model should learn",
            Action.KEPT,
        )
        for each in report.measurements
        if each.exceeds
    ]


_Values = Callable[[Iterable[ImageRecord]], "list[float]"]
_NUMBERS: Mapping[str, _Values] = {
    "width of an image": lambda records: [record.width_px for record in records],
    "height of an image": lambda records: [record.height_px for record in records],
    "boxes in an image": lambda records: [len(record.objects) for record in records],
    "size of a box": lambda records: [
        (item.box_xyxy_px.width_px * item.box_xyxy_px.height_px / (record.width_px * record.height_px)) ** 0.5
        for record in records
        for item in record.objects
    ],
    "shape of a box": lambda records: [
        item.box_xyxy_px.width_px / item.box_xyxy_px.height_px for record in records for item in record.objects
    ],
}


def _measure(
    newest: list[ImageRecord], before: Mapping[Comparison, list[ImageRecord]], settings: ValidationSettings
) -> Iterable[DriftMeasurement]:
    features: dict[str, Callable[[Iterable[ImageRecord]], list[Any]]] = {
        _CLASS: lambda records: [item.label for record in records for item in record.objects],
        **_NUMBERS,
    }
    for feature, values_of in features.items():
        current = values_of(newest)
        earlier = {comparison: values_of(records) for comparison, records in before.items()}
        if min(map(len, (current, *earlier.values()))) < MIN_VALUES:
            continue
        if feature != _CLASS:
            current, *others = _put_into_bins([current, *earlier.values()])
            earlier = dict(zip(earlier, others, strict=True))
        distances = _compare(current, earlier, is_class=feature == _CLASS)
        limit = settings.max_class_drift if feature == _CLASS else settings.max_numeric_drift
        for comparison, distance in distances.items():
            yield DriftMeasurement(feature, comparison, round(distance, 4), limit)


def _put_into_bins(sides: list[list[float]]) -> list[list[str]]:
    """Return the name of each number's bin: ten of equal width in the middle 98 % of all, and one at each end."""
    import numpy as np

    low, high = np.percentile(np.concatenate(sides), [1, 99])
    edges = np.linspace(low, high, _BINS + 1) if high > low else np.array([low, np.nextafter(low, np.inf)])
    return [[f"bin {number}" for number in np.digitize(values, edges)] for values in sides]


def _compare(newest: list[str], before: Mapping[Comparison, list[str]], *, is_class: bool) -> dict[Comparison, float]:
    """Return TFDV's distances between the values of one feature."""
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="value", type=schema_pb2.BYTES)
    for comparator in (feature.drift_comparator, feature.skew_comparator):
        # Every distance is reported, so the threshold is 0; the config's limit is applied afterwards.
        (comparator.infinity_norm if is_class else comparator.jensen_shannon_divergence).threshold = 0.0
    statistics = {key: _summarize(values) for key, values in before.items()}
    anomalies = tfdv.validate_statistics(
        _summarize(newest),
        schema,
        previous_statistics=statistics.get(Comparison.DRIFT),
        serving_statistics=statistics.get(Comparison.SKEW),
    )
    found = {}
    for info in anomalies.drift_skew_info:
        for comparison, measurements in (
            (Comparison.DRIFT, info.drift_measurements),
            (Comparison.SKEW, info.skew_measurements),
        ):
            if measurements:
                found[comparison] = float(measurements[0].value)
    return {key: found.get(key, 0.0) for key in before}


def _summarize(values: list[Any]) -> statistics_pb2.DatasetFeatureStatisticsList:
    import pandas
    import tensorflow_data_validation as tfdv

    return tfdv.generate_statistics_from_dataframe(pandas.DataFrame({"value": values}))
