"""How fast is int8 detection on this CPU beside the float TFLite model and the SavedModel, in one run?

    python benchmarks/inference.py [--bundle DIR] [--model-dir DIR] [--model NAME] [--input-size PX]
                                   [--rounds 30] [--threads 2] [--json FILE]

Three forms of one model see the same image in turn, round by round. TFLite runs with XNNPACK (ai-edge-litert's default)
and the SavedModel with TensorFlow, each with `--threads` threads. `detect` is the time from decoded pixels to boxes,
resizing included; `model` is that of the TFLite interpreter alone, which is what `reefline detect` prints.

`--bundle` takes the int8 model of a pushed bundle, `--model-dir` what EdgeTpuExporter left (saved_model/ and bundle/).
What is not given is exported from `--model`, at the given one's input size, with random weights, which are as fast as
trained ones: name the template that the given model was trained from. A line for each form says where it comes from.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

from reefline.bundle.checking import verify_bundle  # noqa: E402
from reefline.bundle.export_record import EXPORT_FILE, ExportRecord  # noqa: E402
from reefline.bundle.layout import FLOAT_FILE, INT8_FILE  # noqa: E402
from reefline.inference.detector import Detector, TfliteDetector  # noqa: E402
from reefline.inference.saved_model_detector import SavedModelDetector  # noqa: E402
from reefline.settings import EdgeTpuTarget  # noqa: E402

IMAGE_SIZE_PX = (480, 640)
INT8, FLOAT, SAVED_MODEL = "int8 TFLite", "float TFLite", "SavedModel"


@dataclass
class Times:
    """Milliseconds of each round; `model_ms` stays empty where only the whole can be measured."""

    detect_ms: list[float] = field(default_factory=list)
    model_ms: list[float] = field(default_factory=list)


def main() -> None:
    options = _parse_options()
    with tempfile.TemporaryDirectory() as folder:
        detectors = _load_detectors(options, Path(folder))
        times = _measure(detectors, options.rounds)
    medians = {name: statistics.median(each.detect_ms) for name, each in times.items()}
    print(f"{options.threads} threads, {options.rounds} rounds, an image of 640 x 480 px")
    print(f"{'':14}{'detect ms':>12}{'model ms':>12}{'times int8':>12}")
    for name, each in times.items():
        alone = f"{statistics.median(each.model_ms):.2f}" if each.model_ms else "-"
        print(f"{name:14}{medians[name]:12.2f}{alone:>12}{medians[name] / medians[INT8]:12.2f}")
    if options.json is not None:
        ratios = {name: milliseconds / medians[INT8] for name, milliseconds in medians.items()}
        record = {"median_detect_ms": medians, "times_int8": ratios}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _load_detectors(options: argparse.Namespace, folder: Path) -> dict[str, Detector]:
    import tensorflow as tf

    from tests.factories_detect import export_untrained

    # Before TensorFlow is used for the first time; the exporters use it.
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    size_px = _read_input_size(options)

    def export(target: EdgeTpuTarget) -> Path:
        path = folder / target.value
        path.mkdir()
        return export_untrained(path, model=options.model, input_size=size_px, target=target)

    model_dir = options.model_dir or export(EdgeTpuTarget.REQUIRED)
    float_dir = export(EdgeTpuTarget.NEVER)
    int8_file = (options.bundle or model_dir / "bundle") / INT8_FILE
    if not int8_file.is_file():
        raise SystemExit(f"{int8_file}: missing; a model of 'edgetpu: never' has no int8 form to measure")
    made_here = f"{options.model}, {size_px} px, random weights"
    print(f"{INT8}: {int8_file if options.bundle or options.model_dir else made_here}")
    print(f"{FLOAT}: {made_here}")
    print(f"{SAVED_MODEL}: {options.model_dir or made_here}")
    return {
        INT8: TfliteDetector(int8_file, options.threads),
        FLOAT: TfliteDetector(float_dir / "bundle" / FLOAT_FILE, options.threads),
        SAVED_MODEL: SavedModelDetector(model_dir / "saved_model"),
    }


def _read_input_size(options: argparse.Namespace) -> int:
    """Return the input size of what is given, in pixels, so that what is exported beside it has the same."""
    sizes = []
    if options.bundle is not None:
        facts = verify_bundle(options.bundle).facts
        sizes.append((facts.height_px, facts.width_px))
    if options.model_dir is not None:
        record = ExportRecord.read(options.model_dir / "bundle" / EXPORT_FILE)
        sizes.append((record.height_px, record.width_px))
    found = {side_px for size in sizes for side_px in size} or {options.input_size}
    if len(found) != 1:
        raise SystemExit(f"input sizes {sizes} found, one and the same square expected")
    return found.pop()


def _measure(detectors: dict[str, Detector], rounds: int) -> dict[str, Times]:
    import numpy as np

    image = np.random.default_rng(0).integers(0, 256, (*IMAGE_SIZE_PX, 3), dtype=np.uint8)
    times = {name: Times() for name in detectors}
    # The first two rounds trace, pack weights and warm caches, and do not count.
    for number in range(-2, rounds):
        for name, detector in detectors.items():
            started = time.perf_counter()
            timed = detector.detect_timed(image) if isinstance(detector, TfliteDetector) else detector.detect(image)
            if number >= 0:
                times[name].detect_ms.append((time.perf_counter() - started) * 1000)
                if isinstance(detector, TfliteDetector):
                    times[name].model_ms.append(timed.latency_ms)
    return times


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure int8 detection beside float TFLite and the SavedModel.")
    parser.add_argument("--bundle", type=Path, help="a pushed bundle, for its int8 model")
    parser.add_argument("--model-dir", type=Path, help="what EdgeTpuExporter left: saved_model/ and bundle/")
    parser.add_argument("--model", default="ssd_mobilenet_v2_tiny", help="the template of what is not given")
    parser.add_argument("--input-size", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the medians and ratios there")
    options = parser.parse_args()
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads: 1 or more expected")
    return options


if __name__ == "__main__":
    main()
