"""A web server on the loopback with one answer per path, good and bad ones."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Handler = http.server.BaseHTTPRequestHandler


@dataclass(frozen=True)
class Reply:
    """One answer; after its body, or after `cut` bytes of it, the connection closes."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_length: bool = True
    cut: int | None = None

    def send(self, handler: Handler) -> None:
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        if self.content_length and "Content-Length" not in self.headers:
            handler.send_header("Content-Length", str(len(self.body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(self.body if self.cut is None else self.body[: self.cut])


@dataclass(frozen=True)
class Endless(Reply):
    """A body that never ends: after `body`, a block every `pause_s`."""

    block: bytes = b"x" * 65536
    pause_s: float = 0.0

    def send(self, handler: Handler) -> None:
        handler.send_response(200)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(self.body)
            while True:
                handler.wfile.write(self.block)
                time.sleep(self.pause_s)


@dataclass(frozen=True)
class EndlessHeader(Endless):
    """A header that never ends: a block every `pause_s`."""

    def send(self, handler: Handler) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                handler.wfile.write(self.block)
                time.sleep(self.pause_s)


@dataclass
class ImageSite:
    """The answers of each path, in turn; the last one repeats. `paths` are those requested so far."""

    replies: dict[str, list[Reply]]
    paths: list[str] = field(default_factory=list)
    origin: str = ""
    # Called before each answer.
    before: Callable[[str], None] = lambda _: None

    def url(self, path: str) -> str:
        return f"{self.origin}{path}"

    def count(self, path: str) -> int:
        return self.paths.count(path)


def _make_handler(site: ImageSite) -> type[Handler]:
    lock = threading.Lock()

    class SiteHandler(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            with lock:
                site.paths.append(self.path)
                waiting = site.replies.get(self.path, [Reply(status=404)])
                reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            site.before(self.path)
            with contextlib.suppress(OSError):
                reply.send(self)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output free of it."""

    return SiteHandler


class _Server(http.server.ThreadingHTTPServer):
    # An endless answer must not hold up the end of a test.
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def serve_images(
    replies: Mapping[str, Reply | list[Reply]], *, tls_files: tuple[Path, Path] | None = None
) -> Iterator[ImageSite]:
    """Serve the replies on a free port of the loopback; all other paths are not found.

    With `tls_files`, a certificate and its key, it speaks HTTPS.
    """
    site = ImageSite({path: list(r) if isinstance(r, list) else [r] for path, r in replies.items()})
    with _Server(("127.0.0.1", 0), _make_handler(site)) as server:
        if tls_files is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls_files)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.origin = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
