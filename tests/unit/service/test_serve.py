"""`reefline serve` over a real socket: answers, limits, a new CURRENT under load, and a clean stop."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.inference.detector import TfliteDetector
from reefline.system import extras
from reefline.system.extras import Extra
from tests.factories import encode_image
from tests.factories_detect import push_small_bundle
from tests.factories_evaluation import make_image
from tests.factories_service import Service, push_next_version, serve_bundle

REPO_DIR = Path(__file__).resolve().parents[3]
IMAGE = encode_image(make_image("red", "green"), "PNG")
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return push_small_bundle(tmp_path_factory.mktemp("pushed"))


@pytest.fixture(scope="module")
def service(bundle: Path) -> Iterator[Service]:
    with serve_bundle(bundle, max_body_bytes=20_000, max_pixels=10_000) as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=PATIENCE_S) as opened:
        yield opened


def wait_until(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


class Gate:
    """Holds the model back until it opens; counts the images that reached it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.reached = threading.Event(), threading.Semaphore(0)
        detect_timed = TfliteDetector.detect_timed

        def held(detector: TfliteDetector, image):
            self.reached.release()
            assert self.opened.wait(PATIENCE_S)
            return detect_timed(detector, image)

        monkeypatch.setattr(TfliteDetector, "detect_timed", held)


def test_the_answer_is_that_of_detect(service: Service, bundle: Path, client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    arguments = ["detect", "--bundle", bundle, tmp_path / "a.png", "--out", tmp_path / "out", "--json"]
    [expected] = json.loads(CliRunner().invoke(app, list(map(str, arguments))).stdout)["images"]

    answer = client.post(f"{service.url}/detect", params={"name": "a.png"}, content=IMAGE)

    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("latency_ms") > 0 and expected.pop("latency_ms") > 0
    assert found == {**expected, "image": "a.png", "picture": None, "model": "detector", "version": 1}
    assert {seen["label"] for seen in found["detections"]} == {"cat", "dog"}


def test_health(service: Service, client: httpx.Client) -> None:
    answer = client.get(f"{service.url}/healthz")
    assert answer.json() == {"status": "ok", "model": "detector", "version": 1, "device": "cpu"}


def test_metrics_count_answers_and_objects(bundle: Path, client: httpx.Client) -> None:
    with serve_bundle(bundle) as running:
        client.post(f"{running.url}/detect", content=IMAGE)
        client.post(f"{running.url}/detect", content=b"no image")
        answer = client.get(f"{running.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert "# TYPE reefline_requests_total counter" in lines
    for line in (
        'reefline_requests_total{status="200"} 1.0',
        'reefline_requests_total{status="400"} 1.0',
        'reefline_detections_total{label="cat"} 1.0',
        'reefline_model_info{model="detector",version="1"} 1.0',
        "reefline_model_seconds_count 1.0",
        "reefline_queue_seconds_count 1.0",
        "reefline_queue_length 0.0",
        "reefline_model_swaps_total 0.0",
    ):
        assert line in lines


LARGE = encode_image(make_image("red", "green").repeat(5, axis=0).repeat(5, axis=1))


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        pytest.param(b"", {}, 400, "no image found; send one as the body", id="empty"),
        pytest.param(b"GIF89", {}, 400, "not a readable JPEG, PNG, BMP, WebP, GIF or TIFF image", id="no-image"),
        pytest.param(IMAGE[:60], {}, 400, "the image", id="truncated"),
        pytest.param(LARGE, {}, 413, "240 x 120 px found, at most 10000 pixels accepted; shrink", id="pixels"),
        pytest.param(b"x" * 20_001, {}, 413, "more than 20000 bytes found; send a smaller", id="body"),
        pytest.param(b"x" * 1_000_000, {}, 413, "more than 20000 bytes found; send a smaller", id="body-far-larger"),
        pytest.param(
            IMAGE, {"content-type": "multipart/form-data; boundary=x"}, 415, "a form found; send the image", id="form"
        ),
    ],
)
def test_what_is_no_usable_image(
    service: Service, client: httpx.Client, content: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    answer = client.post(f"{service.url}/detect", content=content, headers=headers)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert client.post(f"{service.url}/detect", content=IMAGE).status_code == 200


def test_a_body_without_a_length_is_limited_too(service: Service, client: httpx.Client) -> None:
    answer = client.post(f"{service.url}/detect", content=(b"x" * 7_000 for _ in range(6)))
    assert answer.status_code == 413
    assert "more than 20000 bytes" in answer.json()["error"]


def test_a_client_that_hangs_up_is_counted_and_nothing_else(bundle: Path, client: httpx.Client) -> None:
    with serve_bundle(bundle) as running:
        with connect(running) as hanging_up:
            hanging_up.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        line = 'reefline_requests_total{status="400"} 1.0'
        wait_until(lambda: line in client.get(f"{running.url}/metrics").text)
        assert client.post(f"{running.url}/detect", content=IMAGE).status_code == 200


def connect(running: Service) -> socket.socket:
    host, _, port = running.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def test_idle_connections_lock_nobody_out(bundle: Path, client: httpx.Client) -> None:
    with serve_bundle(bundle) as running, contextlib.ExitStack() as idle:
        for _ in range(100):
            idle.enter_context(connect(running))
        assert client.get(f"{running.url}/healthz").status_code == 200
        assert client.post(f"{running.url}/detect", content=IMAGE).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost:", id="half-a-header"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET", id="half-a-second-header"),
    ],
)
def test_a_connection_without_a_complete_header_is_closed(bundle: Path, sent: bytes) -> None:
    with serve_bundle(bundle, idle_timeout_s=0.2) as running, connect(running) as slow:
        slow.sendall(sent)
        while slow.recv(1000):
            pass


