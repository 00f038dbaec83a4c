"""How many images a second does `reefline serve` answer, against the bare interpreter on the same images?

    python benchmarks/serving.py --bundle DIR [--rounds 5] [--seconds 4] [--clients 1 2 4] [--interpreters 1 2]
                                 [--json FILE]

The bare side decodes, resizes and invokes without HTTP, as `reefline detect` does: one interpreter of 2 threads, and N
interpreters that share the cores, as `--interpreters N` runs them. The service runs in its own process; each client is
a thread with its own httpx connection, which sends the next image when the answer to the last has arrived. The sides
take turns, round by round. Clients, service and model share the machine's cores. `CPU ms` is the CPU time of an image
in the process that runs the model, without the clients': it changes less than the rest if other programs run at the
same time.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

from reefline.bundle.checking import verify_bundle  # noqa: E402
from reefline.images.codec import decode_upright  # noqa: E402
from reefline.inference.detect.in_order import run_in_order  # noqa: E402
from reefline.inference.detect.records import Device  # noqa: E402
from reefline.inference.detect.runtime import LoadedModel, load_models  # noqa: E402

IMAGE_SIZE_PX = (640, 480)


@dataclass
class Side:
    """The images per second of each round, the seconds of each image in all rounds, and the CPU seconds of all."""

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def cpu_ms(self) -> float:
        """The CPU milliseconds of an image."""
        return self.cpu_s / len(self.seconds) * 1000


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    pid: int


def main() -> None:
    options = _parse_options()
    image = _draw_image()
    manifest = verify_bundle(options.bundle)
    models = {count: load_models(options.bundle, manifest, Device.CPU, count) for count in {1, *options.interpreters}}
    bare = {count: Side() for count in sorted(models)}
    served = {(count, clients): Side() for count in options.interpreters for clients in options.clients}
    with ExitStack() as stack:
        services = {count: stack.enter_context(_serve(options.bundle, count)) for count in options.interpreters}
        for number in range(-1, options.rounds):
            # The first round warms up, and does not count.
            for count, side in bare.items():
                _run_bare(models[count], image, options.seconds, side if number >= 0 else Side())
            for (count, clients), side in served.items():
                _run_clients(services[count], image, clients, options.seconds, side if number >= 0 else Side())
    _print(bare, served)
    if options.json is not None:
        record = {f"bare {count}": vars(side) for count, side in bare.items()}
        record |= {f"{count}x{clients}": vars(side) for (count, clients), side in served.items()}
        options.json.write_text(json.dumps(record) + "\n", encoding="utf-8")


def _draw_image() -> bytes:
    """Return a JPEG whose content compresses as a photo's does: large shapes and some noise."""
    width, height = IMAGE_SIZE_PX
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(IMAGE_SIZE_PX)
    noisy = np.asarray(coarse).astype(int) + rng.integers(-8, 9, (height, width, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@contextmanager
def _serve(bundle: Path, interpreters: int) -> Iterator[Service]:
    command = [sys.executable, "-m", "reefline", "serve", "--bundle", str(bundle), "--port", "0", "--device", "cpu"]
    command += ["--interpreters", str(interpreters)]
    environment = {**os.environ, "PYTHONPATH": str(REPO_DIR)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        if not line.startswith("Serving "):
            raise SystemExit("the service did not start")
        yield Service(line.split()[5], process.pid)
    finally:
        process.terminate()
        process.wait()


def _run_bare(models: Sequence[LoadedModel], image: bytes, duration_s: float, side: Side) -> None:
    started, cpu_before_s = time.perf_counter(), time.process_time()

    def images() -> Iterator[bytes]:
        while time.perf_counter() - started < duration_s:
            yield image

    def detect(model: LoadedModel, encoded: bytes) -> float:
        before = time.perf_counter()
        model.detector.detect_timed(np.asarray(decode_upright(encoded)))
        return time.perf_counter() - before

    seconds = list(run_in_order(models, detect, images()))
    side.cpu_s += time.process_time() - cpu_before_s
    side.rates.append(len(seconds) / (time.perf_counter() - started))
    side.seconds.extend(seconds)


def _run_clients(service: Service, image: bytes, count: int, duration_s: float, side: Side) -> None:
    seconds: list[float] = []
    started, cpu_before_s = time.perf_counter(), _read_cpu_s(service.pid)

    def send() -> None:
        with httpx.Client(timeout=60) as client:
            while (before := time.perf_counter()) - started < duration_s:
                client.post(f"{service.url}/detect", content=image).raise_for_status()
                seconds.append(time.perf_counter() - before)

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    side.cpu_s += _read_cpu_s(service.pid) - cpu_before_s
    side.rates.append(len(seconds) / (time.perf_counter() - started))
    side.seconds.extend(seconds)


def _read_cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used so far (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _print(bare: dict[int, Side], served: dict[tuple[int, int], Side]) -> None:
    print(f"{'':42}{'images/s':>10}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}")
    sides = {f"bare, {count} interpreter(s)": side for count, side in bare.items()}
    sides |= {f"served, {count} interpreter(s), {clients} client(s)": each for (count, clients), each in served.items()}
    for name, side in sides.items():
        # Each round against its neighbour: what else the machine does changes from round to round.
        ratio = statistics.median(mine / other for mine, other in zip(side.rates, bare[1].rates, strict=True))
        p50_ms, p99_ms = np.percentile(side.seconds, (50, 99)) * 1000
        rate = statistics.median(side.rates)
        print(f"{name:42}{rate:10.1f}{ratio:8.2f}{p50_ms:9.1f}{p99_ms:9.1f}{side.cpu_ms:9.1f}")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure reefline serve against the bare interpreter.")
    parser.add_argument("--bundle", type=Path, required=True, help="a pushed bundle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="the duration of each side's round")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--interpreters", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
