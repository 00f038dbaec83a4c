from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from reefline.data.data_parts import DataPart
from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.local_engine import LocalEngine, choose_workers, start_workers
from reefline.data.matching import Candidate
from reefline.data.shards import Shard
from reefline.data.tasks import InspectTask, WriteTask, WrittenShard
from reefline.errors import DataError
from reefline.formats.tf_example import read_examples
from reefline.structures.label_map import LabelMap
from reefline.system.record import Record
from tests.factories import add_image

REPO_DIR = Path(__file__).resolve().parents[3]
LIMITS = ImageLimits(10**8)


def _candidates(folder: Path, count: int) -> list[Candidate]:
    folder.mkdir()
    for index in range(count):
        add_image(folder, f"image_{index}", seed=index)
    return [Candidate(f"image_{index}.jpg", f"image_{index}.xml", "") for index in range(count)]


def _task(
    folder: Path, candidates: list[Candidate], limits: ImageLimits = LIMITS, names: tuple[str, ...] | None = None
):
    return InspectTask(DataPart(str(folder)), tuple(candidates), limits, names)


@pytest.mark.parametrize("workers", [pytest.param(1, id="one"), pytest.param(3, id="three")])
def test_results_come_in_the_order_of_the_tasks(tmp_path: Path, workers: int) -> None:
    candidates = _candidates(tmp_path / "data", 12)
    tasks = [_task(tmp_path / "data", candidates[start : start + 2]) for start in range(0, 12, 2)]
    with LocalEngine(workers) as engine:
        found = [inspection for result in engine.run(tasks) for inspection in result.inspections]
    assert found == [inspect_candidate(tmp_path / "data", candidate, LIMITS, None) for candidate in candidates]


@pytest.mark.parametrize("workers", [pytest.param(1, id="one"), pytest.param(2, id="two")])
def test_other_work_is_done_once_before_the_results(tmp_path: Path, workers: int) -> None:
    candidates = _candidates(tmp_path / "data", 6)
    tasks = [_task(tmp_path / "data", [candidate]) for candidate in candidates]
    calls: list[str] = []
    with LocalEngine(workers) as engine:
        for _ in engine.run(tasks, lambda: calls.append("meanwhile")):
            calls.append("result")
    assert calls == ["meanwhile"] + ["result"] * 6


@pytest.mark.parametrize(
    ("setting", "cores", "available", "workers"),
    [
        pytest.param(None, 2, 10**11, 2, id="cores"),
        pytest.param(None, 64, 10**11, 8, id="limit"),
        pytest.param(None, 64, 1_600_000_000, 3, id="memory"),
        pytest.param(None, 64, 10**8, 1, id="hardly-any-memory"),
        pytest.param(None, 64, None, 8, id="unknown-memory"),
        pytest.param(12, 2, 10**8, 12, id="set"),
    ],
)
def test_workers_follow_the_setting_or_the_machine(
    setting: int | None, cores: int, available: int | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reefline.data.local_engine.read_available_bytes", lambda: available)
    monkeypatch.setattr("reefline.data.local_engine.count_cores", lambda: cores)
    assert choose_workers(setting) == workers


@dataclass(frozen=True)
class _KillTask(Record):
    """A task that kills any process but the one that made it."""

    RESULT: ClassVar[type[Record]] = WrittenShard

    maker: int

    def run(self) -> WrittenShard:
        if os.getpid() != self.maker:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)
        return WrittenShard("")


@dataclass(frozen=True)
class _MaskTask(Record):
    """A task that tells whether Ctrl-C is blocked in another process than its maker's."""

    RESULT: ClassVar[type[Record]] = WrittenShard

    maker: int

    def run(self) -> WrittenShard:
        if os.getpid() == self.maker:
            time.sleep(0.2)
            return WrittenShard("own")
        return WrittenShard("blocked" if signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()) else "open")


def test_ctrl_c_reaches_no_worker_while_it_starts() -> None:
    with LocalEngine(2) as engine:
        found = set(engine.run([_MaskTask(os.getpid())] * 40))
    assert found == {WrittenShard("own"), WrittenShard("blocked")}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_killed_worker_is_explained() -> None:
    with (
        LocalEngine(2) as engine,
        pytest.raises(
            DataError, match=r"killed \(out of memory\?\) or could not start; set data\.workers to 1, or see run\.log"
        ),
    ):
        list(engine.run([_KillTask(os.getpid())] * 20))


def test_a_given_label_map_and_limits_reach_the_worker(tmp_path: Path) -> None:
    candidates = _candidates(tmp_path / "data", 1)
    task = _task(tmp_path / "data", candidates, ImageLimits(10**8, 8), ("emu",))
    with start_workers(1) as pool:
        (inspection,) = pool.submit(task.run).result().inspections
    assert inspection.record is not None
    assert max(inspection.record.width_px, inspection.record.height_px) == 8
    assert [finding.rule for finding in inspection.findings] == ["label_unknown"]


@pytest.mark.parametrize("workers", [pytest.param(1, id="one"), pytest.param(2, id="two")])
def test_an_error_keeps_its_type_and_problems(tmp_path: Path, workers: int) -> None:
    candidates = _candidates(tmp_path / "data", 1)
    missing = _task(tmp_path / "data", candidates)
    record = missing.run().inspections[0].record
    assert record is not None
    (tmp_path / "data" / record.image).unlink()
    shards = [Shard("train", number, 4, (record,)) for number in range(4)]
    tasks = [WriteTask(missing.data, shard, LabelMap(("cat",)), str(tmp_path / "out")) for shard in shards]
    with (
        LocalEngine(workers) as engine,
        pytest.raises(DataError, match=r"image_0\.jpg: can no longer be read") as caught,
    ):
        list(engine.run(tasks))
    assert len(caught.value.problems) == 1


def test_a_worker_imports_nothing_heavy(tmp_path: Path) -> None:
    """Inspecting and writing are all that a worker does."""
    _candidates(tmp_path / "data", 1)
    script = f"""
import sys
from reefline.data.local_engine import *
from reefline.data.tasks import *
part = DataPart({str(tmp_path / "data")!r})
task = InspectTask(part, (Candidate("image_0.jpg", "image_0.xml", ""),), ImageLimits(10**8), None)
(inspection,) = task.run().inspections
shard = Shard("train", 0, 1, (inspection.record,))
WriteTask(part, shard, LabelMap(("cat",)), {str(tmp_path / "out")!r}).run()
print(sorted({{"tensorflow", "apache_beam", "pydantic"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=REPO_DIR, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    (example,) = read_examples([tmp_path / "out" / "Split-train" / "data_tfrecord-00000-of-00001.gz"])
    assert example.encoded_jpeg == (tmp_path / "data" / "image_0.jpg").read_bytes()


@pytest.mark.parametrize(
    "end", [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="terminated")]
)
def test_workers_end_with_their_parent(tmp_path: Path, end: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, time
            from reefline.data.local_engine import start_workers
            if __name__ == "__main__":
                pool = start_workers(1)
                print(pool.submit(os.getpid).result(), flush=True)
                time.sleep(60)
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO_DIR)}
    with subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert _is_running(worker)
        parent.send_signal(end)
        parent.wait()
        deadline = time.monotonic() + 60
        while _is_running(worker) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not _is_running(worker)


def _is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
