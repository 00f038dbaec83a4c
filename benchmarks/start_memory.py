"""How much memory and time reading weights back from an int8 TFLite file takes beyond training.

    python benchmarks/start_memory.py [--model ssd_mobilenet_v1_300] [--start published]

Each side is a process that builds the model and trains five steps of 8 images; one of them reads the weights first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
STEPS = 5
IMAGES = 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ssd_mobilenet_v1_300")
    parser.add_argument("--start", default="published")
    parser.add_argument("--side", choices=("scratch", "start"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        train(arguments.model, arguments.start if arguments.side == "start" else "scratch")
        return
    sides = {}
    for side in ("scratch", "start"):
        command = [sys.executable, __file__, "--model", arguments.model, "--start", arguments.start, "--side", side]
        done = subprocess.run(command, check=True, cwd=REPO_DIR, stdout=subprocess.PIPE, text=True)
        sides[side] = json.loads(done.stdout.splitlines()[-1])
    scratch, start = sides["scratch"]["peak_bytes"], sides["start"]["peak_bytes"]
    print(f"training alone: {scratch / 1e6:.0f} MB; weights read first: {start / 1e6:.0f} MB")
    print(f"beyond training: {(start - scratch) / 1e6:.0f} MB (target 300); reading: {sides['start']['load_s']:.1f} s")


def train(model: str, source: str) -> None:
    """Train a few steps, and print the peak memory of the process and the seconds of reading weights as JSON."""
    from reefline.data.demo import generate_demo_data
    from reefline.od_api import model_config, trial
    from reefline.settings import IngestionSettings, TrainerSettings
    from reefline.system.memory import read_peak_resident_bytes
    from reefline.training.start_files import StartCache
    from reefline.training.start_loading import load_start
    from reefline.training.starting_point import choose_start
    from reefline.verification.sample import take_sample

    trial.load_libraries()
    with tempfile.TemporaryDirectory(prefix="reefline-start-memory-") as folder:
        generate_demo_data(Path(folder) / "data", images=IMAGES)
        sample = take_sample(Path(folder) / "data", IngestionSettings(), Path(folder), images=IMAGES)
        settings = TrainerSettings.model_validate({"model": model, "batch_size": 8, "start": source})
        files = model_config.TrainingFiles((sample.train_records,), (sample.eval_records,), sample.label_map)
        config = model_config.build_pipeline_config(model_config.load_template(model), settings, files)
        step = trial.TrainStep(config)
        started_s = time.monotonic()
        load_start(choose_start(settings, "", StartCache()), step, config)
        load_s = time.monotonic() - started_s
        for _ in range(STEPS):
            step.run()
        print(json.dumps({"peak_bytes": read_peak_resident_bytes(), "load_s": load_s}))


if __name__ == "__main__":
    main()
