"""What the service counts, in the text form of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from reefline.service.inference_pool import Answer, InferencePool

# Seconds: from a small model on a fast CPU to a large one behind a full queue.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """Counters of one service; the names start with reefline_."""

    def __init__(self, pool: InferencePool) -> None:
        """Count from zero."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._pool = pool
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "reefline_requests", "Answers to POST /detect by HTTP status.", ["status"], registry=self._registry
        )
        self._detections = Counter(
            "reefline_detections", "Reported objects by class.", ["label"], registry=self._registry
        )
        self._model_s = Histogram(
            "reefline_model_seconds", "Time of the model alone.", buckets=_BUCKETS_S, registry=self._registry
        )
        self._waited_s = Histogram(
            "reefline_queue_seconds", "Time in the queue.", buckets=_BUCKETS_S, registry=self._registry
        )
        self._swaps = Counter("reefline_model_swaps", "New versions that began to serve.", registry=self._registry)
        waiting = Gauge("reefline_queue_length", "Images that wait for the model.", registry=self._registry)
        waiting.set_function(lambda: pool.waiting)
        self._problem = Gauge(
            "reefline_current_problem", "1 while the version in CURRENT cannot serve, else 0.", registry=self._registry
        )
        self._model = Gauge(
            "reefline_model_info", "The model that serves; always 1.", ["model", "version"], registry=self._registry
        )

    def show_problem(self, has_problem: Callable[[], bool]) -> None:
        """Show whether the version that CURRENT names cannot serve."""
        self._problem.set_function(has_problem)

    def count_answer(self, answer: Answer) -> None:
        """Count a successful detection."""
        self._model_s.observe(answer.result.latency_ms / 1000)
        self._waited_s.observe(answer.waited_s)
        for seen in answer.result.objects:
            self._detections.labels(seen.label).inc()

    def count_status(self, status: int) -> None:
        """Count an answer to POST /detect."""
        self._requests.labels(str(status)).inc()

    def count_swap(self) -> None:
        """Count a new version that began to serve."""
        self._swaps.inc()

    def render(self) -> tuple[bytes, str]:
        """Return the metrics as text, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        serving = self._pool.serving
        self._model.clear()
        self._model.labels(serving.name, str(serving.version)).set(1)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
