"""How fast is ingestion, against the OD API's own create_pascal_tf_record loop on the same images in the same run?

    python benchmarks/ingestion.py [--images 5000] [--rounds 3] [--workers 1 2] [--source DIR]

The images are generated (240 px, 2 objects each), or copies of those of a VOC data set (--source), made to differ.
Reefline's figure is all that VocExampleGen's executor does: finding, decoding every image far enough to know that it is
complete, hashing, checking, planning and writing. The peer decodes and checks nothing. Rounds are interleaved.
The driver hashes every file before that, once per file and workspace; it has its own line.
CPU is that of all processes: on a machine with other work, its ratio says more than the wall clock's. With 1 and 2
workers, the serial share is what Amdahl's law leaves to one process: twice the time of two minus the time of one.
Like local_runner.py, this script imports nothing heavy by itself: each worker process imports it too.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import resource
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

LABELS = {"disc": 1, "square": 2, "triangle": 3, "RBC": 1, "WBC": 2, "Platelets": 3}


@dataclass
class Measured:
    """Seconds of each round: by the clock, and of the CPU in all processes."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def add(self, run: Callable[[], object]) -> None:
        """Measure one more round."""
        started_s, used_s = time.perf_counter(), _read_cpu_s()
        run()
        self.wall_s.append(time.perf_counter() - started_s)
        self.cpu_s.append(_read_cpu_s() - used_s)


def main() -> None:
    silence_libraries()
    from reefline.data.demo import generate_demo_data
    from reefline.od_api import compat

    options = _parse_options()
    compat.apply()
    with tempfile.TemporaryDirectory() as folder:
        data, out, memory = Path(folder) / "data", Path(folder) / "out", Path(folder) / "hashes.db"
        if options.source is None:
            generate_demo_data(data, images=options.images)
        else:
            multiply(options.source, data, options.images)
        driver = Measured()
        driver.add(lambda: read_fingerprint(data, memory))
        fingerprint = read_fingerprint(data, memory)
        contestants: dict[str, Callable[[], None]] = {"create_pascal_tf_record": lambda: convert_with_od_api(data, out)}
        for workers in options.workers:
            contestants[_name(workers)] = lambda workers=workers: ingest(data, out, workers, memory, fingerprint)
        measured = {name: Measured() for name in contestants}
        # The first round imports what each needs, and does not count.
        for number in range(options.rounds + 1):
            for name, run in contestants.items():
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                (measured[name] if number else Measured()).add(run)
    _print_table(measured, options.images)
    _print_serial_share(measured, options.images)
    print(f"the driver's hashing, the first time: {driver.cpu_s[0] / options.images * 1e6:.0f} us of CPU an image")


def silence_libraries() -> None:
    """Keep warnings of libraries, which say nothing about what is measured, off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


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


def read_fingerprint(data: Path, memory: Path) -> str:
    """Do what VocExampleGen's driver does; `memory` remembers the hashes of files."""
    from reefline.data.fingerprint import fingerprint_data
    from reefline.settings import IngestionSettings

    return fingerprint_data(data, IngestionSettings(), memory)


def ingest(data: Path, out: Path, workers: int, memory: Path, fingerprint: str) -> None:
    """Run VocExampleGen's executor as the pipeline does, after its driver: see `read_fingerprint`."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types.standard_artifacts import Config, ExampleAnomalies, Examples

    from components.voc_example_gen.engine_args import format_engine_args
    from components.voc_example_gen.executor import Executor
    from reefline.settings import IngestionSettings

    outputs = {"examples": [Examples()], "label_map": [Config()], "report": [ExampleAnomalies()]}
    for name, (artifact,) in outputs.items():
        artifact.uri = str(out / name)
    properties = {
        "data_dir": str(data),
        "settings": IngestionSettings().to_json(),
        "hash_memory": str(memory),
        "input_fingerprint": fingerprint,
    }
    context = BaseBeamExecutor.Context(beam_pipeline_args=format_engine_args(workers, ()))
    Executor(context).Do({}, outputs, properties)


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


def _name(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def _read_cpu_s() -> float:
    """Return the CPU seconds of this process and of those it started that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _print_table(measured: dict[str, Measured], images: int) -> None:
    peer = measured["create_pascal_tf_record"]
    print(f"{'':24}{'images/s':>10}{'ratio':>8}{'CPU ms':>8}{'ratio':>8}   seconds of each round")
    for name, each in measured.items():
        wall, cpu = statistics.median(each.wall_s), statistics.median(each.cpu_s)
        ratio, cpu_ratio = (_compare(peer.wall_s, each.wall_s), _compare(peer.cpu_s, each.cpu_s))
        rounds = " ".join(f"{value:.1f}" for value in each.wall_s)
        print(f"{name:24}{images / wall:10.0f}{ratio:8.2f}{cpu / images * 1e3:8.2f}{cpu_ratio:8.2f}   {rounds}")


def _compare(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(theirs, ours, strict=True))


def _print_serial_share(measured: dict[str, Measured], images: int) -> None:
    if _name(1) in measured and _name(2) in measured:
        pairs = zip(measured[_name(1)].wall_s, measured[_name(2)].wall_s, strict=True)
        serial_s = statistics.median(2 * two - one for one, two in pairs)
        print(f"serial share, from 1 and 2 workers: {serial_s / images * 1e6:.0f} us an image (target 60)")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure ingestion against create_pascal_tf_record.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


if __name__ == "__main__":
    main()
