"""pipeline/local/stop.py: errors as exit codes and messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.local.stop import Stop
from reefline.edgetpu.record import PreflightError
from reefline.errors import DataError
from reefline.findings import Action, Finding
from tests.factories_evaluation import make_edgetpu_record

SOURCE = Path("/ws/source")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param("/ws/source: has no images", "pictures: has no images", id="folder"),
        pytest.param("/ws/source/a.xml: no <size>", "pictures/a.xml: no <size>", id="file"),
        pytest.param("see /ws/source.", "see pictures.", id="end-of-a-sentence"),
        pytest.param("/ws/source-2/a.xml: no <size>", "/ws/source-2/a.xml: no <size>", id="another-folder"),
        pytest.param("/ws/sources: no images", "/ws/sources: no images", id="longer-name"),
    ],
)
def test_messages_name_paths_as_the_user_knows_them(message: str, shown: str) -> None:
    stop = Stop.from_error(DataError(message, "another"), "VocExampleGen", Path("/ws/reports/1"), {SOURCE: "pictures"})
    assert stop.problems == (shown, "another")
    assert (stop.end.failure.component, stop.end.failure.message) == ("VocExampleGen", f"{shown}\nanother")


def test_a_backslash_in_the_users_path_stays() -> None:
    stop = Stop.from_error(DataError("/ws/source: bad"), "data", Path("/ws/reports/1"), {SOURCE: r"a\1\g<0>"})
    assert stop.problems == (r"a\1\g<0>: bad",)


def test_what_an_error_carries_is_kept() -> None:
    finding = Finding("a.xml", 0, "box_degenerate", "xmin 5, xmax 5", Action.DROPPED_BOX)
    assert Stop.from_error(DataError("bad", findings=[finding]), "data", Path("/ws/reports/1")).findings == (finding,)
    edgetpu = make_edgetpu_record()
    assert Stop.from_error(PreflightError("no", edgetpu=edgetpu), "x", Path("/ws/reports/1")).edgetpu == edgetpu
