"""A small part of KFP's API over real HTTP: pipelines, experiments, runs and recurring runs of v2beta1."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

RUN_ID = "6c1f2b9e-0c6b-4f6e-9a43-3a2c0d9f4f11"
_API = "/apis/v2beta1"


@dataclass
class FakeKfp:
    """What was asked, and what is answered; `states` are those of the run, one per look, `failures` what comes before.

    A failure is an HTTP status, 0 for a connection that ends without an answer. `versions` is by pipeline, each version
    with the package's text.
    """

    host: str = ""
    states: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    failures: list[int] = field(default_factory=list)
    refusal: str = ""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies that were posted to a path."""
        return [body for method, asked, body in self.requests if method == "POST" and asked == f"{_API}/{path}"]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Return status and body of an answer."""
        self.requests.append((method, path, body))
        if self.refusal and path == f"{_API}/pipelines/upload_version":
            return 500, {"error_message": self.refusal, "error_details": f"{self.refusal}\ngoroutine 1"}
        if path.startswith(f"{_API}/pipelines"):
            return 200, self._answer_pipelines(method, path.removeprefix(f"{_API}/pipelines").strip("/"), query, body)
        kind = path.removeprefix(_API).strip("/").partition("/")[0]
        if kind == "healthz":
            return 200, {"multi_user": False}
        if self.refusal and method == "POST" and kind == "runs":
            return 400, {"error": self.refusal, "code": 3, "message": self.refusal}
        if kind == "experiments":
            return 200, {"experiment_id": "e1", "display_name": "nightly"} if method == "POST" else {"experiments": []}
        if self.failures and method == "GET" and kind == "runs":
            return self.failures.pop(0), {"message": "not now"}
        if kind == "runs":
            state = "PENDING" if method == "POST" else self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return 200, {"run_id": RUN_ID, "state": state, "experiment_id": "e1"}
        if kind == "recurringruns":
            return 200, {"recurring_run_id": "r1"}
        return 404, {"message": f"unknown path {path}"}

    def _answer_pipelines(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """Answer as the pipeline service: ids are names with a prefix."""
        if path == "upload_version":
            pipeline, version = query["pipelineid"][0].removeprefix("id-of-"), query["name"][0]
            self.versions[pipeline][version] = body
            return {"pipeline_id": f"id-of-{pipeline}", "pipeline_version_id": f"id-of-{version}"}
        if method == "POST":
            self.versions[body["display_name"]] = {}
            return {"pipeline_id": f"id-of-{body['display_name']}"}
        wanted = json.loads(query["filter"][0])["predicates"][0]["stringValue"]
        if path.endswith("/versions"):
            pipeline = path.split("/")[0].removeprefix("id-of-")
            found = [{"pipeline_version_id": f"id-of-{name}"} for name in self.versions[pipeline] if name == wanted]
            return {"pipeline_versions": found}
        return {"pipelines": [{"pipeline_id": f"id-of-{name}"} for name in self.versions if name == wanted]}


@contextlib.contextmanager
def serve_kfp() -> Iterator[FakeKfp]:
    """Serve the fake on a free port of the loopback."""
    fake = FakeKfp()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            content = self.rfile.read(length)
            # Files arrive as multipart.
            is_json = self.headers.get_content_type() == "application/json"
            body = json.loads(content) if length and is_json else content.decode()
            path, _, query = self.path.partition("?")
            status, answer = fake.answer(self.command, path, parse_qs(query), body)
            if not status:
                self.close_connection = True
                return
            answered = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answered)))
            self.end_headers()
            self.wfile.write(answered)

        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.host = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
