"""How long does a package take to compile, and a task to start, on Kubeflow Pipelines as emulated in tests/kubeflow?

    python benchmarks/kubeflow.py [--rounds 3]

Targets: compile 15 s, a TFX task 15 s, a resolver 3 s, a package below 1 MB. A task's start is the time of its process
without the seconds in its executor. Every task is a new process, with nothing imported before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

IMAGES = 40
LAST_TASK = "AnnotationValidator"
SECONDS_FACT = "reefline_seconds"


def main() -> None:
    options = _parse_options()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        compiled = [compile_demo(Path(folder) / "pipeline.yaml") for _ in range(options.rounds)]
        size = (Path(folder) / "pipeline.yaml").stat().st_size
        starts: dict[str, list[float]] = {}
        for number in range(options.rounds):
            for task, seconds in measure_starts(Path(folder) / str(number)).items():
                starts.setdefault(task, []).append(seconds)
    print(f"{'':24}{'median s':>10}   seconds of each round")
    for name, each in {"compile": compiled, **starts}.items():
        print(f"{name:24}{statistics.median(each):10.1f}   {' '.join(f'{value:.1f}' for value in each)}")
    print(f"package: {size / 1000:.0f} kB")


def compile_demo(output: Path) -> float:
    """Compile the demo's package as a user does, and return the seconds."""
    image = f"registry.example/reefline@sha256:{'a' * 64}"
    places = ["--data", "demo:", "--serving", "s3://bucket/serving", "--output", str(output)]
    command = [sys.executable, "kubeflow_runner.py", "compile", "--config", "configs/demo.yaml", "--image", image]
    started = time.perf_counter()
    subprocess.run([*command, *places], cwd=REPO_DIR, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure_starts(root: Path) -> dict[str, float]:
    """Run the demo's first tasks on an emulated backend, and return each task's seconds outside of its executor."""
    from tests.kubeflow.demo_cluster import make_cluster
    from tests.kubeflow.emulation.processes import PlainProcesses
    from tests.kubeflow.emulation.variants import KFP_2_17

    cluster = make_cluster(root, KFP_2_17, PlainProcesses(), images=IMAGES)
    run = cluster.backend.run(cluster.compile(), until=LAST_TASK)
    if not run.succeeded:
        raise SystemExit(run.explain())
    starts = {}
    for name, task in run.tasks.items():
        inside = [artifact.metadata.get(SECONDS_FACT, 0.0) for artifact in task.outputs.artifacts.values()]
        starts[name] = task.seconds - max(inside, default=0.0)
    return starts


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure compiling a package and starting its tasks.")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
