"""The first pass in chunks: any process can inspect one, and leaves its inspections in a file of the working folder.

Every worker process imports this module, so it must import quickly: no TensorFlow, no Beam, no pydantic.
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
    """Some candidates, the first of which is number `start`, and everything needed to inspect them.

    `label_names` are those of the given label map; None where the label map is built from the labels found.
    """

    start: int
    candidates: Sequence[Candidate]
    data_dir: str
    work_dir: str
    limits: ImageLimits
    label_names: tuple[str, ...] | None


def inspect_chunk(chunk: Chunk) -> None:
    """Inspect a chunk, with one image in memory at a time, and write its inspections to its file."""
    data_dir = Path(chunk.data_dir)
    inspections = [
        inspect_candidate(data_dir, candidate, chunk.limits, chunk.label_names) for candidate in chunk.candidates
    ]
    path = Path(chunk.work_dir) / _FILE_NAME.format(start=chunk.start)
    path.write_bytes(pickle.dumps(inspections, pickle.HIGHEST_PROTOCOL))


def read_inspections(work_dir: Path) -> Iterator[Inspection]:
    """Yield the inspections that `inspect_chunk` wrote, in the order of the candidates."""
    for path in sorted(work_dir.glob(_FILE_NAME.replace("{start:09d}", "*"))):
        # Safe to unpickle: this execution wrote it, into its own folder.
        yield from pickle.loads(path.read_bytes())


def start_workers(count: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, which end when this one does, even when it is killed.

    Forked processes would inherit TensorFlow's locks without the threads that hold them.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal, but only the parent ends the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # An exception would end this thread only; the main one would wait for its queue forever.
        signal.raise_signal(signal.SIGKILL)
