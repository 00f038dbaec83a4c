"""How long does it take to know where a model's operators will run: before training, and of a TFLite file?

    python benchmarks/edgetpu.py [--models NAME ...] [--rounds 3] [--json FILE]

`preflight` is what the component EdgeTpuPreflight does for a template the first time: the untrained model is exported,
quantized and analyzed. Each is a process of its own; `from start` counts all of it, imports included, `after imports`
what a run has to wait, as TensorFlow is imported there anyway. Target: 60 s on 2 cores for the SSD templates.
`analyze` is the command on the quantized template --analyzed, from start to exit, and the analysis alone.
Target: 1 s for a model of 10 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

from reefline.bundle.layout import INT8_FILE  # noqa: E402
from reefline.edgetpu.analysis import analyze_model  # noqa: E402

MODELS = (
    "ssd_mobilenet_v2_tiny",
    "ssd_mobilenet_v2_320",
    "ssd_mobilenet_v2_fpnlite_320",
    "ssd_mobilenet_v2_fpnlite_640",
    "ssd_mobilenet_v1_fpn_640",
    "ssd_resnet50_fpn_640",
    "ssd_resnet101_fpn_640",
)
CLASSES = 3
_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def main() -> None:
    options = _parse_options()
    if options.preflight:
        _preflight(options.preflight)
    elif options.quantize:
        _quantize(options.quantize[0], Path(options.quantize[1]))
    else:
        _measure(options)


def _measure(options: argparse.Namespace) -> None:
    record = {}
    with TemporaryDirectory() as folder:
        for model in options.models:
            rounds = [_run_preflight(model) for _ in range(options.rounds)]
            from_start_s, after_imports_s, counts = (list(column) for column in zip(*rounds, strict=True))
            record[model] = [statistics.median(from_start_s), statistics.median(after_imports_s)]
            print(f"preflight {model}: {record[model][0]:.1f} s from start, {record[model][1]:.1f} s after imports")
            print(f"  {counts[0]}")
        subprocess.run([sys.executable, __file__, "--quantize", options.analyzed, folder], check=True, **_QUIET)
        model_file = Path(folder) / INT8_FILE
        record["analyze"] = [_time(lambda: _run_analyze(model_file)), _time(lambda: analyze_model(model_file))]
        size = model_file.stat().st_size / 1e6
        print(f"analyze, {size:.1f} MB: {record['analyze'][0]:.2f} s as a command, {record['analyze'][1]:.3f} s alone")
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _run_preflight(model: str) -> tuple[float, float, str]:
    """Return the seconds from start and after imports, and what was found."""
    started_s = time.monotonic()
    command = [sys.executable, __file__, "--preflight", model]
    output = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    from_start_s = time.monotonic() - started_s
    after_imports_s, counts = output.splitlines()[-1].split(maxsplit=1)
    return from_start_s, float(after_imports_s), counts


def _preflight(model: str) -> None:
    """Examine a template in this process, and print the seconds after imports and what was found."""
    config = _build_config(model)
    from reefline.export.preflight import examine_untrained
    from reefline.export.preflight_verdict import describe_placement
    from reefline.settings import ExporterSettings

    started_s = time.monotonic()
    found = examine_untrained(config, ExporterSettings())
    print(time.monotonic() - started_s, describe_placement(found.edgetpu))


def _quantize(model: str, directory: Path) -> None:
    config = _build_config(model)
    from reefline.export.preflight import quantize_untrained
    from reefline.settings import ExporterSettings

    quantize_untrained(config, ExporterSettings(), directory)


def _build_config(model: str) -> Any:
    from reefline.od_api.trial import load_libraries

    load_libraries()
    from reefline.od_api import model_config

    return model_config.build_model_config(model_config.load_template(model), None, CLASSES)


def _run_analyze(model_file: Path) -> None:
    command = [sys.executable, "-m", "reefline", "analyze", str(model_file)]
    subprocess.run(command, check=True, cwd=REPO_DIR, **_QUIET)


def _time(call: Callable[[], object]) -> float:
    """Return the median seconds of five calls."""
    seconds = []
    for _ in range(5):
        started_s = time.monotonic()
        call()
        seconds.append(time.monotonic() - started_s)
    return statistics.median(seconds)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the preflight of templates, and the analysis of a file.")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="templates to time the preflight of")
    parser.add_argument("--analyzed", default="ssd_mobilenet_v1_fpn_640", help="the template whose file is analyzed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the medians there")
    # What runs in processes of their own.
    parser.add_argument("--preflight", help=argparse.SUPPRESS)
    parser.add_argument("--quantize", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: 1 or more expected")
    return options


if __name__ == "__main__":
    main()
