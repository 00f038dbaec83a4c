"""An S3 server for tests: moto's, on the loopback, with the conditional writes that moto 3.1 lacks.

    python -m tests.s3_server [absent] [match]

prints its URL. It runs until its standard input is closed, so it ends with the process that started it.

Real stores (AWS since 2024, MinIO, SeaweedFS, R2) honour `If-None-Match: *` and `If-Match` on PUT and answer 412;
moto 3.1 ignores both, checks no key, and finds no object with a slash in its name under Werkzeug 2.2 or newer. The
middleware adds the three. The precondition is checked and the object is written under one lock, as if the store did
both at once. The arguments name the conditions to ignore, as old stores do. It speaks enough of Google's dialect for
obstore's client, too: generations instead of ETags.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCESS_KEY = "reefline-tests"
SECRET_KEY = "not-a-secret"
BUCKET = "reefline"
REPO_DIR = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class S3Server:
    """A running server and the environment that makes clients use it."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }


@contextlib.contextmanager
def run_s3_server(*ignored: str) -> Iterator[S3Server]:
    """Run the server as a process, with the bucket BUCKET; `ignored` are conditions: "absent", "match"."""
    command = [sys.executable, "-m", "tests.s3_server", *ignored]
    environment = {**os.environ, "PYTHONPATH": str(REPO_DIR)}
    with subprocess.Popen(
        command, cwd=REPO_DIR, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), "the S3 server did not start"
            yield S3Server(url)
        finally:
            process.stdin.close()
            process.wait(10)


class RealStore:
    """What a real store does and moto 3.1 does not."""

    def __init__(self, app: Any, ignored: Collection[str] = ()) -> None:
        self._app = app
        self._ignored = ignored
        self._lock = threading.Lock()
        self._generations: dict[str, int] = defaultdict(int)
        self._next_generation = itertools.count(1)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        signed_by = environ.get("HTTP_AUTHORIZATION", "")
        is_google = not signed_by.startswith("AWS4")
        if not is_google and f"Credential={ACCESS_KEY}/" not in signed_by:
            return _answer(start_response, "403 Forbidden", "InvalidAccessKeyId")
        if is_google:
            # moto knows only Amazon's signatures, and gives private objects to nobody else.
            environ["HTTP_AUTHORIZATION"] = (
                f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/us-east-1/s3/aws4_request"
            )
        with self._lock:
            path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
            if method == "PUT" and not self._may_write(environ):
                return _answer(start_response, "412 Precondition Failed", "PreconditionFailed")
            if method in ("PUT", "DELETE"):
                self._generations[path] = next(self._next_generation) if method == "PUT" else 0

            def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                if is_google:
                    headers = [*headers, ("x-goog-generation", str(self._generations[path]))]
                return start_response(status, headers, *rest)

            # The answer is read under the lock: it is made while it is read.
            return [b"".join(self._app(environ, start))]

    def _may_write(self, environ: dict[str, Any]) -> bool:
        generation = environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH")
        if generation is not None:
            return self._generations[environ["PATH_INFO"]] == int(generation)
        etag = _find_etag(environ["PATH_INFO"])
        if environ.get("HTTP_IF_NONE_MATCH") == "*":
            return etag is None or "absent" in self._ignored
        return environ.get("HTTP_IF_MATCH") in (None, etag) or "match" in self._ignored


def _find_etag(path: str) -> str | None:
    from moto.s3.models import s3_backend

    # WSGI has a path's UTF-8 as Latin-1.
    bucket, _, key = path.encode("latin-1").decode("utf-8").strip("/").partition("/")
    if bucket not in s3_backend.buckets or not key:
        return None
    found = s3_backend.get_object(bucket, key)
    return None if found is None else found.etag


def _answer(start_response: Any, status: str, code: str) -> list[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>refused</Message></Error>".encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def main() -> None:
    """Serve until standard input is closed."""
    from moto.moto_server.utilities import RegexConverter
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.s3.models import s3_backend
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: object) -> None:
            """Keep the tests' output free of it."""

    RegexConverter.part_isolating = False
    s3_backend.create_bucket(BUCKET, "us-east-1")
    app = RealStore(DomainDispatcherApplication(create_backend_app, service="s3"), sys.argv[1:])
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
