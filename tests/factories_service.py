"""`reefline serve` in a thread of the test, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reefline.bundle.store import push_bundle
from reefline.service.serving import ServeListener, ServeRequest, serve
from reefline.service.serving_model import ModelRequest, ServingModel
from reefline.storage.location import Location
from tests.factories_evaluation import build_tflite, make_facts, write_candidate

_STARTS_WITHIN_S = 120


@dataclass
class Service(ServeListener):
    """A running service: its URL, the versions that were swapped in, what kept others from serving, and recoveries."""

    stop: threading.Event = field(default_factory=threading.Event)
    swaps: queue.Queue[int] = field(default_factory=queue.Queue)
    problems: queue.Queue[str] = field(default_factory=queue.Queue)
    failures: queue.Queue[str] = field(default_factory=queue.Queue)
    recoveries: queue.Queue[int] = field(default_factory=queue.Queue)
    first_model: weakref.ref[ServingModel] | None = None
    url: str = ""
    ready: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def started(self, url: str, serving: ServingModel) -> None:
        self.url, self.first_model = url, weakref.ref(serving)
        self.ready.set()

    def swapped(self, serving: ServingModel) -> None:
        self.swaps.put(serving.version)

    def kept(self, problem: str) -> None:
        self.problems.put(problem)

    def failing(self, problem: str) -> None:
        self.failures.put(problem)

    def recovered(self, serving: ServingModel) -> None:
        self.recoveries.put(serving.version)


@contextlib.contextmanager
def serve_bundle(place: Path, *, interpreters: int = 1, **limits: Any) -> Iterator[Service]:
    """Serve a bundle, or a model's folder, until the block ends; `limits` are those of ServeRequest."""
    service = Service()
    request = ServeRequest(ModelRequest(Location.parse(place), interpreters=interpreters), port=0, **limits)
    service.thread = threading.Thread(target=serve, args=(request, service, service.stop))
    service.thread.start()
    try:
        assert service.ready.wait(_STARTS_WITHIN_S)
        yield service
    finally:
        service.stop.set()
        service.thread.join()


def push_next_version(bundle: Path, scratch: Path) -> Path:
    """Push another model after version 1 of a model, and return its bundle."""
    candidate = write_candidate(scratch / "next", build_tflite(size_px=(16, 16)), ("cat", "dog"))
    facts = make_facts()
    scores = dataclasses.replace(facts.evaluation.scores, baseline_version=1)
    facts = dataclasses.replace(facts, evaluation=dataclasses.replace(facts.evaluation, scores=scores))
    return push_bundle(candidate, facts, bundle.parent.parent).path
