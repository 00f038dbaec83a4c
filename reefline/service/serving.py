"""Running the service: socket, model, queue and HTTP server, from start to a clean stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reefline.errors import UsageError
from reefline.inference.detect.detect_objects import check_min_score
from reefline.service.connections import make_protocol
from reefline.service.current_watch import CurrentWatch
from reefline.service.http_app import Endpoints, build_app
from reefline.service.inference_pool import InferencePool
from reefline.service.metrics import Metrics
from reefline.service.model_recovery import ModelRecovery
from reefline.service.periodic import Periodic
from reefline.service.serving_model import (
    ModelRequest,
    ServingModel,
    follows_current,
    load_serving_model,
    read_serving_version,
)
from reefline.service.upload_budget import UploadBudget

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8080
# How long a stop waits for answers under way.
_DRAIN_TIMEOUT_S = 30
# Reading a file is cheap; each look at an object store is a request.
_LOCAL_INTERVAL_S, _REMOTE_INTERVAL_S = 1.0, 10.0
_BACKLOG = 128
# Bodies that may arrive at a time, however small.
_MAX_ARRIVING = 64


@dataclass(frozen=True)
class ServeRequest:
    """What serves, where, and its limits: images that wait, bytes of a body, pixels of an image, idle seconds.

    `max_held_bytes` is for all bodies that arrive or wait; one of `max_body_bytes` always fits. CURRENT is read every
    `current_interval_s` (None: by the kind of the place), a failing model loaded again every `reload_interval_s`.
    """

    model: ModelRequest
    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    max_waiting: int = 16
    max_body_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    idle_timeout_s: float = 10.0
    max_held_bytes: int = 100_000_000
    current_interval_s: float | None = None
    reload_interval_s: float = 5.0


class ServeListener:
    """Receives what happens; the base class does nothing."""

    def started(self, url: str, serving: ServingModel) -> None:
        """The service accepts requests."""

    def swapped(self, serving: ServingModel) -> None:
        """Another version serves."""

    def kept(self, problem: str) -> None:
        """A new version cannot serve, so the old one still does."""

    def failing(self, problem: str) -> None:
        """The model fails for every image."""

    def recovered(self, serving: ServingModel) -> None:
        """The problem is gone, and this model serves."""


def serve(request: ServeRequest, listener: ServeListener, stop: threading.Event | None = None) -> None:
    """Serve until SIGTERM, Ctrl-C or `stop`; requests under way are answered first.

    Raises:
        UsageError: the address cannot be used, or a limit makes no sense.
        BundleError: the bundle is missing, damaged or not signed, or cannot be run.
        StorageError, WorkspaceError: it cannot be read.
    """
    check_min_score(request.model.min_score)
    is_following = follows_current(request.model.place)
    version = read_serving_version(request.model.place) if is_following else None
    with _open_socket(request.host, request.port) as listening:
        # Only the pool keeps the model: after a swap, its memory is freed.
        pool = InferencePool(
            load_serving_model(request.model, version), max_waiting=request.max_waiting, max_pixels=request.max_pixels
        )
        try:
            _serve_pool(request, pool, listening, listener, stop, is_following=is_following)
        finally:
            pool.close()


def _serve_pool(
    request: ServeRequest,
    pool: InferencePool,
    listening: socket.socket,
    listener: ServeListener,
    stop: threading.Event | None,
    *,
    is_following: bool,
) -> None:
    metrics = Metrics(pool)
    interval_s = request.current_interval_s
    if interval_s is None:
        interval_s = _REMOTE_INTERVAL_S if request.model.place.is_remote else _LOCAL_INTERVAL_S
    watch = CurrentWatch(request.model, pool, _Counting(listener, metrics))
    metrics.show_problem(lambda: watch.problem is not None)
    recovery = ModelRecovery(request.model, pool, listener, is_following=is_following)
    uploads = UploadBudget(max(request.max_held_bytes, request.max_body_bytes), _MAX_ARRIVING)
    endpoints = Endpoints(pool, metrics, request.max_body_bytes, uploads, lambda: watch.problem)
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    watching = Periodic("current-watch", interval_s, watch.look) if is_following else contextlib.nullcontext()
    with watching, Periodic("model-recovery", request.reload_interval_s, recovery.look):
        _run_uvicorn(
            endpoints,
            listening,
            stop,
            lambda: listener.started(url, pool.serving),
            idle_timeout_s=request.idle_timeout_s,
        )


class _Counting:
    """Counts swaps, and passes everything on."""

    def __init__(self, listener: ServeListener, metrics: Metrics) -> None:
        self._listener, self._metrics = listener, metrics

    def swapped(self, serving: ServingModel) -> None:
        self._metrics.count_swap()
        self._listener.swapped(serving)

    def kept(self, problem: str) -> None:
        self._listener.kept(problem)

    def recovered(self, serving: ServingModel) -> None:
        self._listener.recovered(serving)


def _open_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python repeats the address in it.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise UsageError(f"--host {host} --port {port}: cannot listen there ({reason}); choose another") from error


def _run_uvicorn(
    endpoints: Endpoints,
    listening: socket.socket,
    stop: threading.Event | None,
    started: Callable[[], None],
    *,
    idle_timeout_s: float,
) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """Tells when it accepts requests, and stops when `stop` is set."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or (stop is not None and stop.is_set())

    config = uvicorn.Config(
        build_app(endpoints),
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_TIMEOUT_S,
        http=make_protocol(idle_timeout_s),
        ws="none",
    )
    with _stopping_cleanly():
        Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _stopping_cleanly() -> Iterator[None]:
    """Make SIGTERM and Ctrl-C the usual ways to end: exit code 0.

    While uvicorn runs, it handles both; afterwards it sends them to the handlers that it found, which are these.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
