from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reefline.acquisition.guarded_client import (
    ALLOW_ALL,
    AddressGuard,
    BlockedAddressError,
    ClientSettings,
    IpAddress,
    is_public,
    make_client,
)
from reefline.acquisition.time_limit import TimeLimitError, limit_time
from tests.image_server import Endless, Reply, serve_images

LOOPBACK = ipaddress.ip_address("127.0.0.1")
METADATA_SERVICE = ipaddress.ip_address("169.254.169.254")


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("10.1.2.3", id="private-10"),
        pytest.param("172.16.0.1", id="private-172"),
        pytest.param("192.168.1.1", id="private-192"),
        pytest.param("169.254.169.254", id="link-local"),
        pytest.param("100.64.0.1", id="carrier-nat"),
        pytest.param("0.0.0.0", id="unspecified"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("239.255.255.250", id="multicast-local"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("240.0.0.1", id="reserved"),
        pytest.param("198.18.0.1", id="benchmarks"),
        pytest.param("203.0.113.5", id="documentation"),
        pytest.param("::1", id="loopback-6"),
        pytest.param("::", id="unspecified-6"),
        pytest.param("fe80::1", id="link-local-6"),
        pytest.param("fe80::1%eth0", id="link-local-6-with-zone"),
        pytest.param("fec0::1", id="site-local-6"),
        pytest.param("fd00::1", id="unique-local-6"),
        pytest.param("ff02::1", id="multicast-6"),
        pytest.param("2001:db8::1", id="documentation-6"),
        pytest.param("::ffff:10.0.0.1", id="mapped"),
        pytest.param("::127.0.0.1", id="compatible"),
        pytest.param("2002:7f00:1::", id="6to4"),
        pytest.param("64:ff9b::a00:1", id="nat64"),
        pytest.param("64:ff9b:1::a00:1", id="local-nat64"),
        # The client's address is the inverse of the last 32 bits: 10.0.0.1.
        pytest.param("2001:0:808:808::f5ff:fffe", id="teredo"),
        pytest.param("4000::1", id="unassigned-6"),
    ],
)
def test_addresses_inside_networks_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("8.8.8.8", id="ipv4"),
        pytest.param("2606:4700:4700::1111", id="ipv6"),
        pytest.param("::ffff:8.8.8.8", id="mapped"),
        pytest.param("64:ff9b::808:808", id="nat64"),
        pytest.param("2002:808:808::1", id="6to4"),
    ],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def answering(*answers: list[IpAddress]) -> AddressGuard:
    """Return a guard for which 127.0.0.1 is public, with a DNS server that gives one answer after the other."""
    rest: Iterator[list[IpAddress]] = iter(answers)
    return AddressGuard(is_allowed=lambda address: address == LOOPBACK, resolver=lambda *_: next(rest))


def get(guard: AddressGuard, url: str) -> httpx.Response:
    with make_client(ClientSettings(guard)) as client:
        return client.get(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"])
def test_no_spelling_of_the_loopback_is_connected_to(host: str) -> None:
    with serve_images({"/": Reply(b"secret")}) as site:
        port = site.origin.rpartition(":")[2]
        with pytest.raises(BlockedAddressError, match=r"is not on the public internet \(127\.0\.0\.1\)"):
            get(AddressGuard(), f"http://{host}:{port}/")
        assert not site.paths


def test_the_connection_is_to_the_address_that_was_checked() -> None:
    with serve_images({"/": Reply(b"fine")}) as site:
        url = f"http://name.test:{site.origin.rpartition(':')[2]}/"
        # A second look-up, by whatever connects, would get the second answer.
        guard = answering([LOOPBACK], [METADATA_SERVICE])
        with make_client(ClientSettings(guard)) as client:
            assert client.get(url).content == b"fine"
            with pytest.raises(BlockedAddressError, match=r"name\.test is not on .* \(169\.254\.169\.254\)"):
                client.get(url)


def test_only_the_allowed_of_several_addresses_are_used() -> None:
    with serve_images({"/": Reply(b"fine")}) as site:
        url = f"http://name.test:{site.origin.rpartition(':')[2]}/"
        assert get(answering([METADATA_SERVICE, LOOPBACK]), url).content == b"fine"


def test_the_next_address_is_tried_if_the_first_refuses() -> None:
    closed = ipaddress.ip_address("127.0.0.9")
    with serve_images({"/": Reply(b"fine")}) as site:
        url = f"http://name.test:{site.origin.rpartition(':')[2]}/"
        guard = AddressGuard(is_allowed=lambda _: True, resolver=lambda *_: [closed, LOOPBACK])
        assert get(guard, url).content == b"fine"


def test_a_name_that_does_not_resolve_is_a_connection_error() -> None:
    with pytest.raises(httpx.ConnectError, match=r"name\.invalid cannot be resolved"):
        get(AddressGuard(), "http://name.invalid/")


@pytest.fixture
def tls_files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of name.test that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "name.test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("name.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_certificates_are_checked_against_the_name(
    tls_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_files[0]))
    with serve_images({"/": Reply(b"fine")}, tls_files=tls_files) as site:
        port = site.origin.rpartition(":")[2]
        assert get(answering([LOOPBACK]), f"https://name.test:{port}/").content == b"fine"
        with pytest.raises(httpx.ConnectError, match=r"CERTIFICATE_VERIFY_FAILED.*other\.test"):
            get(answering([LOOPBACK]), f"https://other.test:{port}/")


def test_the_time_limit_counts_for_encrypted_answers(
    tls_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_files[0]))
    with serve_images({"/": Endless(block=b"x", pause_s=0.02)}, tls_files=tls_files) as site:
        url = f"https://name.test:{site.origin.rpartition(':')[2]}/"
        with pytest.raises(TimeLimitError, match=r"took longer than 0\.5 s"), limit_time(0.5):
            get(answering([LOOPBACK]), url)


def test_after_the_time_limit_no_further_address_is_tried() -> None:
    guard = AddressGuard(is_allowed=lambda _: True, resolver=lambda *_: [LOOPBACK] * 50)
    with serve_images({"/": Reply(b"fine")}) as site:
        with pytest.raises(TimeLimitError, match="took longer than 0 s"), limit_time(0):
            get(guard, f"http://name.test:{site.origin.rpartition(':')[2]}/")
        assert not site.paths


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with serve_images({"/": Reply(b"fine")}) as site:
        assert get(ALLOW_ALL, f"{site.origin}/").content == b"fine"


def test_a_proxy_that_is_asked_for_gets_the_request() -> None:
    replies = {"http://name.test/a": Reply(b"by proxy")}
    with serve_images(replies) as proxy, make_client(ClientSettings(proxy=proxy.origin)) as client:
        assert client.get("http://name.test/a").content == b"by proxy"


def test_cookies_are_not_kept_and_the_user_agent_names_a_contact() -> None:
    seen: list[dict[str, str]] = []
    settings = ClientSettings(ALLOW_ALL, contact="me@example.org")
    with serve_images({"/": Reply(headers={"Set-Cookie": "id=1"})}) as site, make_client(settings) as client:
        client.event_hooks["request"].append(lambda request: seen.append(dict(request.headers)))
        client.get(f"{site.origin}/")
        client.get(f"{site.origin}/")
    assert "cookie" not in seen[1]
    assert seen[0]["user-agent"].startswith("Reefline/") and "me@example.org" in seen[0]["user-agent"]
