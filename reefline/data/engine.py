"""What ingestion needs from whoever does its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from reefline.data.tasks import ResultT, Task


class Engine(Protocol):
    """Processes on this machine or on others; which of them does what changes no result."""

    def run(self, tasks: Sequence[Task[ResultT]], meanwhile: Callable[[], None] | None = None) -> Iterator[ResultT]:
        """Yield the tasks' results in the order of the tasks, which are of one kind.

        `meanwhile` is called once in this process, before the first result: it needs none of them.

        Raises:
            UserError: what a task raised.
        """
