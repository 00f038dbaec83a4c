"""How many images a second does `reefline serve` answer, against the bare interpreter on the same images?

    python benchmarks/serving.py --bundle DIR [--rounds 5] [--seconds 4] [--clients 1 2 4] [--interpreters 1 2]
                                 [--json FILE]

The bare side decodes, resizes and invokes in one thread, without HTTP, as `reefline detect` does, with one interpreter
of 2 threads. The service runs in its own process; each client is a thread with its own httpx connection, which sends
the next image when the answer to the last has arrived. Both sides take turns, round by round. Clients, service and
model share the machine's cores. `CPU ms` is the CPU time of an image in the process that runs the model, without the
clients': it changes less than the rest if other programs run at the same time.
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
from collections.abc import Iterator
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
from reefline.inference.detect.records import Device  # noqa: E402
from reefline.inference.detect.runtime import LoadedModel, load_model  # noqa: E402

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
    model = load_model(options.bundle, verify_bundle(options.bundle), Device.CPU)
    model.detector.warm_up()
    bare = Side()
    served = {(count, clients): Side() for count in options.interpreters for clients in options.clients}
    with ExitStack() as stack:
        services = {count: stack.enter_context(_serve(options.bundle, count)) for count in options.interpreters}
        for number in range(-1, options.rounds):
            # The first round warms up, and does not count.
            _run_bare(model, image, options.seconds, bare if number >= 0 else Side())
            for (count, clients), side in served.items():
                _run_clients(services[count], image, clients, options.seconds, side if number >= 0 else Side())
    _print(bare, served)
    if options.json is not None:
        record = {"bare": vars(bare), **{f"{count}x{clients}": vars(side) for (count, clients), side in served.items()}}
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


def _run_bare(model: LoadedModel, image: bytes, duration_s: float, side: Side) -> None:
    count = 0
    started, cpu_before_s = time.perf_counter(), time.process_time()
    while (before := time.perf_counter()) - started < duration_s:
        model.detector.detect_timed(np.asarray(decode_upright(image)))
        side.seconds.append(time.perf_counter() - before)
        count += 1
    side.cpu_s += time.process_time() - cpu_before_s
    side.rates.append(count / (time.perf_counter() - started))


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


def _print(bare: Side, served: dict[tuple[int, int], Side]) -> None:
    bare_rate = statistics.median(bare.rates)
    print(f"{'':34}{'images/s':>10}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}")
    print(f"{'bare interpreter':34}{bare_rate:10.1f}{1:8.2f}{_percentiles(bare)}")
    for (count, clients), side in served.items():
        # Each round against its neighbour: what else the machine does changes from round to round.
        ratio = statistics.median(mine / other for mine, other in zip(side.rates, bare.rates, strict=True))
        name = f"{count} interpreter(s), {clients} client(s)"
        print(f"{name:34}{statistics.median(side.rates):10.1f}{ratio:8.2f}{_percentiles(side)}")


def _percentiles(side: Side) -> str:
    p50, p99 = np.percentile(side.seconds, (50, 99)) * 1000
    return f"{p50:9.1f}{p99:9.1f}{side.cpu_ms:9.1f}"


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
