"""reefline/report/server.py over real HTTP on the loopback: what is served, and what never is."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reefline.errors import UsageError
from reefline.report.server import ReportServer, find_file
from tests.factories_server import serve_reports
from tests.factories_summary import make_blessed, write_run

RUN = "20260101T120000"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    workspace = tmp_path / "ws"
    write_run(workspace / "reports", make_blessed(RUN))
    (workspace / "reports" / "latest").symlink_to(RUN)
    (workspace / "reports" / RUN / "run.log").write_text("<script>")
    (workspace / "reports" / "empty").mkdir()
    (workspace / "metadata.db").write_text("secret")
    with serve_reports(workspace) as server:
        yield server


def _ask(
    server: ReportServer, path: str, *, method: str = "GET", host: str | None = "localhost"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


@pytest.mark.parametrize(
    ("path", "content_type", "content"),
    [
        pytest.param("/", "text/html; charset=utf-8", b'id="run-table"', id="index"),
        pytest.param("/index.html", "text/html; charset=utf-8", b'id="live"', id="index-by-name"),
        pytest.param("/?fresh=1", "text/html; charset=utf-8", b'id="run-table"', id="query"),
        pytest.param("/live", "text/html; charset=utf-8", b"live-status", id="live"),
        pytest.param("/live.json", "application/json", b'"is_running": false', id="live-json"),
        pytest.param(f"/{RUN}/", "text/html; charset=utf-8", RUN.encode(), id="run"),
        pytest.param("/latest/index.html", "text/html; charset=utf-8", RUN.encode(), id="latest"),
        pytest.param(f"/{RUN}/summary.json", "application/json", b'"BLESSED"', id="summary"),
        pytest.param(f"/{RUN}/run.log", "text/plain; charset=utf-8", b"<script>", id="log-as-text"),
    ],
)
def test_what_is_served(server: ReportServer, path: str, content_type: str, content: bytes) -> None:
    response, body = _ask(server, path)
    assert (response.status, response.headers["Content-Type"]) == (200, content_type)
    assert content in body
    assert response.headers["Content-Length"] == str(len(body))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    head, nothing = _ask(server, path, method="HEAD")
    assert (head.status, nothing) == (200, b"")


def test_a_folder_gets_its_slash(server: ReportServer) -> None:
    response, _ = _ask(server, f"/{RUN}")
    assert (response.status, response.headers["Location"]) == (301, f"/{RUN}/")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/../metadata.db", id="parent"),
        pytest.param(f"/{RUN}/../../metadata.db", id="parent-of-parent"),
        pytest.param("/%2e%2e/metadata.db", id="encoded-dots"),
        pytest.param("/..%2fmetadata.db", id="encoded-slash"),
        pytest.param("/..%5cmetadata.db", id="backslash"),
        pytest.param("//etc/passwd", id="double-slash"),
        pytest.param("/%2fetc/passwd", id="encoded-absolute"),
        pytest.param("//evil.example/%2e%2e", id="other-host"),
        pytest.param("/.index.json", id="hidden-file"),
        pytest.param("/.images/", id="hidden-folder"),
        pytest.param("/outside/metadata.db", id="symlink-out"),
        pytest.param(f"/{RUN}/out.json", id="file-symlink-out"),
        pytest.param("/hidden-by-link/x", id="symlink-to-hidden"),
        pytest.param("/loop/", id="symlink-loop"),
        pytest.param("/empty/", id="no-listing"),
        pytest.param("/linked/", id="symlink-as-index"),
        pytest.param(f"/{RUN}%00/index.html", id="null-byte"),
        pytest.param("/" + "x" * 5000, id="long-name"),
        pytest.param("/nothing", id="missing"),
        pytest.param("/%ff%fe", id="not-utf-8"),
    ],
)
def test_what_is_never_served(server: ReportServer, path: str) -> None:
    reports = server.site.reports
    (reports / "outside").symlink_to(reports.parent)
    (reports / RUN / "out.json").symlink_to(reports.parent / "metadata.db")
    (reports / ".images").mkdir()
    (reports / ".images" / "x").write_text("secret")
    (reports / ".index.json").write_text("secret")
    (reports / "hidden-by-link").symlink_to(".images")
    (reports / "loop").symlink_to("loop")
    (reports / "linked").mkdir()
    (reports / "linked" / "index.html").symlink_to(reports.parent / "metadata.db")
    response, body = _ask(server, path)
    assert response.status == 404
    assert b"secret" not in body and b"root:" not in body


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("localhost:8000", 200, id="another-port-as-through-a-tunnel"),
        pytest.param("127.0.0.1", 200, id="address"),
        pytest.param("LOCALHOST", 200, id="upper-case"),
        pytest.param("[::1]:8000", 200, id="ipv6"),
        pytest.param("evil.example", 403, id="rebound-name"),
        pytest.param("localhost.evil.example", 403, id="look-alike"),
        pytest.param("127.0.0.1.evil.example:80", 403, id="look-alike-with-port"),
        pytest.param("", 403, id="empty"),
        pytest.param(None, 403, id="none"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/live.json", f"/{RUN}/summary.json"])
def test_only_this_machines_names_are_answered(server: ReportServer, path: str, host: str | None, status: int) -> None:
    response, body = _ask(server, path, host=host)
    assert response.status == status
    assert (b"BLESSED" in body or b"is_running" in body) == (status == 200)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(server: ReportServer, method: str) -> None:
    assert _ask(server, "/", method=method)[0].status == 501


def test_other_sites_may_not_read_answers(server: ReportServer) -> None:
    headers = _ask(server, "/live.json")[0].headers
    assert headers["Access-Control-Allow-Origin"] is None
    assert (headers["Cross-Origin-Resource-Policy"], headers["X-Frame-Options"]) == ("same-origin", "DENY")


def test_it_listens_on_the_loopback_only(server: ReportServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"


def test_a_port_in_use(server: ReportServer) -> None:
    with pytest.raises(UsageError, match=r"--port \d+: cannot listen on it \(Address already in use\)"):
        ReportServer(server.site.workspace, server.server_address[1])


def test_the_index_is_that_of_now(server: ReportServer) -> None:
    assert b"20260102T120000" not in _ask(server, "/")[1]
    write_run(server.site.reports, make_blessed("20260102T120000"))
    assert b"20260102T120000" in _ask(server, "/")[1]


def test_requests_at_the_same_time(server: ReportServer) -> None:
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(_ask(server, "/")[0].status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 8
    assert json.loads((server.site.reports / ".index.json").read_text())["format"] == 1


def test_a_folder_that_went_away_is_an_error_of_the_server(server: ReportServer) -> None:
    server.site.reports.rename(server.site.workspace / "gone")
    response, body = _ask(server, "/")
    assert response.status == 500 and b"Cannot read the workspace" in body


def test_an_address_of_another_form(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert find_file(tmp_path, "/a") == tmp_path / "a"
    assert find_file(tmp_path, "a") is None
    assert find_file(tmp_path, "/") == tmp_path
