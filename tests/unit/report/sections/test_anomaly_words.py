"""Anomalies in everyday words; the descriptions are those that TFDV wrote for such data."""

from __future__ import annotations

import pytest

from reefline.data.reports import Anomaly
from reefline.report.sections.anomaly_words import explain_anomalies


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        pytest.param(
            "Unexpectedly low values: -0.25<0(upto six significant digits)",
            "Values down to -0.25; 0 or more was expected.",
            id="low",
        ),
        pytest.param(
            "Unexpectedly high value: 1.75>1(upto six significant digits)",
            "Values up to 1.75; 1 or less was expected.",
            id="high",
        ),
        pytest.param("Unexpectedly small value: 0.", "Values down to 0, less than expected.", id="small"),
        pytest.param("Unexpectedly large value: 5.", "Values up to 5, more than expected.", id="large"),
        pytest.param("Float feature has NaN values.", "Some values are not numbers.", id="nan"),
        pytest.param(
            "Unexpectedly high value: inf>1(upto six significant digits) Float feature has Inf values.",
            "Values up to inf; 1 or less was expected; some values are infinite.",
            id="two",
        ),
        pytest.param(
            "Examples contain values missing from the schema: <b>, p.n.g (~9%). ",
            "Unexpected values: <b>, p.n.g (~9%).",
            id="values",
        ),
        pytest.param(
            "The feature has a shape, but it's not always present (if the feature is nested, then it should always be "
            "present at each nested level) or its value lengths vary. The feature was present in fewer examples than "
            "expected: minimum fraction = 1.000000, actual = 0.909091",
            "Some images have no value or several; exactly one was expected; present in too few images: a fraction of "
            "0.909091, and 1.000000 was expected.",
            id="missing",
        ),
        pytest.param("Column is completely missing", "Missing from every image.", id="gone"),
        pytest.param(
            "New column (column in data but not in schema)",
            "Present, but configs/schema.pbtxt does not list it.",
            id="new",
        ),
        pytest.param(
            'Expected data of type: INT but got STRING String values that were not ints were found, such as "tall".',
            'Values of type STRING; INT was expected; String values that were not ints were found, such as "tall".',
            id="type-and-unknown",
        ),
        pytest.param("the split holds no examples", "The split holds no examples.", id="ours"),
        pytest.param("{0} {x}", "{0} {x}.", id="braces"),
    ],
)
def test_descriptions_become_sentences(description: str, sentence: str) -> None:
    (found,) = explain_anomalies([Anomaly("eval", "image/width", description)])
    assert found.sentence == sentence


@pytest.mark.parametrize(
    ("feature", "subject"),
    [
        pytest.param("image/object/bbox/xmin", "left edge of the boxes", id="known"),
        pytest.param("extra", "extra", id="unknown"),
        pytest.param("", "the split", id="split"),
    ],
)
def test_features_have_names(feature: str, subject: str) -> None:
    (found,) = explain_anomalies([Anomaly("train", feature, "x")])
    assert (found.split, found.subject, found.feature) == ("train", subject, feature)
