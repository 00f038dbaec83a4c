"""What ingestion needs from whoever does its work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from reefline.beam_options import BeamOptions
from reefline.data.tasks import ResultT, Task
from reefline.errors import DataError
from reefline.storage.location import Location


class Engine(Protocol):
    """Processes on this machine or on others; which of them does what changes no result."""

    def run(self, tasks: Sequence[Task[ResultT]]) -> Iterator[ResultT]:
        """Yield the tasks' results in the order of the tasks, which are of one kind.

        Raises:
            UserError: what a task raised.
        """


def check_reach(options: BeamOptions, data: Location, shown_as: str = "") -> None:
    """Check that the workers can read a data set; `shown_as` is what the user calls it.

    Raises:
        DataError: it is a folder of this machine, and the workers are on others.
    """
    if data.is_remote or options.shares_disk:
        return
    raise DataError(
        f"{shown_as or data}: a folder of this machine, which the workers of {options.runner.value} "
        "(data.beam_args) cannot read; use data at s3:// or gs://, or remove data.beam_args"
    )
