"""Ingestion on a Beam runner, whose workers may be on other machines.

Workers share no disk with each other or with this process. A task is an object of a folder that all of them reach, and
so is its result; PCollections carry only their numbers: runners limit the size of a job.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc  # type: ignore[import-untyped]

from reefline.data.reports import IngestionFailure
from reefline.data.tasks import ResultT, Task
from reefline.errors import ConfigError, StorageError, UserError
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.storage.transfer import download_tree, upload_tree

_TASKS, _RESULTS, _FAILURES = "tasks", "results", "failures"


class BeamEngine:
    """Runs tasks as elements of a Beam pipeline; `exchange` is a folder that this machine and all workers reach."""

    def __init__(self, make_pipeline: Callable[[], beam.Pipeline], exchange: Location) -> None:
        self._make_pipeline = make_pipeline
        self._exchange = exchange

    def run(self, tasks: Sequence[Task[ResultT]], meanwhile: Callable[[], None] | None = None) -> Iterator[ResultT]:
        """See Engine.

        Raises:
            ConfigError: the runner's service does not answer.
        """
        if meanwhile is not None:
            meanwhile()
        if not tasks:
            return
        kind: Any = type(tasks[0])
        place = self._exchange / kind.__name__
        with tempfile.TemporaryDirectory(prefix="reefline-tasks-") as folder:
            for number, task in enumerate(tasks):
                (Path(folder) / _name(number)).write_bytes(_encode(task))
            upload_tree(Path(folder), open_storage(place / _TASKS))
        with _explain_connection(), self._make_pipeline() as pipeline:
            numbers = pipeline | "Tasks" >> beam.Create(range(len(tasks)), reshuffle=True)
            _ = numbers | kind.__name__ >> beam.ParDo(RunTaskDoFn(kind, str(place)))
        _raise_failure(place / _FAILURES)
        with tempfile.TemporaryDirectory(prefix="reefline-results-") as folder:
            download_tree(open_storage(place / _RESULTS), Path(folder))
            for number in range(len(tasks)):
                yield kind.RESULT.read(Path(folder) / _name(number))


class RunTaskDoFn(beam.DoFn):
    """Runs the task of a number, and leaves its result or why it failed."""

    def __init__(self, kind: type[Any], place: str) -> None:
        self._kind = kind
        self._place = place

    def process(self, element: int) -> None:
        """Run one task.

        Raises:
            StorageError: the folder of tasks and results cannot be used.
        """
        storage, name = open_storage(self._place), _name(element)
        content = storage.read(f"{_TASKS}/{name}")
        if content is None:
            raise StorageError(f"{self._place}/{_TASKS}/{name}: missing; do not delete a run's temporary files")
        task = self._kind.from_json(json.loads(content.data))
        try:
            result = task.run()
        # Raised inside Beam, it would lose its type.
        except UserError as error:
            storage.write(f"{_FAILURES}/{name}", _encode(IngestionFailure.from_error(error)))
            return
        storage.write(f"{_RESULTS}/{name}", _encode(result))


@contextlib.contextmanager
def _explain_connection() -> Iterator[None]:
    try:
        yield
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        reason = error.details() if isinstance(error, grpc.Call) else "no answer"
        raise ConfigError(
            f"data.beam_args: cannot use the runner's service ({reason}); start it, or fix its address"
        ) from error


def _raise_failure(place: Location) -> None:
    storage = open_storage(place)
    for stored in storage.list_objects():
        content = storage.read(stored.name)
        if content is not None:
            raise IngestionFailure.from_json(json.loads(content.data)).to_error()


def _encode(record: Any) -> bytes:
    return json.dumps(record.to_json()).encode()


def _name(number: int) -> str:
    return f"{number:09d}.json"
