"""The first pass in chunks: any process inspects one, and leaves what came of it in a file of the working folder.

This module imports quickly, for each worker process does it: none of TensorFlow, Beam and pydantic is behind it.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reefline.data.inspection import ImageLimits, Inspection, inspect_candidate
from reefline.data.matching import Candidate

_FILE_NAME = "inspected-{start:09d}.pickle"


@dataclass(frozen=True)
class Chunk:
    """Some candidates, the first of which is number `start`, and what it takes to look into them.

    `label_names` is the given label map's, None where it is made from what is found.
    """

    start: int
    candidates: Sequence[Candidate]
    data_dir: str
    work_dir: str
    limits: ImageLimits
    label_names: tuple[str, ...] | None


def inspect_chunk(chunk: Chunk) -> None:
    """Inspect the candidates of a chunk, one image in memory at a time, and leave their inspections in its file."""
    data_dir = Path(chunk.data_dir)
    inspections = [
        inspect_candidate(data_dir, candidate, chunk.limits, chunk.label_names) for candidate in chunk.candidates
    ]
    path = Path(chunk.work_dir) / _FILE_NAME.format(start=chunk.start)
    path.write_bytes(pickle.dumps(inspections, pickle.HIGHEST_PROTOCOL))


def read_inspections(work_dir: Path) -> Iterator[Inspection]:
    """Yield what `inspect_chunk` left, in the order of the candidates."""
    for path in sorted(work_dir.glob(_FILE_NAME.replace("{start:09d}", "*"))):
        # Written by this very execution, into a folder of its own.
        yield from pickle.loads(path.read_bytes())


def start_workers(count: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, which end with this one, however it ends.

    Forked ones would inherit TensorFlow's locks without the threads that hold them.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal; it is the parent that ends the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # An exception would end this thread alone, and the queue that the other one waits at stays empty.
        signal.raise_signal(signal.SIGKILL)
