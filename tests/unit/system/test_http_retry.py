from __future__ import annotations

import datetime
import email.utils
import socket

import httpx
import pytest

from reefline.system.http_retry import is_offline, is_temporary, read_retry_after_s


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, False), (301, False), (404, False), (408, True), (410, False), (429, True), (500, True), (503, True)],
)
def test_the_state_of_the_server_is_temporary(status: int, expected: bool) -> None:
    assert is_temporary(status) is expected


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        pytest.param("", None, id="missing"),
        pytest.param(" 120 ", 120, id="seconds"),
        pytest.param("-5", None, id="negative"),
        pytest.param("\u0665", None, id="other-digits"),
        pytest.param("9" * 400, 999_999_999, id="endless"),
        pytest.param("soon", None, id="word"),
        pytest.param("Mon, 01 Jan 2001 00:00:00 GMT", 0, id="past"),
        pytest.param("Mon, 99 Jan 2001 00:00:00 GMT", None, id="no-date"),
    ],
)
def test_the_time_to_wait_is_read(text: str, expected_s: float | None) -> None:
    response = httpx.Response(503, headers={"Retry-After": text.encode()})
    assert read_retry_after_s(response) == expected_s


def test_a_date_is_a_time_to_wait() -> None:
    date = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=100)
    response = httpx.Response(503, headers={"Retry-After": email.utils.format_datetime(date, usegmt=True)})
    assert read_retry_after_s(response) == pytest.approx(100, abs=3)


def test_a_name_that_does_not_resolve_is_found_among_the_causes() -> None:
    error = httpx.ConnectError("no")
    assert not is_offline(error) and not is_offline(None)
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    assert is_offline(error)
