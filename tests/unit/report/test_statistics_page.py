"""TFDV's statistics as a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reefline.errors import RecordError
from reefline.report.statistics_facts import Bar, read_statistics
from reefline.report.statistics_page import make_statistics_page
from tests.factories_data import write_statistics
from tests.factories_report import HOSTILE_NAMES


def _text(html: str) -> str:
    return " ".join(re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL).split())


def test_features_are_read_with_the_splits_in_order(tmp_path: Path) -> None:
    for split in ("test", "eval", "train"):
        write_statistics(tmp_path, split)
    label, width = read_statistics(tmp_path)
    assert (label.name, label.type, width.name, width.type) == ("cat", "STRING", "image/width", "INT")
    assert [row.split for row in width.splits] == ["train", "eval", "test"]
    row = width.splits[0]
    assert (row.examples, row.missing, row.fewest, row.most) == (4, 1, 1, 1)
    assert row.numbers is not None and row.texts is None
    assert row.numbers.bars == (Bar(1.0, "10 to 20: 3"), Bar(0.5, "20 to 30: 2"))
    texts = label.splits[0].texts
    assert texts is not None and texts.top[0] == ("cat 0", 50) and len(texts.top) == 10


def test_the_page_shows_the_splits_next_to_each_other(tmp_path: Path) -> None:
    write_statistics(write_statistics(tmp_path, "train", examples=4000), "eval")
    html = make_statistics_page(tmp_path)
    text = _text(html)
    assert "4,000 in train, 4 in eval." in text
    assert "train 1 1 10 19 20 30 5 2 eval 1 1 10 19 20 30 5 2" in text
    assert "0 to 9, mean 2.5 2 3.0" in text
    assert html.count('aria-label="image/width, ') == 2
    assert "Most frequent in eval Count cat 0 50" in text


def test_names_are_escaped(tmp_path: Path) -> None:
    for number, name in enumerate(HOSTILE_NAMES):
        html = make_statistics_page(write_statistics(tmp_path / str(number), "train", label=name))
        body = html[html.index("<main") : html.index("</main>")]
        assert (
            "<script" not in body and "<img" not in body and "onload=window" not in body.replace("&lt;svg onload", "")
        )
        assert "x" * 300 not in body


def test_an_empty_split_has_a_page(tmp_path: Path) -> None:
    path = write_statistics(tmp_path, "train") / "Split-eval" / "FeatureStats.pb"
    path.parent.mkdir()
    path.write_bytes(b"")
    assert "4 in train." in _text(make_statistics_page(tmp_path))


def test_missing_and_damaged_statistics_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no Split-\*/FeatureStats\.pb; run the pipeline again"):
        make_statistics_page(tmp_path)
    path = write_statistics(tmp_path, "train") / "Split-train" / "FeatureStats.pb"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RecordError, match=r"FeatureStats\.pb: damaged .*run the pipeline again"):
        make_statistics_page(tmp_path)
