"""How fast is ingestion, against the OD API's own create_pascal_tf_record loop on the same images in the same run?

    python benchmarks/ingestion.py [--images 5000] [--rounds 3] [--workers 1 2] [--source DIR]

The images are generated (240 px, 2 objects each), or copies of those of a VOC data set (--source), made to differ.
Reefline's figure is all that VocExampleGen's executor does: finding, decoding every image far enough to know that it is
whole, hashing, checking, planning and writing. The peer decodes and checks nothing. Rounds are interleaved.
Like local_runner.py, this script imports nothing heavy by itself: each worker process imports it too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

LABELS = {"disc": 1, "square": 2, "triangle": 3, "RBC": 1, "WBC": 2, "Platelets": 3}


def main() -> None:
    from reefline.data.demo import generate_demo_data
    from reefline.od_api import compat

    options = _parse_options()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    compat.apply()
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data", Path(folder) / "out"
        if options.source is None:
            generate_demo_data(data, images=options.images)
        else:
            multiply(options.source, data, options.images)
        contestants: dict[str, Callable[[], None]] = {"create_pascal_tf_record": lambda: convert_with_od_api(data, out)}
        for workers in options.workers:
            contestants[f"{workers} worker(s)"] = lambda workers=workers: ingest(data, out, workers)
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        # The first round imports what each needs, and does not count.
        for number in range(options.rounds + 1):
            for name, run in contestants.items():
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                started = time.perf_counter()
                run()
                if number:
                    seconds[name].append(time.perf_counter() - started)
    _print_table(seconds, options.images)


def multiply(source: Path, data: Path, images: int) -> None:
    """Copy the images of a VOC folder until there are `images`; a trailing number makes the content of each its own."""
    for name in ("JPEGImages", "Annotations"):
        (data / name).mkdir(parents=True)
    originals = sorted((source / "JPEGImages").glob("*.jpg"))
    for index in range(images):
        image = originals[index % len(originals)]
        xml = (source / "Annotations" / f"{image.stem}.xml").read_text(encoding="utf-8")
        copy = f"image_{index:06d}"
        (data / "JPEGImages" / f"{copy}.jpg").write_bytes(image.read_bytes() + str(index).encode())
        renamed = re.sub("<filename>.*?</filename>", f"<filename>{copy}.jpg</filename>", xml)
        (data / "Annotations" / f"{copy}.xml").write_text(renamed, encoding="utf-8")


def ingest(data: Path, out: Path, workers: int) -> None:
    """Run VocExampleGen's executor as the pipeline does."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types.standard_artifacts import Config, ExampleAnomalies, Examples

    from components.voc_example_gen.executor import Executor
    from reefline.settings import IngestionSettings

    outputs = {"examples": [Examples()], "label_map": [Config()], "report": [ExampleAnomalies()]}
    for name, (artifact,) in outputs.items():
        artifact.uri = str(out / name)
    context = BaseBeamExecutor.Context()
    settings = IngestionSettings(workers=workers).to_json()
    Executor(context).Do({}, outputs, {"data_dir": str(data), "settings": settings, "input_fingerprint": ""})


def convert_with_od_api(data: Path, out: Path) -> None:
    """Do what create_pascal_tf_record's main does, over the images of `data`."""
    import tensorflow as tf
    from lxml import etree
    from object_detection.dataset_tools import create_pascal_tf_record
    from object_detection.utils import dataset_util

    with tf.io.TFRecordWriter(str(out / "pascal.tfrecord")) as writer:
        for path in sorted((data / "Annotations").iterdir()):
            tree = etree.fromstring(path.read_bytes())
            record = dataset_util.recursive_parse_xml_to_dict(tree)["annotation"]
            # It joins <folder>, the images' subfolder and <filename>.
            record["folder"] = ""
            example = create_pascal_tf_record.dict_to_tf_example(record, str(data), LABELS)
            writer.write(example.SerializeToString())


def _print_table(seconds: dict[str, list[float]], images: int) -> None:
    peer = seconds["create_pascal_tf_record"]
    print(f"{'':24}{'images/s':>10}{'ratio':>8}   seconds of each round")
    for name, each in seconds.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(peer, each, strict=True))
        rounds = " ".join(f"{value:.1f}" for value in each)
        print(f"{name:24}{images / statistics.median(each):10.0f}{ratio:8.2f}   {rounds}")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure ingestion against create_pascal_tf_record.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


if __name__ == "__main__":
    main()
