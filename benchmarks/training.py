"""How long do training, evaluation and export take, against the OD API's own scripts, in one run?

    python benchmarks/training.py [--json FILE] [--steps 100] [--cycles 3] [--model NAME] [--input-size PX]
                                  [--batch-size 16] [--only NAME ...]

Both sides get one template, one pipeline.config and the same TFRecords of generated images. Theirs is driven as its
scripts drive it, AutoGraph and MirroredStrategy included; of it only the compat shims and the reader of gzip records
are ours. Each measurement is a process of its own. `three_cycles` counts whole processes, from start to exit; all
other figures begin when TensorFlow and the OD API are imported and end when the function returns, on both sides.
`seconds_per_step` takes the faster of their two forms: one step for each call of the traced function, or 100.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO_DIR), str(REPO_DIR / "benchmarks")]

from training_sides import MODEL_RUN, Sides, measure, prepare  # noqa: E402  the repository has to be on the path first

TARGETS = {
    "time_to_first_step": 0.15,
    "seconds_per_step": 1.0,
    "three_cycles": 0.35,
    "warm_evaluation": 0.4,
    "saved_model_export": 0.35,
    "tflite_graph_export": 0.35,
}


class Benchmark:
    """The figures, each with both sides; what a figure needs is run when it is asked for."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.seconds: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        steps, wanted = self.options.steps, set(self.options.only)
        self.child("prepare")
        # Its checkpoint is also what is evaluated and exported.
        ours = [self.child("reefline_train", MODEL_RUN, steps)]
        if wanted & {"time_to_first_step", "seconds_per_step"}:
            single = self.child("od_api_timed_train", "od_api_single", steps, 1)
            ours.append(self.child("reefline_train", "reefline_second", steps))
            self.note("time_to_first_step", statistics.median(one["first_step"] for one in ours), single["first_step"])
        if "seconds_per_step" in wanted:
            looped = self.child("od_api_timed_train", "od_api_looped", 3 * self.iteration(), self.iteration())
            ours.append(self.child("reefline_train", "reefline_third", steps))
            forms = {1: statistics.median(single["steps"]), self.iteration(): statistics.median(looped["steps"])}
            mine = statistics.median(seconds for one in ours for seconds in one["steps"])
            self.note("seconds_per_step", mine, min(forms.values()), od_api_by_steps_per_call=forms)
        if "three_cycles" in wanted:
            mine = measure(lambda: self.child("reefline_train", "reefline_cycles", self.options.cycles * steps))
            self.note("three_cycles", mine, measure(self.run_their_cycles))
        for name in ("warm_evaluation", "saved_model_export", "tflite_graph_export"):
            if name in wanted:
                self.note(name, *(self.child(f"{side}_{name}")["each"][-1] for side in ("reefline", "od_api")))

    def run_their_cycles(self) -> None:
        for cycle in range(1, self.options.cycles + 1):
            last_step = cycle * self.options.steps
            self.child("od_api_train", "od_api_cycles", last_step, self.iteration())
            self.child("od_api_evaluate", "od_api_cycles", last_step)

    def iteration(self) -> int:
        """Return how many steps a call takes in their scripts: 100, or less where 100 would overshoot."""
        return max(number for number in range(1, 101) if self.options.steps % number == 0)

    def note(self, name: str, reefline: float, od_api: float, **more: Any) -> None:
        self.seconds[name] = {"reefline": reefline, "od_api": od_api, **more}

    def child(self, *call: str | int) -> dict[str, Any]:
        """Run one method of Sides in a fresh process and return what it measured."""
        print(f"{time.strftime('%H:%M:%S')} {' '.join(map(str, call))}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, *sys.argv[1:], "--child", str(self.folder), *map(str, call)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, call))} failed:\n{done.stderr[-4000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def run_child(options: argparse.Namespace) -> None:
    from reefline.od_api import compat

    compat.apply()
    folder, name, *arguments = options.child
    if name == "prepare":
        prepare(Path(folder), options)
        result = {}
    else:
        result = getattr(Sides(Path(folder), options), name)(*(int(a) if a.isdigit() else a for a in arguments))
    print(json.dumps(result))


def print_table(seconds: dict[str, dict[str, Any]], ratios: dict[str, float]) -> None:
    print(f"{'':22}{'Reefline s':>12}{'OD API s':>12}{'ratio':>8}{'target':>8}")
    for name, ratio in ratios.items():
        ours, theirs, target = seconds[name]["reefline"], seconds[name]["od_api"], TARGETS[name]
        verdict = "" if ratio <= target else "  missed"
        print(f"{name:22}{ours:12.3f}{theirs:12.3f}{ratio:8.3f}{target:8.2f}{verdict}")


def main() -> None:
    options = _parse_options()
    if options.child is not None:
        run_child(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        benchmark = Benchmark(Path(folder), options)
        benchmark.run()
    ratios = {name: each["reefline"] / each["od_api"] for name, each in benchmark.seconds.items()}
    print_table(benchmark.seconds, ratios)
    if options.json is not None:
        options.json.write_text(json.dumps({"ratios": ratios, "seconds": benchmark.seconds}, indent=1) + "\n")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure training, evaluation and export against the OD API's own.")
    parser.add_argument("--json", type=Path, help="write ratios and seconds there")
    parser.add_argument("--steps", type=int, default=100, help="steps of each cycle")
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--model", default="ssd_mobilenet_v2_tiny")
    parser.add_argument("--input-size", type=int, default=192)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="NAME")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < 2:
        parser.error("--steps: the first step traces; expected 2 or more")
    return options


if __name__ == "__main__":
    main()
