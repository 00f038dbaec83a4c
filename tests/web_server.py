"""A web server on the loopback that behaves, or fails, as a test asks it to."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

# Between two pieces of a slow answer.
_TRICKLE_S = 0.02


@dataclass
class Site:
    """What the server has and how it serves it; `requests` are the headers of each request so far."""

    content: bytes
    etag: str = ""
    ranges: bool = True
    content_length: bool = True
    # Bytes after which each answer is cut, for as many answers as there are numbers; None cuts nothing.
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect_to: str = ""
    # The answer's first half comes at once, the rest only when this is set.
    may_finish: threading.Event | None = None
    # How fast an answer's body comes; None for at once.
    bytes_per_s: float | None = None
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def asked_ranges(self) -> list[str | None]:
        return [request.get("range") for request in self.requests]


def _make_handler(site: Site) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.requests.append({name.lower(): value for name, value in self.headers.items()})
            self.close_connection = True
            if site.redirect_to and self.path != site.redirect_to:
                self._answer(302, {"Location": site.redirect_to, "Content-Length": "0"}, b"")
            elif site.statuses:
                self._answer(site.statuses.pop(0), {"Content-Length": "0"}, b"")
            else:
                self._serve()

        def _serve(self) -> None:
            asked = self.headers.get("Range") if site.ranges else None
            if asked and self.headers.get("If-Range", site.etag) != site.etag:
                asked = None
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            size = len(site.content)
            headers = {"ETag": site.etag} if site.etag else {}
            if asked and start >= size:
                self._answer(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"}, b"")
                return
            if asked:
                headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            if site.content_length:
                headers["Content-Length"] = str(size - start)
            cut = site.cuts.pop(0) if site.cuts else None
            body = site.content[start:]
            self._answer(206 if asked else 200, headers, body if cut is None else body[:cut])

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            if site.bytes_per_s is not None:
                self._trickle(body, site.bytes_per_s)
                return
            half = len(body) // 2 if site.may_finish is not None else len(body)
            self.wfile.write(body[:half])
            if site.may_finish is not None:
                site.may_finish.wait()
                with contextlib.suppress(OSError):
                    self.wfile.write(body[half:])

        def _trickle(self, body: bytes, bytes_per_s: float) -> None:
            block = max(1, int(bytes_per_s * _TRICKLE_S))
            with contextlib.suppress(OSError):
                for start in range(0, len(body), block):
                    self.wfile.write(body[start : start + block])
                    time.sleep(_TRICKLE_S)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output free of it."""

    return Handler


@contextlib.contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve a site on a free port of the loopback; its `url` is filled in."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(site)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}/zoo/model.tar.gz"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
