"""A limit to the memory that bodies occupy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class BudgetSpentError(Exception):
    """As many bodies, or bytes of them, are held as may be."""


class UploadBudget:
    """Counts the bodies that arrive, and the bytes of all until their answers; for one thread alone."""

    def __init__(self, max_bytes: int, max_arriving: int) -> None:
        """Start with nothing held."""
        self._free_bytes, self._free_arriving = max_bytes, max_arriving

    @contextlib.contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold `size` bytes until the block ends.

        Raises:
            BudgetSpentError: fewer are free.
        """
        if size > self._free_bytes:
            raise BudgetSpentError
        self._free_bytes -= size
        try:
            yield
        finally:
            self._free_bytes += size

    @contextlib.contextmanager
    def receive(self) -> Iterator[None]:
        """Count a body as arriving until the block ends.

        Raises:
            BudgetSpentError: too many arrive.
        """
        if not self._free_arriving:
            raise BudgetSpentError
        self._free_arriving -= 1
        try:
            yield
        finally:
            self._free_arriving += 1