def test_the_idle_timeout_spares_a_request_under_way(
    bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_bundle(bundle, idle_timeout_s=0.2) as running, ThreadPoolExecutor(1) as clients:
        gate = Gate(monkeypatch)
        answer = clients.submit(client.post, f"{running.url}/detect", content=IMAGE)
        assert gate.reached.acquire(timeout=PATIENCE_S)
        time.sleep(0.5)
        gate.opened.set()
        assert answer.result().status_code == 200


def test_the_oldest_of_too_many_idle_connections_is_closed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reefline.service.connections.MAX_IDLE_CONNECTIONS", 1)
    with (
        serve_bundle(bundle, idle_timeout_s=2 * PATIENCE_S) as running,
        connect(running) as first,
        connect(running) as second,
    ):
        assert first.recv(1) == b""
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.recv(12) == b"HTTP/1.1 200"


def test_an_error_of_the_model_is_500(bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(detector: TfliteDetector, image) -> None:
        raise RuntimeError("the Edge TPU is gone")

    with serve_bundle(bundle) as running:
        monkeypatch.setattr(TfliteDetector, "detect_timed", fail)
        answer = client.post(f"{running.url}/detect", content=IMAGE)
        monkeypatch.undo()
        assert client.post(f"{running.url}/detect", content=IMAGE).status_code == 200
        metrics = client.get(f"{running.url}/metrics").text
    assert (answer.status_code, answer.json()["error"]) == (500, "internal error; see the server's log")
    assert answer.headers["connection"] == "close"
    assert 'reefline_requests_total{status="500"} 1.0' in metrics


@pytest.mark.parametrize("is_following", [pytest.param(True, id="model"), pytest.param(False, id="version")])
def test_a_model_that_keeps_failing_is_unhealthy_until_it_loads_again(
    bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, is_following: bool
) -> None:
    def fail(detector: TfliteDetector, *_: object) -> None:
        raise RuntimeError("the Edge TPU is gone")

    def read_health() -> httpx.Response:
        return client.get(f"{running.url}/healthz")

    with serve_bundle(bundle.parent if is_following else bundle, reload_interval_s=0.05) as running:
        monkeypatch.setattr(TfliteDetector, "detect_timed", fail)
        monkeypatch.setattr(TfliteDetector, "warm_up", fail)
        for _ in range(2):
            client.post(f"{running.url}/detect", content=IMAGE)
            client.post(f"{running.url}/detect", content=b"no image")
        assert read_health().status_code == 200
        client.post(f"{running.url}/detect", content=IMAGE)
        unhealthy = read_health()
        assert running.failures.get(timeout=PATIENCE_S) == unhealthy.json()["error"]
        monkeypatch.undo()
        assert running.recoveries.get(timeout=PATIENCE_S) == 1
        assert client.post(f"{running.url}/detect", content=IMAGE).status_code == 200
        assert read_health().json() == {"status": "ok", "model": "detector", "version": 1, "device": "cpu"}
        assert running.failures.empty()
    assert (unhealthy.status_code, unhealthy.json()["status"]) == (503, "failing")
    assert unhealthy.json()["error"] == "the model failed for the last 3 images (the Edge TPU is gone)"


def test_an_image_that_works_ends_a_row_of_failures(
    bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(detector: TfliteDetector, image) -> None:
        raise RuntimeError("a hiccup")

    with serve_bundle(bundle) as running:
        for _ in range(2):
            for _ in range(2):
                with monkeypatch.context() as failing:
                    failing.setattr(TfliteDetector, "detect_timed", fail)
                    assert client.post(f"{running.url}/detect", content=IMAGE).status_code == 500
            assert client.post(f"{running.url}/detect", content=IMAGE).status_code == 200
        assert client.get(f"{running.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [pytest.param("GET", "/detect", 405, id="method"), pytest.param("GET", "/", 404, id="path")],
)
def test_other_requests_learn_what_exists(
    service: Service, client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, f"{service.url}{path}")
    assert answer.status_code == status
    assert "use POST /detect, GET /healthz or GET /metrics" in answer.json()["error"]


def test_a_full_queue_is_503(bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_bundle(bundle, max_waiting=1) as running, ThreadPoolExecutor(2) as clients:
        gate = Gate(monkeypatch)
        one = clients.submit(client.post, f"{running.url}/detect", content=IMAGE)
        assert gate.reached.acquire(timeout=PATIENCE_S)
        two = clients.submit(client.post, f"{running.url}/detect", content=IMAGE)
        wait_until(lambda: "reefline_queue_length 1.0" in client.get(f"{running.url}/metrics").text)
        refused = client.post(f"{running.url}/detect", content=IMAGE)
        gate.opened.set()
        assert [answer.result().status_code for answer in (one, two)] == [200, 200]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"] == "too many images wait; try again in 1 second(s)"


@pytest.mark.parametrize(
    "header",
    [pytest.param("Content-Length: 900", id="length"), pytest.param("Transfer-Encoding: chunked", id="chunked")],
)
def test_bytes_that_arrive_are_limited(bundle: Path, client: httpx.Client, header: str) -> None:
    with serve_bundle(bundle, max_body_bytes=1000, max_held_bytes=1500) as running:
        with connect(running) as stalled, connect(running) as refused:
            stalled.sendall(f"POST /detect HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
            wait_until(lambda: client.post(f"{running.url}/detect", content=b"x" * 900).status_code == 503)
            # The body never comes: the answer does not wait for it.
            refused.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n")
            answer = http.client.HTTPResponse(refused)
            answer.begin()
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
            assert b"too many images arrive; try again in 1 second(s)" in answer.read()
            # A small one still fits.
            assert client.post(f"{running.url}/detect", content=IMAGE[:90]).status_code == 400
        wait_until(lambda: client.post(f"{running.url}/detect", content=b"x" * 900).status_code == 400)


def test_small_bodies_that_arrive_are_limited_too(
    bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reefline.service.serving._MAX_ARRIVING", 1)
    with serve_bundle(bundle) as running, connect(running) as stalled:
        stalled.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        wait_until(lambda: client.post(f"{running.url}/detect", content=IMAGE).status_code == 503)
        assert client.get(f"{running.url}/healthz").status_code == 200


def test_a_full_queue_refuses_before_the_body_arrives(
    bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_bundle(bundle, max_waiting=1) as running, ThreadPoolExecutor(2) as clients:
        gate = Gate(monkeypatch)
        clients.submit(client.post, f"{running.url}/detect", content=IMAGE)
        assert gate.reached.acquire(timeout=PATIENCE_S)
        clients.submit(client.post, f"{running.url}/detect", content=IMAGE)
        wait_until(lambda: "reefline_queue_length 1.0" in client.get(f"{running.url}/metrics").text)
        with connect(running) as refused:
            refused.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n")
            assert refused.recv(1000).startswith(b"HTTP/1.1 503")
        gate.opened.set()


def test_a_stop_answers_what_is_under_way(bundle: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_bundle(bundle) as running, ThreadPoolExecutor(1) as clients:
        gate = Gate(monkeypatch)
        under_way = clients.submit(client.post, f"{running.url}/detect", content=IMAGE)
        assert gate.reached.acquire(timeout=PATIENCE_S)
        running.stop.set()
        gate.opened.set()
        assert under_way.result().status_code == 200
        running.thread.join(PATIENCE_S)
        assert not running.thread.is_alive()
        with pytest.raises(httpx.ConnectError, match="refused"):
            client.get(f"{running.url}/healthz")


def test_a_new_current_serves_without_a_failed_request(tmp_path: Path, client: httpx.Client) -> None:
    first = push_small_bundle(tmp_path)
    answers: list[tuple[int, int]] = []
    done = threading.Event()

    with serve_bundle(first.parent, interpreters=2, max_waiting=100) as running:

        def load() -> None:
            with httpx.Client(timeout=PATIENCE_S) as own:
                while not done.is_set():
                    answer = own.post(f"{running.url}/detect", content=IMAGE)
                    answers.append((answer.status_code, answer.json().get("version")))

        with ThreadPoolExecutor(4) as clients:
            loads = [clients.submit(load) for _ in range(4)]
            try:
                wait_until(lambda: len(answers) >= 20)
                push_next_version(first, tmp_path)
                assert running.swaps.get(timeout=PATIENCE_S) == 2
                seen = len(answers)
                wait_until(lambda: len(answers) >= seen + 20)
            finally:
                done.set()
            for each in loads:
                each.result()
        assert client.get(f"{running.url}/healthz").json()["version"] == 2
        assert "reefline_model_swaps_total 1.0" in client.get(f"{running.url}/metrics").text
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {1, 2}
    # What was under way may finish with the old version, nothing later.
    assert [version for _, version in answers[-10:]] == [2] * 10


def test_the_old_model_leaves_memory_after_a_swap(tmp_path: Path, client: httpx.Client) -> None:
    first = push_small_bundle(tmp_path)
    with serve_bundle(first.parent, interpreters=2) as running:
        client.post(f"{running.url}/detect", content=IMAGE)
        assert running.first_model() is not None
        push_next_version(first, tmp_path)
        assert running.swaps.get(timeout=PATIENCE_S) == 2

        def is_gone() -> bool:
            gc.collect()
            return running.first_model() is None

        wait_until(is_gone)


def test_a_broken_new_version_leaves_the_old_one_serving(tmp_path: Path, client: httpx.Client) -> None:
    first = push_small_bundle(tmp_path)
    with serve_bundle(first.parent) as running:
        (first.parent / "CURRENT").write_text("7\n")
        problem = running.problems.get(timeout=PATIENCE_S)
        assert "detector/7: no such folder" in problem
        health = client.get(f"{running.url}/healthz").json()
        assert (health["version"], health["problem"]) == (1, problem)
        assert "reefline_current_problem 1.0" in client.get(f"{running.url}/metrics").text
        assert client.post(f"{running.url}/detect", content=IMAGE).json()["version"] == 1

        (first.parent / "CURRENT").write_text("1\n")
        assert running.recoveries.get(timeout=PATIENCE_S) == 1
        assert "reefline_current_problem 0.0" in client.get(f"{running.url}/metrics").text
        push_next_version(first, tmp_path)
        assert running.swaps.get(timeout=PATIENCE_S) == 2
        assert "problem" not in client.get(f"{running.url}/healthz").json()


@pytest.mark.parametrize("is_following", [pytest.param(True, id="model"), pytest.param(False, id="version")])
def test_only_the_folder_of_a_model_is_followed(bundle: Path, is_following: bool) -> None:
    with serve_bundle(bundle.parent if is_following else bundle):
        assert ("current-watch" in {thread.name for thread in threading.enumerate()}) is is_following


def test_sigterm_ends_the_command_with_exit_code_0(bundle: Path) -> None:
    command = [sys.executable, "-m", "reefline", "serve", "--bundle", str(bundle), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(REPO_DIR)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        assert line.startswith("Serving detector version 1 on http://127.0.0.1:"), process.stderr.read()
        url = line.split()[5]
        assert httpx.post(f"{url}/detect", content=IMAGE, timeout=PATIENCE_S).status_code == 200
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, stdout) == (0, "Stopped.\n")
    assert "Traceback" not in stderr


def run(*arguments: object):
    return CliRunner().invoke(app, ["serve", *map(str, arguments)])


def test_a_port_in_use(bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("--bundle", bundle, "--port", taken.getsockname()[1])
    assert result.exit_code == 2
    assert "cannot listen there (Address already in use); choose another" in result.stderr


def test_a_folder_without_a_bundle(tmp_path: Path) -> None:
    result = run("--bundle", tmp_path, "--port", 0)
    assert result.exit_code == 2
    assert f"{tmp_path}: no bundle found; pass a model's folder" in result.stderr


def test_a_score_outside_of_0_to_1(bundle: Path) -> None:
    result = run("--bundle", bundle, "--port", 0, "--min-score", 2)
    assert result.exit_code == 2
    assert "--min-score 2.0: expected a number from 0 to 1" in result.stderr


def test_a_missing_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(extras.MODULES, Extra.SERVE, ("no_such_module",))
    result = run("--bundle", tmp_path)
    assert result.exit_code == 2
    assert "`reefline serve` needs the extra `serve`: pip install 'reefline[serve]'" in result.stderr
