from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.parallel_inspection import Chunk, inspect_chunk, read_inspections, start_workers
from tests.factories import add_image

REPO_DIR = Path(__file__).resolve().parents[3]
LIMITS = ImageLimits(10**8)


def _candidates(folder: Path, count: int) -> list[Candidate]:
    folder.mkdir()
    for index in range(count):
        add_image(folder, f"image_{index}", seed=index)
    return [Candidate(f"image_{index}.jpg", f"image_{index}.xml", "") for index in range(count)]


def test_inspections_come_back_in_the_order_of_the_candidates(tmp_path: Path) -> None:
    candidates = _candidates(tmp_path / "data", 5)
    for start in (3, 0):
        part = candidates[start : start + 3]
        inspect_chunk(Chunk(start, part, str(tmp_path / "data"), str(tmp_path), LIMITS, None))
    expected = [inspect_candidate(tmp_path / "data", candidate, LIMITS, None) for candidate in candidates]
    assert list(read_inspections(tmp_path)) == expected


def test_a_given_label_map_and_limits_reach_the_worker(tmp_path: Path) -> None:
    (candidate,) = _candidates(tmp_path / "data", 1)
    chunk = Chunk(0, [candidate], str(tmp_path / "data"), str(tmp_path), ImageLimits(10**8, 8), ("emu",))
    with start_workers(1) as pool:
        pool.submit(inspect_chunk, chunk).result()
    (inspection,) = read_inspections(tmp_path)
    assert inspection.record is not None
    assert max(inspection.record.width_px, inspection.record.height_px) == 8
    assert [finding.rule for finding in inspection.findings] == ["label_unknown"]


def test_a_worker_imports_nothing_heavy() -> None:
    heavy = "{'tensorflow', 'apache_beam', 'pydantic'}"
    code = f"import sys, reefline.data.parallel_inspection; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=REPO_DIR, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "end", [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="terminated")]
)
def test_workers_end_with_their_parent(tmp_path: Path, end: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, time
            from reefline.data.parallel_inspection import start_workers
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
        deadline = time.monotonic() + 10
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
