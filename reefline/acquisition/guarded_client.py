"""An HTTP client that connects to public addresses only, whatever a URL, a redirect or a DNS server names."""

from __future__ import annotations

import ipaddress
import socket
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Union

from reefline import __version__

if TYPE_CHECKING:
    import httpx

IpAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Resolver = Callable[[str, int], Sequence[IpAddress]]

_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 20.0
_MAX_REDIRECTS = 5
# All global unicast addresses of IPv6 are in here so far (RFC 4291, section 2.4; IANA's registry).
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# IPv4 inside IPv6: RFC 6052 (NAT64) and RFC 8215 (its local prefix), in the last 32 bits of the prefixes in use.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


class BlockedAddressError(Exception):
    """A host without an address that may be connected to."""


def is_public(address: IpAddress) -> bool:
    """Return whether an address is one of the public internet.

    Private, loopback, link-local, multicast, reserved and documentation addresses are not, nor are those of carriers'
    NAT (RFC 6598). An IPv6 address with an IPv4 address inside (IPv4-mapped, 6to4, Teredo, NAT64) is only public if
    that one is, too.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    embedded = _find_embedded(address)
    if embedded is not None:
        return is_public(embedded)
    return address in _GLOBAL_UNICAST and address.is_global


def _find_embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def resolve(host: str, port: int) -> list[IpAddress]:
    """Return the addresses of a host, in the order to try them.

    Raises:
        OSError: it cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0])) for entry in found]


@dataclass(frozen=True)
class AddressGuard:
    """Which addresses may be connected to, and how names become addresses."""

    is_allowed: Callable[[IpAddress], bool] = is_public
    resolver: Resolver = resolve

    def find_allowed(self, host: str, port: int) -> list[IpAddress]:
        """Return the allowed addresses of a host.

        Raises:
            BlockedAddressError: it has none.
            OSError: it cannot be resolved.
        """
        addresses = self.resolver(host, port)
        allowed = [address for address in addresses if self.is_allowed(address)]
        if not allowed:
            found = ", ".join(dict.fromkeys(str(address) for address in addresses)) or "no address"
            raise BlockedAddressError(f"{host} is not on the public internet ({found})")
        return allowed


ALLOW_ALL = AddressGuard(is_allowed=lambda _: True)


@dataclass(frozen=True)
class ClientSettings:
    """How to connect: `contact` goes into the User-Agent; with a `proxy`, it is the proxy that resolves names."""

    guard: AddressGuard = field(default_factory=AddressGuard)
    contact: str = ""
    proxy: str | None = None
    connect_timeout_s: float = _CONNECT_TIMEOUT_S
    read_timeout_s: float = _READ_TIMEOUT_S

    @property
    def user_agent(self) -> str:
        """The User-Agent: what it is, and who to write to (Wikimedia's User-Agent policy)."""
        return f"Reefline/{__version__} ({self.contact or 'image downloads for a data set'})"


def make_client(settings: ClientSettings) -> httpx.Client:
    """Return a client that only connects to addresses that the guard allows, and to no proxy of the environment.

    It follows redirects only if a request asks for it, five at most, and keeps no cookies.
    """
    import httpx

    # A certificate authority of the environment (SSL_CERT_FILE) still counts.
    tls = httpx.create_ssl_context(trust_env=True)
    return httpx.Client(
        transport=_make_transport(settings, tls),
        timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
        headers={"User-Agent": settings.user_agent},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        max_redirects=_MAX_REDIRECTS,
        trust_env=False,
    )


def _make_transport(settings: ClientSettings, tls: typing.Any) -> httpx.HTTPTransport:
    import httpx

    from reefline.acquisition.guarded_network import GuardedBackend

    transport = httpx.HTTPTransport(verify=tls, proxy=settings.proxy)
    # A proxy may have any address: it is named by the user, not by a URL.
    guard = settings.guard if settings.proxy is None else ALLOW_ALL
    # httpx has no parameter for it.
    transport._pool._network_backend = GuardedBackend(guard)
    return transport


def check_literal_address(url: httpx.URL, guard: AddressGuard) -> None:
    """Check a URL whose host is an address: behind a proxy it is the only host that can be checked here.

    Raises:
        BlockedAddressError: the address is not allowed.
    """
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return
    if not guard.is_allowed(address):
        raise BlockedAddressError(f"{url.host} is not on the public internet")
