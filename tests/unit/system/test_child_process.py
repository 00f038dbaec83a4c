"""reefline/system/child_process.py with real processes, which run modules written by the test."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reefline.errors import ReeflineError
from reefline.system.child_process import run_module


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes a module with a given source and returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(source: str) -> str:
        (tmp_path / "work_apart.py").write_text(f"import os, sys\nfrom pathlib import Path\n{source}\n")
        return "work_apart"

    return write


def test_a_module_runs_in_another_process(tmp_path: Path, module) -> None:
    name = module("Path(sys.argv[1], 'done').write_text(f'{os.getpid()} {os.environ.get(\"CUDA_VISIBLE_DEVICES\")}')")

    run_module(name, tmp_path, "the work", on_cpu=True)

    pid, gpus = (tmp_path / "done").read_text().split()
    assert int(pid) != os.getpid()
    assert gpus == "-1"


def test_the_child_is_not_part_of_the_cluster(tmp_path: Path, module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    name = module(
        "Path(sys.argv[1], 'done').write_text(f'{\"TF_CONFIG\" in os.environ} {os.environ[\"CUDA_VISIBLE_DEVICES\"]}')"
    )

    run_module(name, tmp_path, "the work")

    assert (tmp_path / "done").read_text() == "False 0"


def test_a_worker_takes_the_parents_place_in_the_cluster_and_its_output_is_shown(
    tmp_path: Path, module, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    name = module("print('step 1'); Path(sys.argv[1], 'done').write_text(os.environ['TF_CONFIG'])")

    run_module(name, tmp_path, "the work", is_worker=True)

    assert (tmp_path / "done").read_text() == "{}"
    assert capfd.readouterr().out == "step 1\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("raise ValueError('no such thing')", "the work exited with code 1: .*no such thing", id="error"),
        pytest.param("os.abort()", "the work was killed by signal 6: ", id="abort"),
        pytest.param("os.kill(os.getpid(), 9)", r"the work was killed by signal 9 \(out of memory\?\)", id="kill"),
    ],
)
def test_the_error_says_how_the_child_ended(tmp_path: Path, module, source: str, message: str) -> None:
    with pytest.raises(ReeflineError, match=message):
        run_module(module(source), tmp_path, "the work")


def test_a_child_that_takes_too_long_is_killed(tmp_path: Path, module) -> None:
    started = time.monotonic()
    with pytest.raises(ReeflineError, match=r"the work timed out after 0\.5 s"):
        run_module(module("import time; time.sleep(60)"), tmp_path, "the work", timeout_s=0.5)
    assert time.monotonic() - started < 30
