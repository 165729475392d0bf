"""Where an outside call may go: its URL, the addresses of its name, and the policy that judges both.

Part of `ops_portal.lib.outbound`, which offers all of it.
"""

import contextlib
import ipaddress
import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class OutboundFailed(Exception):
    """The call brought no answer. `code`: bad_url, dns, not_allowed, refused, timeout, tls, too_large, redirect, protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Policy:
    """Where a call may go. Global addresses always; `private` and loopback ones only to targets that an administrator entered.

    Nothing leads to link-local (cloud metadata), multicast, unspecified or reserved addresses, unless `networks` names them.
    """

    private: bool = False
    networks: tuple[Network, ...] = ()  # allowed besides
    ports: frozenset[int] | None = None  # None = any
    schemes: frozenset[str] = frozenset({"http", "https"})

    def allows(self, address: Address) -> bool:
        address = _embedded(address)
        if any(address in network for network in self.networks if network.version == address.version):
            return True
        if address.is_loopback:
            return self.private
        if address.is_multicast or address.is_unspecified or address.is_link_local or address.is_reserved:
            return False
        return address.is_global or (self.private and address.is_private)


PUBLIC = Policy(ports=frozenset({80, 443, 8080, 8443}))
INVENTORY = Policy(private=True)  # addresses of the inventory: entered by an administrator, audited


def networks(texts: list[str]) -> tuple[Network, ...]:
    """Networks or single addresses written as text. Raises ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def check_url(url: str, policy: Policy) -> None:
    """Raises OutboundFailed for a URL that must not be dialled, as far as its text tells."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise OutboundFailed("bad_url", "The address is not a valid URL.") from error
    if parts.scheme not in policy.schemes or not parts.hostname:
        raise OutboundFailed("bad_url", f"The address must begin with {' or '.join(sorted(policy.schemes))}.")
    if parts.username is not None or parts.password is not None:
        raise OutboundFailed("bad_url", "Name and password do not belong in the address.")
    if policy.ports is not None and port not in policy.ports:
        raise OutboundFailed("not_allowed", f"Port {port} is not one that the portal calls.")


def resolve(host: str, port: int, policy: Policy, seconds: float) -> list[tuple[Any, ...]]:
    """getaddrinfo's rows of a name, all of them allowed. Raises OutboundFailed."""
    try:
        rows = _looked_up(host, port, seconds)
    except NotInTime:
        raise OutboundFailed("timeout", f"The name {host} was not resolved in time.") from None
    except (OSError, UnicodeError) as error:
        raise OutboundFailed("dns", f"The name {host} cannot be resolved.") from error
    for row in rows:
        address = ipaddress.ip_address(str(row[4][0]).partition("%")[0])
        if not policy.allows(address):
            raise OutboundFailed("not_allowed", f"{host} leads to {address}, which the portal does not call.")
    return rows


def place_of(url: str) -> str:
    """Scheme and host of a URL: what follows may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "the address"


def _looked_up(host: str, port: int, seconds: float) -> list[tuple[Any, ...]]:
    """getaddrinfo in a thread of its own, for it knows no timeout. A literal address needs none."""

    def look() -> list[tuple[Any, ...]]:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.partition("%")[0])
        return look()
    found: Future[list[tuple[Any, ...]]] = Future()

    def run() -> None:
        try:
            found.set_result(look())
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            found.set_exception(error)

    threading.Thread(target=run, daemon=True, name="outbound-dns").start()
    return found.result(timeout=seconds)


def _embedded(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one: mapped, 6to4 and NAT64 lead to it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(address.packed[-4:])
        return address.ipv4_mapped or address.sixtofour or address
    return address
