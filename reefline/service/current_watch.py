"""Following CURRENT: loading a newly pushed bundle and swapping it in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from reefline.service.inference_pool import InferencePool
from reefline.service.serving_model import ModelRequest, ServingModel, load_serving_model, read_serving_version

# Each attempt may download the bundle.
_FIRST_DELAY_S, _MAX_DELAY_S = 10.0, 600.0


class SwapListener(Protocol):
    """Receives what became of a new CURRENT."""

    def swapped(self, serving: ServingModel) -> None:
        """Another version serves."""

    def kept(self, problem: str) -> None:
        """A new version cannot serve, so the old one still does; reported once per problem."""

    def recovered(self, serving: ServingModel) -> None:
        """CURRENT can be read again and names the version that serves."""


@dataclass(frozen=True)
class _Failed:
    """A version that cannot serve, and when to try it again."""

    version: int
    problem: str
    delay_s: float
    retry_at_s: float


class CurrentWatch:
    """Swaps in the version that CURRENT names.

    One that cannot be loaded is tried again after 10 s, then after twice as long each time, up to 10 minutes.
    """

    def __init__(
        self,
        request: ModelRequest,
        pool: InferencePool,
        listener: SwapListener,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `look` does the work."""
        self._request, self._pool, self._listener, self._read_clock_s = request, pool, listener, read_clock_s
        self._problem: str | None = None
        self._failed: _Failed | None = None

    @property
    def problem(self) -> str | None:
        """What keeps the version that CURRENT names from serving, None where it serves."""
        return self._problem

    def look(self) -> None:
        """Read CURRENT, and swap in the version that it names."""
        try:
            version = read_serving_version(self._request.place)
        except Exception as error:  # whatever is wrong with CURRENT, the old version serves
            self._report(_explain(error))
            return
        if version == self._pool.serving.version:
            self._failed = None
            if self._problem is not None:
                self._problem = None
                self._listener.recovered(self._pool.serving)
        elif self._failed is None or self._failed.version != version or self._read_clock_s() >= self._failed.retry_at_s:
            self._load(version)
        else:
            self._report(self._failed.problem)

    def _load(self, version: int) -> None:
        try:
            serving = load_serving_model(self._request, version)
        except Exception as error:  # whatever is wrong with a new version, the old one serves, and the next may
            before = self._failed if self._failed and self._failed.version == version else None
            delay_s = min(2 * before.delay_s, _MAX_DELAY_S) if before else _FIRST_DELAY_S
            self._failed = _Failed(version, _explain(error), delay_s, self._read_clock_s() + delay_s)
            self._report(self._failed.problem)
            return
        self._pool.swap(serving)
        self._problem = self._failed = None
        self._listener.swapped(serving)

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._listener.kept(problem)


def _explain(error: Exception) -> str:
    return str(error) or type(error).__name__
