"""What does a training step of each template cost, in seconds and in memory?

    python benchmarks/template_costs.py [--only NAME ...]

Each template trains a few steps on generated images at its own input size, in a separate process. Prints the constants
of reefline/recommendation/template_costs.py. CPU seconds are those of all threads, so other work on the machine changes
them little; the relative cost is their ratio per image to the reference template.
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

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))
REFERENCE = "ssd_mobilenet_v1_300"
STEPS = 4


def main() -> None:
    """Measure every template, or those named."""
    from reefline.od_api.model_config import list_templates

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child)))
        return
    names = [REFERENCE, *(name for name in options.only or list_templates() if name != REFERENCE)]
    reference = 0.0
    for name in names:
        run = subprocess.run([sys.executable, __file__, "--child", name], capture_output=True, text=True)
        if run.returncode:
            print(f"{name}: failed\n{run.stderr[-2000:]}")
            continue
        found = json.loads(run.stdout.splitlines()[-1])
        reference = reference or found["cpu_s_per_image"]
        print(f"{name}: relative {found['cpu_s_per_image'] / reference:.2f}  {json.dumps(found)}", flush=True)


def measure(name: str) -> dict[str, float]:
    """Return what a step of one template costs."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from reefline.data.demo import generate_demo_data
    from reefline.od_api import model_config, probe, trial
    from reefline.settings import IngestionSettings, TrainerSettings
    from reefline.verification.sample import take_sample

    trial.load_libraries()
    with tempfile.TemporaryDirectory() as folder:
        data, records = Path(folder, "data"), Path(folder, "records")
        generate_demo_data(data, images=32)
        sample = take_sample(data, IngestionSettings(), records)
        batch_size = 8 if "640" not in name and "efficientdet" not in name else 2
        settings = TrainerSettings(model=name, batch_size=batch_size, num_steps=100)
        files = model_config.TrainingFiles((sample.train_records,), (sample.eval_records,), sample.label_map, 10)
        config = model_config.build_pipeline_config(model_config.load_template(name), settings, files)
        facts = probe.probe_model(config, name)
        step = trial.Trial(config, 0).step
        for _ in range(2):
            step.run()
        cpu_s, wall_s = [], []
        for _ in range(STEPS):
            started = time.process_time(), time.monotonic()
            step.run()
            cpu_s.append(time.process_time() - started[0])
            wall_s.append(time.monotonic() - started[1])
    return {
        "cpu_s_per_image": round(statistics.median(cpu_s) / batch_size, 4),
        "wall_s_per_image": round(statistics.median(wall_s) / batch_size, 4),
        "activation_bytes_per_image": facts.activation_bytes_per_image,
        "weights_bytes": facts.weights_bytes,
        "batch_size": batch_size,
    }


if __name__ == "__main__":
    main()
