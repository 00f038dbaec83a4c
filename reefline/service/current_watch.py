"""Following CURRENT: a thread that loads a newly pushed bundle and swaps it in."""

from __future__ import annotations

import threading
from typing import Protocol

from reefline.service.inference_pool import InferencePool
from reefline.service.serving_model import ModelRequest, ServingModel, load_serving_model, read_serving_version


class SwapListener(Protocol):
    """Receives what became of a new CURRENT."""

    def swapped(self, serving: ServingModel) -> None:
        """Another version serves."""

    def kept(self, problem: str) -> None:
        """A new version cannot serve, so the old one still does; reported once per problem."""


class CurrentWatch:
    """Looks at CURRENT every `interval_s` seconds; use it as a context manager."""

    def __init__(self, request: ModelRequest, pool: InferencePool, listener: SwapListener, interval_s: float) -> None:
        """Prepare; nothing runs before the block starts."""
        self._request, self._pool, self._listener, self._interval_s = request, pool, listener, interval_s
        self._stop = threading.Event()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._watch, name="current-watch")

    @property
    def problem(self) -> str | None:
        """What keeps the version that CURRENT names from serving, None where it serves."""
        return self._problem

    def __enter__(self) -> CurrentWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self._look()
            except Exception as error:  # whatever is wrong with a new version, the old one serves, and the next may
                self._report(str(error) or type(error).__name__)
            else:
                self._problem = None

    def _look(self) -> None:
        version = read_serving_version(self._request.place)
        if version != self._pool.serving.version:
            serving = load_serving_model(self._request, version)
            self._pool.swap(serving)
            self._listener.swapped(serving)

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._listener.kept(problem)
