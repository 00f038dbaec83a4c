"""TFDV's statistics as a page of their own.

TFDV shows them with Facets, which it loads from GitHub; no package registry has Facets' HTML, and a page of Reefline
loads nothing. This page shows the same numbers.
"""

from __future__ import annotations

from pathlib import Path

from reefline.report.page import assemble_plain
from reefline.report.section import render
from reefline.report.statistics_facts import read_statistics


def make_statistics_page(statistics_folder: Path) -> str:
    """Return the page for StatisticsGen's folder as one HTML file: every feature, the splits next to each other.

    Raises:
        RecordError: the folder holds no statistics, or they are damaged.
    """
    features = read_statistics(statistics_folder)
    splits = {row.split: row.examples for feature in features for row in feature.splits}
    return assemble_plain("Statistics of the examples", render("statistics.html", features=features, splits=splits))
