"""What ingestion needs from whoever does its work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from reefline.data.tasks import ResultT, Task


class Engine(Protocol):
    """Processes on this machine or on others; which of them does what changes no result."""

    def run(self, tasks: Sequence[Task[ResultT]]) -> Iterator[ResultT]:
        """Yield the tasks' results in the order of the tasks, which are of one kind.

        Raises:
            UserError: what a task raised.
        """
