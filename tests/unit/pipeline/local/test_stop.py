"""pipeline/local/stop.py: errors as exit codes and messages."""

from __future__ import annotations

import gzip
from collections.abc import Callable
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


def _write_shard(workspace: Path, artifact: int, content: bytes) -> Path:
    path = workspace / "artifacts" / "VocExampleGen" / "examples" / str(artifact) / "Split-train" / "data.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 2], id="cut"),
        pytest.param(lambda content: content[:-6] + bytes([content[-6] ^ 1]) + content[-5:], id="checksum"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_damaged_records_are_named_with_what_to_delete(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    good = gzip.compress(bytes(range(256)) * 100)
    _write_shard(tmp_path, 1, good)
    damaged = _write_shard(tmp_path, 2, damage(good))
    run_folder = tmp_path / "reports" / "1"
    run_folder.mkdir(parents=True)

    stop = Stop.from_error(RuntimeError("DataLossError: inflate() failed with error -3"), "Trainer", run_folder)

    folder = damaged.parents[1]
    assert stop.exit_code == 2
    assert stop.problems == (
        f"{damaged}: damaged; delete the folder {folder} and run the same command to make it again",
    )
    assert Stop.from_error(RuntimeError("other"), "Trainer", run_folder).exit_code == 1
