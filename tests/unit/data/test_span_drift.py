import pytest

from reefline.data.image_record import ImageRecord
from reefline.data.span_drift import MIN_VALUES, compare_spans, find_drift
from reefline.data.span_report import Comparison, SpanReport, SpanSize
from reefline.settings import ValidationSettings
from tests.factories import make_object_record, make_record


def _span(number: int, label: str, *, side_px: int = 20, images: int = 60) -> list[ImageRecord]:
    return [
        make_record(
            f"span-{number}/{index}.jpg",
            objects=(make_object_record(label, (0, 0, side_px + index % 3, side_px)),),
        )
        for index in range(images)
    ]


def _distances(report: SpanReport | None, feature: str) -> dict[Comparison, float]:
    assert report is not None
    return {each.comparison: each.distance for each in report.measurements if each.feature == feature}


@pytest.mark.parametrize("records", [[], _span(1, "cat")], ids=["none", "one"])
def test_one_span_is_not_compared(records: list[ImageRecord]) -> None:
    assert compare_spans(records, ValidationSettings()) is None


def test_equal_spans_have_no_distance() -> None:
    report = compare_spans(_span(1, "cat") + _span(2, "cat"), ValidationSettings())
    assert report is not None
    assert report.spans == (SpanSize(1, 60, 60), SpanSize(2, 60, 60))
    assert {each.distance for each in report.measurements} == {0.0}
    assert find_drift(report) == []


def test_the_share_of_a_class_is_its_distance() -> None:
    newest = _span(2, "cat", images=30) + _span(2, "dog", images=30)
    report = compare_spans(_span(1, "cat") + newest, ValidationSettings())
    assert _distances(report, "class of a box") == {Comparison.DRIFT: pytest.approx(0.5)}


def test_the_newest_span_is_compared_with_the_last_one_and_with_all() -> None:
    report = compare_spans(_span(1, "cat") + _span(3, "dog") + _span(2, "dog"), ValidationSettings())
    assert _distances(report, "class of a box") == {
        Comparison.DRIFT: pytest.approx(0.0),
        Comparison.SKEW: pytest.approx(0.5),
    }


def test_other_sizes_of_boxes_are_a_finding() -> None:
    report = compare_spans(_span(1, "cat") + _span(2, "cat", side_px=40), ValidationSettings(max_numeric_drift=0.3))
    assert report is not None
    messages = [finding.message for finding in find_drift(report)]
    assert any("span-2 differs from span-1 in the size of a box: distance" in message for message in messages)
    assert all("limit 0.3: check that" in message for message in messages)


def test_a_span_without_boxes_compares_its_images_alone() -> None:
    empty = [record._replace(objects=()) for record in _span(2, "cat")]
    report = compare_spans(_span(1, "cat") + empty, ValidationSettings())
    assert _distances(report, "class of a box") == {}
    assert _distances(report, "boxes in an image") == {Comparison.DRIFT: pytest.approx(1.0)}


def test_one_odd_image_is_no_other_distribution() -> None:
    newest = _span(2, "cat")
    newest[0] = newest[0]._replace(width_px=640)
    report = compare_spans(_span(1, "cat") + newest, ValidationSettings())
    assert _distances(report, "width of an image")[Comparison.DRIFT] < 0.05


def test_few_images_are_not_compared() -> None:
    report = compare_spans(_span(1, "cat") + _span(2, "dog", images=MIN_VALUES - 1), ValidationSettings())
    assert report is not None and report.measurements == ()
