"""Loading the model again after it failed for several images in a row."""

from __future__ import annotations

from typing import Protocol

from reefline.service.inference_pool import InferencePool
from reefline.service.serving_model import ModelRequest, ServingModel, load_serving_model


class RecoveryListener(Protocol):
    """Receives whether the model works."""

    def failing(self, problem: str) -> None:
        """The model fails for every image; reported once per problem."""

    def recovered(self, serving: ServingModel) -> None:
        """The model works again."""


class ModelRecovery:
    """Replaces a failing model, such as one on an Edge TPU that was unplugged, by the same version loaded again."""

    def __init__(
        self, request: ModelRequest, pool: InferencePool, listener: RecoveryListener, *, is_following: bool
    ) -> None:
        """Prepare; `look` does the work."""
        self._request, self._pool, self._listener, self._is_following = request, pool, listener, is_following
        self._problem: str | None = None

    def look(self) -> None:
        """Load the model again if it fails; an error leaves it failing until the next look."""
        problem, failing = self._pool.problem, self._pool.serving
        if problem is None:
            self._problem = None
            return
        if problem != self._problem:
            self._problem = problem
            self._listener.failing(problem)
        try:
            serving = load_serving_model(self._request, failing.version if self._is_following else None)
        except Exception:  # what made the images fail is known; why loading fails follows from it
            return
        if self._pool.swap(serving, instead_of=failing):
            self._problem = None
            self._listener.recovered(serving)
