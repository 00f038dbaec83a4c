"""Anomalies that TensorFlow Data Validation found, in everyday words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reefline.data.reports import Anomaly

_FEATURES = {
    "image/encoded": "image data",
    "image/filename": "image file name",
    "image/format": "image format",
    "image/height": "image height",
    "image/key/sha256": "image checksum",
    "image/object/bbox/xmax": "right edge of the boxes",
    "image/object/bbox/xmin": "left edge of the boxes",
    "image/object/bbox/ymax": "bottom edge of the boxes",
    "image/object/bbox/ymin": "top edge of the boxes",
    "image/object/class/label": "class number",
    "image/object/class/text": "class name",
    "image/object/difficult": "mark “difficult”",
    "image/object/truncated": "mark “truncated”",
    "image/object/view": "pose",
    "image/source_id": "image id",
    "image/width": "image width",
}
# TensorFlow Data Validation's descriptions, and what each means; longer ones first.
_DESCRIPTIONS = (
    (
        r"The feature has a shape, but it's not always present \(if the feature is nested, then it should always be "
        r"present at each nested level\) or its value lengths vary\.",
        "some images have no value or several; exactly one was expected",
    ),
    (
        r"The feature was present in fewer examples than expected: minimum fraction = (\S+), actual = ([\d.]+)",
        "present in too few images: a fraction of {1}, and {0} was expected",
    ),
    (r"Examples contain values missing from the schema: (.+?)\.(?=\s*$)", "unexpected values: {0}"),
    (
        r"Unexpectedly low values?: (\S+?)<([^\s(]+)\(upto six significant digits\)",
        "values down to {0}; {1} or more was expected",
    ),
    (
        r"Unexpectedly high values?: (\S+?)>([^\s(]+)\(upto six significant digits\)",
        "values up to {0}; {1} or less was expected",
    ),
    (r"Unexpectedly small values?: (\S+)\.(?=\s|$)", "values down to {0}, less than expected"),
    (r"Unexpectedly large values?: (\S+)\.(?=\s|$)", "values up to {0}, more than expected"),
    (r"Float feature has NaN values\.", "some values are not numbers"),
    (r"Float feature has Inf values\.", "some values are infinite"),
    (r"Column is completely missing", "missing from every image"),
    (r"New column \(column in data but not in schema\)", "present, but configs/schema.pbtxt does not list it"),
    (r"Expected data of type: (\w+) but got (\w+)", "values of type {1}; {0} was expected"),
)


@dataclass(frozen=True)
class AnomalyFacts:
    """An anomaly in everyday words; `feature` keeps TensorFlow's name for a search."""

    split: str
    subject: str
    feature: str
    sentence: str


def explain_anomalies(anomalies: Iterable[Anomaly]) -> tuple[AnomalyFacts, ...]:
    """Return the anomalies in everyday words; what is not known keeps TensorFlow Data Validation's description."""
    return tuple(
        AnomalyFacts(
            anomaly.split,
            _FEATURES.get(anomaly.feature, anomaly.feature or "the split"),
            anomaly.feature,
            _explain(anomaly.description),
        )
        for anomaly in anomalies
    )


def _explain(description: str) -> str:
    rest, parts = description.strip(), []
    for pattern, words in _DESCRIPTIONS:
        match = re.search(pattern, rest)
        if match is not None:
            parts.append((match.start(), words.format(*match.groups())))
            # Blanks keep the places of what follows.
            rest = rest[: match.start()] + " " * len(match.group()) + rest[match.end() :]
    if rest.strip():
        parts.append((len(rest) - len(rest.lstrip()), " ".join(rest.split()).rstrip(".")))
    text = "; ".join(words for _, words in sorted(parts))
    return f"{text[:1].upper()}{text[1:]}."
