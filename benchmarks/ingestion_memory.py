"""Does the peak memory of ingestion grow with the number of images?

    python benchmarks/ingestion_memory.py [--images 500 5000] [--limit-mb 100]

Each size is ingested by VocExampleGen's executor in a process of its own, whose peak resident memory is read at its
end. Exit code 1 where it grows by more than the limit from the first size to the last.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO_DIR), str(REPO_DIR / "benchmarks")]

from ingestion import ingest, read_fingerprint, silence_libraries  # noqa: E402  the repository has to be on the path first

from reefline.data.demo import generate_demo_data  # noqa: E402
from reefline.od_api import compat  # noqa: E402


def main() -> int:
    options = _parse_options()
    if options.child is not None:
        silence_libraries()
        compat.apply()
        data, memory = options.child / "data", options.child / "hashes.db"
        ingest(data, options.child / "out", workers=1, memory=memory, fingerprint=read_fingerprint(data, memory))
        # Linux counts in KiB.
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return 0
    peaks_mb = [measure_peak_mb(images) for images in options.images]
    for images, peak_mb in zip(options.images, peaks_mb, strict=True):
        print(f"{images:8d} images: peak {peak_mb:6d} MB")
    growth_mb = peaks_mb[-1] - peaks_mb[0]
    print(f"growth: {growth_mb} MB (limit {options.limit_mb} MB)")
    return int(growth_mb > options.limit_mb)


def measure_peak_mb(images: int) -> int:
    """Ingest that many generated images in a process of its own and return its peak resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        generate_demo_data(Path(folder) / "data", images=images)
        command = [sys.executable, __file__, "--child", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-1])


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the peak memory of ingestion.")
    parser.add_argument("--images", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--limit-mb", type=int, default=100)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
