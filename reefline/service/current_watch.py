"""Following CURRENT: loading a newly pushed bundle and swapping it in."""

from __future__ import annotations

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
    """Swaps in the version that CURRENT names."""

    def __init__(self, request: ModelRequest, pool: InferencePool, listener: SwapListener) -> None:
        """Prepare; `look` does the work."""
        self._request, self._pool, self._listener = request, pool, listener
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """What keeps the version that CURRENT names from serving, None where it serves."""
        return self._problem

    def look(self) -> None:
        """Read CURRENT, and swap in the version that it names."""
        try:
            self._follow()
        except Exception as error:  # whatever is wrong with a new version, the old one serves, and the next may
            self._report(str(error) or type(error).__name__)
        else:
            self._problem = None

    def _follow(self) -> None:
        version = read_serving_version(self._request.place)
        if version != self._pool.serving.version:
            serving = load_serving_model(self._request, version)
            self._pool.swap(serving)
            self._listener.swapped(serving)

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._listener.kept(problem)
