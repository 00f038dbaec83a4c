from __future__ import annotations

import logging

import pytest

from reefline.report.safely import SectionMaker, make_all
from reefline.report.section import Section


def _fail() -> Section:
    raise KeyError("<script>")


def test_a_section_that_fails_shows_its_error_and_the_others_stay(caplog: pytest.LogCaptureFixture) -> None:
    first, last = Section("a", "A", "<p>a</p>"), Section("c", "C", "<p>c</p>")
    makers = (
        SectionMaker("a", "A", lambda: first),
        SectionMaker("b", "B", _fail),
        SectionMaker("none", "None", lambda: None),
        SectionMaker("c", "C", lambda: last),
    )
    with caplog.at_level(logging.ERROR):
        made = make_all(makers)
    assert [section.id for section in made.sections] == ["a", "b", "c"]
    assert (made.sections[0], made.sections[2]) == (first, last)
    assert "KeyError: &#39;&lt;script&gt;&#39;" in made.sections[1].html
    assert made.problems == ("review page: section B is missing: KeyError: '<script>'",)
    assert "Traceback" in caplog.text and "the section b of the review page failed" in caplog.text


def test_an_interruption_is_not_a_section_that_failed() -> None:
    def interrupt() -> Section:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_all([SectionMaker("a", "A", interrupt)])
