"""What the recommended recipe rests on: whole runs of the pipeline that differ in one setting.

    python benchmarks/recipes.py --data DIR starts
    python benchmarks/recipes.py --data DIR --steps 1000 learning-rates

Each row is one run of local_runner.py in one workspace, so that all rows read the same ingested data. The int8 model's
metrics are those of the gate, on the eval split.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
# What a run gets where a row does not say otherwise; the gate is open: rows are compared, not judged.
CONFIG = """\
model_name: recipes
trainer:
  model: ssd_mobilenet_v1_300
  start: published
  batch_size: 8
  num_steps: {steps}
  steps_per_eval: {steps}
  learning_rate: 0.02
  warmup_steps: 50
  augmentations: [horizontal_flip, ssd_random_crop]
gate: {{}}
"""
EXPERIMENTS = {
    "starts": {
        f"{start}, seed {seed}": {"trainer.start": start, "trainer.seed": seed, "trainer.learning_rate": rate}
        for start, rate in (("published", 0.02), ("scratch", 0.08))
        for seed in (0, 1, 2)
    },
    "learning-rates": {f"{rate}": {"trainer.learning_rate": rate} for rate in (0.005, 0.01, 0.02, 0.04, 0.08)},
    "augmentations": {
        ", ".join(names) or "none": {"trainer.augmentations": f"[{', '.join(names)}]"}
        for names in (
            (),
            ("horizontal_flip",),
            ("horizontal_flip", "random_crop"),
            ("horizontal_flip", "ssd_random_crop"),
            ("horizontal_flip", "ssd_random_crop_pad"),
            ("horizontal_flip", "vertical_flip", "random_crop"),
            ("horizontal_flip", "random_crop", "brightness", "contrast", "saturation"),
        )
    },
    "input-sizes": {f"{size} px": {"trainer.input_size": size} for size in (224, 300, 384)},
    "batch-sizes": {f"{size} images": {"trainer.batch_size": size} for size in (4, 8, 16)},
}


@dataclass(frozen=True)
class Result:
    """What one run gave; metrics are fractions of the int8 model on the eval split."""

    name: str
    map: float
    map_50: float
    train_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data", type=Path, required=True, help="a VOC data set")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--train-images", type=int, help="use only so many training images, drawn with a fixed seed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reefline-recipes-") as folder:
        data = arguments.data.resolve()
        if arguments.train_images:
            data = cut_training_images(data, arguments.train_images, Path(folder) / "data")
        config = Path(folder) / "recipes.yaml"
        config.write_text(CONFIG.format(steps=arguments.steps), encoding="utf-8")
        results = list(run_all(arguments.experiment, config, data, Path(folder) / "workspace"))
    print_summary(results)


def cut_training_images(data: Path, count: int, target: Path) -> Path:
    """Return a copy of a VOCdevkit folder, linked, whose train list names `count` images of the original's."""
    lists = target / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name in ("JPEGImages", "Annotations"):
        (target / name).symlink_to(data / name)
    for source in (data / "ImageSets" / "Main").glob("*.txt"):
        names = source.read_text(encoding="utf-8").split()
        if source.stem == "train":
            names = sorted(random.Random(0).sample(names, count))
        if source.stem in ("train", "val", "test"):
            (lists / source.name).write_text("\n".join(names) + "\n", encoding="utf-8")
    return target


def run_all(experiment: str, config: Path, data: Path, workspace: Path) -> Iterator[Result]:
    for name, values in EXPERIMENTS[experiment].items():
        overrides = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        command = [sys.executable, REPO_DIR / "local_runner.py", "--config", config, "--data", data]
        subprocess.run(
            [*map(str, command), "--workspace", str(workspace), *overrides],
            check=True,
            cwd=REPO_DIR,
            stdout=subprocess.DEVNULL,
        )
        summary = json.loads((workspace / "reports" / "latest" / "summary.json").read_text(encoding="utf-8"))
        metrics = summary["metrics"]["int8"]
        result = Result(name, metrics["mAP"], metrics["mAP_50"], summary["training"]["seconds"])
        print(f"| {name} | {result.map:.3f} | {result.map_50:.3f} | {result.train_seconds:.0f} |", flush=True)
        yield result


def print_summary(results: Sequence[Result]) -> None:
    """Print the median of the rows that differ in their seed alone."""
    groups: dict[str, list[float]] = {}
    for result in results:
        if ", seed " in result.name:
            groups.setdefault(result.name.partition(", seed ")[0], []).append(result.map)
    for name, values in groups.items():
        print(f"{name}: median mAP {statistics.median(values):.3f} of {len(values)} seeds")


if __name__ == "__main__":
    main()
