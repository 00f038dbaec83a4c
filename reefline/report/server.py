"""`reefline report --serve`: reports/ and the live state of a run, on the loopback interface only.

A file is served if its path, with symlinks resolved, lies in reports/ and no part of it is hidden. There are no
listings. A request must name this machine in its Host header: a web page elsewhere whose name resolves to 127.0.0.1
(DNS rebinding) sends its own.
"""

from __future__ import annotations

import http
import http.server
import json
import shutil
import sys
import threading
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from reefline.errors import UsageError
from reefline.report.index_page import render_index
from reefline.report.live import LiveReader
from reefline.report.page import assemble_plain
from reefline.report.run_folder import PAGE_FILE
from reefline.report.section import render
from reefline.system.terminal import say_error

LOOPBACK = "127.0.0.1"
_HOSTS = frozenset({LOOPBACK, "localhost", "[::1]"})
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".yaml": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TIMEOUT_S = 30


@dataclass
class Site:
    """What is served: a workspace's reports and its live state."""

    workspace: Path
    live: LiveReader
    # The index and the live reader have memories that one thread at a time may use.
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.workspace / "reports"

    def render_index(self) -> bytes:
        """Return the page over all runs as it is now."""
        with self.lock:
            page = render_index(self.reports, self.workspace / "serving", live=True)
        return page.encode("utf-8", "replace")

    def render_live(self) -> bytes:
        """Return the page that follows a run under way."""
        return assemble_plain("Live", render("live.html"), scripts=("live.js",), live=True).encode("utf-8")

    def read_live(self) -> bytes:
        """Return live.json."""
        with self.lock:
            state = self.live.read()
        return json.dumps(state.to_json(), indent=2).encode("utf-8")


class ReportServer(http.server.ThreadingHTTPServer):
    """An HTTP server for one workspace; its threads end with the process."""

    daemon_threads = True

    def __init__(self, workspace: Path, port: int) -> None:
        """Listen on `port` of the loopback interface, 0 for any free one.

        Raises:
            UsageError: the port is in use, or may not be used.
        """
        self.site = Site(workspace, LiveReader(workspace))
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(
                f"--port {port}: cannot listen on it ({reason}); pass another, or 0 for a free one"
            ) from None

    def handle_error(self, request: object, client_address: object) -> None:
        """Report a request that failed; that a browser has gone away is no failure."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            say_error(f"a request failed: {type(error).__name__}: {error}")

    @property
    def url(self) -> str:
        """The address of the page over all runs."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"


def find_file(reports: Path, address: str) -> Path | None:
    """Return the file or folder in `reports` that an address names; None if there is none or it may not be served."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(address).path, errors="surrogateescape")
    *folders, last = path.removeprefix("/").split("/")
    parts = [*folders, last] if last else folders
    if not path.startswith("/") or not all(map(_is_visible, parts)):
        return None
    try:
        root = reports.resolve()
        found = reports.joinpath(*parts).resolve()
        if not found.is_relative_to(root) or not all(map(_is_visible, found.relative_to(root).parts)):
            return None
        return found if found.is_file() or found.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # a name that is too long or has a null byte, a loop of symlinks
        return None


def _is_visible(part: str) -> bool:
    return part != "" and not part.startswith(".")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ReportServer
    server_version = "reefline"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Answer a request."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer a request without its body."""
        self._answer()

    def _answer(self) -> None:
        host = (self.headers.get("Host") or "").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name not in _HOSTS:
            self._send_text(
                http.HTTPStatus.FORBIDDEN, f"Open http://localhost:{self.server.server_address[1]}/ instead."
            )
            return
        site, path = self.server.site, urllib.parse.urlsplit(self.path).path
        pages = {
            "/": (site.render_index, ".html"),
            "/index.html": (site.render_index, ".html"),
            "/live": (site.render_live, ".html"),
            "/live.json": (site.read_live, ".json"),
        }
        if path in pages:
            make, suffix = pages[path]
            try:
                content = make()
            except OSError as error:
                self._send_text(http.HTTPStatus.INTERNAL_SERVER_ERROR, f"Cannot read the workspace ({error.strerror}).")
                return
            self._send(http.HTTPStatus.OK, _TYPES[suffix], content)
            return
        self._send_file(find_file(site.reports, self.path))

    def _send_file(self, found: Path | None) -> None:
        if found is not None and found.is_dir():
            path = urllib.parse.urlsplit(self.path).path
            if not path.endswith("/"):
                # Relative links of the page need the slash. The path has no empty parts, so it names no other host.
                self._send(http.HTTPStatus.MOVED_PERMANENTLY, _TYPES[".txt"], b"", {"Location": f"{path}/"})
                return
            found = found / PAGE_FILE
        try:
            if found is None or not found.is_file() or found.is_symlink():
                raise FileNotFoundError
            stream = found.open("rb")
        except OSError:
            self._send_text(http.HTTPStatus.NOT_FOUND, "No such page. Open / for all runs.")
            return
        with stream:
            self._send_stream(stream, _TYPES.get(found.suffix, "application/octet-stream"))

    def _send_stream(self, stream: BinaryIO, content_type: str) -> None:
        size = stream.seek(0, 2)
        stream.seek(0)
        self._send_head(http.HTTPStatus.OK, content_type, size)
        if self.command != "HEAD":
            shutil.copyfileobj(stream, self.wfile)

    def _send_text(self, status: http.HTTPStatus, text: str) -> None:
        self._send(status, _TYPES[".txt"], f"{text}\n".encode())

    def _send(
        self, status: http.HTTPStatus, content_type: str, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self._send_head(status, content_type, len(content), headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_head(
        self, status: http.HTTPStatus, content_type: str, size: int, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, **_HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing: the terminal is for the user."""
