"""The HTTP interface: POST /detect, GET /healthz, GET /metrics. Every other answer is JSON with an `error`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.images.codec import ImageProblemError
from reefline.service.inference_pool import InferencePool, QueueFullError, TooManyPixelsError
from reefline.service.metrics import Metrics
from reefline.service.upload_budget import BudgetSpentError, UploadBudget

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# How long a client may take to send an image.
_BODY_TIMEOUT_S = 30.0
_RETRY_AFTER_S = 1
_TRY_AGAIN = f"try again in {_RETRY_AFTER_S} second(s)"
# How much more than the limit is read before an answer: a client that still sends may not see one that comes earlier.
_DISCARDED_TIMES = 4


class _RefusedError(Exception):
    """An HTTP status and the reason for it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Endpoints:
    """The service's endpoints; `find_problem` returns what keeps a newly pushed version from serving, if anything."""

    pool: InferencePool
    metrics: Metrics
    max_body_bytes: int
    uploads: UploadBudget
    find_problem: Callable[[], str | None]

    async def detect(self, request: Request) -> Response:
        """Answer an image with the detections in it."""
        from starlette.responses import JSONResponse

        try:
            content = await self._detect(request)
            response: Response = JSONResponse(content)
        except _RefusedError as refused:
            headers = {"Retry-After": str(_RETRY_AFTER_S)} if refused.status == 503 else {}
            response = JSONResponse({"error": str(refused)}, refused.status, headers)
        except Exception:
            # `explain` answers it, and uvicorn logs it.
            self.metrics.count_status(500)
            raise
        self.metrics.count_status(response.status_code)
        return response

    async def _detect(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise _RefusedError(
                415, "a form found; send the image itself as the body, as `curl --data-binary @photo.jpg` does"
            )
        size = _find_size(request, self.max_body_bytes)
        try:
            if self.pool.is_full:
                raise QueueFullError
            with self.uploads.hold(min(size, self.max_body_bytes)):
                with self.uploads.receive():
                    body = await _read_body(request, self.max_body_bytes)
                answer = await asyncio.wrap_future(self.pool.submit(body, request.query_params.get("name", "")))
        except QueueFullError:
            raise _RefusedError(503, f"too many images wait; {_TRY_AGAIN}") from None
        except BudgetSpentError:
            raise _RefusedError(503, f"too many images arrive; {_TRY_AGAIN}") from None
        except TooManyPixelsError as error:
            raise _RefusedError(413, str(error)) from None
        except ImageProblemError as error:
            raise _RefusedError(413 if error.rule == "image_too_large" else 400, str(error)) from None
        self.metrics.count_answer(answer)
        return {**answer.result.to_json(), "model": answer.model, "version": answer.version}

    async def healthz(self, _: Request) -> Response:
        """Answer which model serves; 503 if it fails for every image."""
        from starlette.responses import JSONResponse

        serving, problem, failure = self.pool.serving, self.find_problem(), self.pool.problem
        runtime = serving.models[0].runtime
        health = {
            "status": "ok" if failure is None else "failing",
            "model": serving.name,
            "version": serving.version,
            "device": runtime.device.value,
            **({} if problem is None else {"problem": problem}),
            **({} if failure is None else {"error": failure}),
        }
        return JSONResponse(health, 200 if failure is None else 503)

    async def show_metrics(self, _: Request) -> Response:
        """Answer the metrics for Prometheus."""
        from starlette.responses import Response

        content, media_type = self.metrics.render()
        return Response(content, media_type=media_type)


def _find_size(request: Request, max_bytes: int) -> int:
    """Return how many bytes a body has, or may have where the client does not state it."""
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else max_bytes
    if size > _DISCARDED_TIMES * max_bytes:
        raise _make_too_large(max_bytes)
    return size


def _make_too_large(max_bytes: int) -> _RefusedError:
    return _RefusedError(
        413, f"more than {max_bytes} bytes found; send a smaller image, or start the server with a higher --max-body"
    )


async def _read_body(request: Request, max_bytes: int) -> bytes:
    from starlette.requests import ClientDisconnect

    try:
        body = await asyncio.wait_for(_receive(request, max_bytes), _BODY_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise _RefusedError(408, f"the image did not arrive within {_BODY_TIMEOUT_S:.0f} seconds") from None
    except ClientDisconnect:
        # Nobody reads the answer, but the metrics count it.
        raise _RefusedError(400, "the connection closed before the image arrived") from None
    if body is None:
        raise _make_too_large(max_bytes)
    if not body:
        raise _RefusedError(400, "no image found; send one as the body, as `curl --data-binary @photo.jpg` does")
    return body


async def _receive(request: Request, max_bytes: int) -> bytes | None:
    """Return the body, None if it is too large; then it was read and discarded up to a limit."""
    chunks, received = [], 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= max_bytes:
            chunks.append(chunk)
        else:
            chunks.clear()
            if received > _DISCARDED_TIMES * max_bytes:
                break
    return b"".join(chunks) if received <= max_bytes else None


def build_app(endpoints: Endpoints) -> Starlette:
    """Return the ASGI application."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def explain(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else "internal error; see the server's log"
        expected = "; use POST /detect, GET /healthz or GET /metrics" if status in (404, 405) else ""
        # After any other exception uvicorn closes the connection, which a client must know before its next request.
        headers = error.headers if isinstance(error, HTTPException) else {"Connection": "close"}
        return JSONResponse({"error": f"{detail}{expected}"}, status, headers)

    routes = [
        Route("/detect", endpoints.detect, methods=["POST"]),
        Route("/healthz", endpoints.healthz, methods=["GET"]),
        Route("/metrics", endpoints.show_metrics, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: explain, Exception: explain})
