"""What a TLS listener serves, seen over one connection and without a client certificate.

Nothing is verified here: the chain is read whatever it is worth and judged by `clusters.chains`. A listener that demands a
client certificate shows its chain all the same: under TLS 1.2 before the handshake fails, under TLS 1.3 the handshake even
succeeds and the refusal comes with the first read. So a question is asked after the handshake, and only an answer to it
counts as let in: ApiVersions of Kafka, HEAD of HTTP.

A listener may have a certificate for each of several key types and shows the one that it prefers. The others come to light
where TLS 1.2 is spoken and only cipher suites of one key type are offered: a further connection for each type that is asked for.

Only what the inventory names is dialled, and no listener that speaks in clear: there a handshake would be logged as an
attack. A probe takes five seconds at most.
"""

import select
import socket
import struct
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from OpenSSL import SSL, crypto

from clusters.chains import NotACertificate, read
from clusters.chains.names import is_address, to_ascii
from ops_portal.lib import outbound
from ops_portal.lib.resilience import Deadline, DeadlinePassed

PROBE_SECONDS = 5.0
ANSWER_SECONDS = 2.0  # within them a listener has refused the missing certificate, or taken it
DNS_SECONDS = 3.0
MOST_ADDRESSES = 8  # of one name
AT_ONCE = 64

_VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_REFUSALS = ("certificate required", "bad certificate", "handshake failure", "access denied", "certificate unknown",
             "no certificate", "unknown ca", "unsupported certificate")  # fmt: skip


class Speaks(StrEnum):
    """What a listener speaks within TLS: which question it answers."""

    KAFKA = "kafka"
    HTTP = "http"


class KeyType(StrEnum):
    """A key type that a listener can be asked for beside the one it prefers."""

    RSA = "rsa"
    ECDSA = "ecdsa"

    @property
    def label(self) -> str:
        return self.value.upper()


_SUITES = {KeyType.RSA: b"aRSA:@SECLEVEL=0", KeyType.ECDSA: b"aECDSA:@SECLEVEL=0"}
_KEYS = {"RSA": KeyType.RSA, "EC": KeyType.ECDSA}  # as `clusters.chains` calls them


class ClientAuth(StrEnum):
    """Whether a listener wants a client certificate."""

    REQUIRED = "required"
    REQUESTED = "requested"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """A listener of the inventory. `name` is shown to the server (SNI) unless it is an address.

    Each of `key_types` is asked for, unless the certificate that is shown by preference is of it.
    """

    host: str
    port: int
    speaks: Speaks = Speaks.KAFKA
    name: str = ""
    key_types: tuple[KeyType, ...] = ()


@dataclass(frozen=True, slots=True)
class Probed:
    """What one address of a listener showed. `error` is empty when its chain was read: dns, refused, timeout, closed, not_tls, ...

    `key_type` is empty for what it shows by preference.
    """

    address: str  # empty when the name did not resolve
    chain: tuple[bytes, ...] = ()  # DER, in the order in which it was sent
    version: str = ""
    client_auth: ClientAuth = ClientAuth.UNKNOWN
    accepted_cas: tuple[str, ...] = ()
    error: str = ""
    message: str = ""
    seconds: float = 0.0
    key_type: str = ""


def probe_all(targets: Collection[Target], deadline: Deadline) -> Mapping[Target, tuple[Probed, ...]]:
    """Every address of every target, once. A target that was not reached before the deadline has the error `timeout`."""
    found: dict[Target, tuple[Probed, ...]] = {}
    pool = ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, len(targets))), thread_name_prefix="tls-probe")
    try:
        futures = {pool.submit(probe, target, deadline): target for target in targets}
        done, _ = wait(futures, timeout=deadline.remaining())
        for future, target in futures.items():
            late = Probed("", error="timeout", message="There was no time left to look at it.")
            found[target] = future.result() if future in done else (late,)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def probe(target: Target, deadline: Deadline) -> tuple[Probed, ...]:
    """What each address of the target serves, what it prefers first; never empty, never raises."""
    try:
        seconds = deadline.timeout(DNS_SECONDS)
        rows = outbound.resolve(target.host.strip("[]"), target.port, outbound.INVENTORY, seconds)
    except outbound.OutboundFailed as failed:
        return (Probed("", error=failed.code, message=failed.message),)
    except DeadlinePassed:
        return (Probed("", error="timeout", message="There was no time left to look at it."),)
    places = {str(row[4][0]): (row[0], row[4]) for row in rows}
    found: list[Probed] = []
    for address, (family, place) in list(places.items())[:MOST_ADDRESSES]:
        own = Deadline(min(deadline.at, Deadline.after(PROBE_SECONDS).at))
        preferred = _probe_address(target, family, place, address, own)
        found.append(preferred)
        for key_type in _other_types(target, preferred):
            other = _probe_address(target, family, place, address, own, key_type)
            if other.chain[:1] == preferred.chain[:1]:
                continue
            if other.chain or other.error in {"timeout", "refused", "unreachable"}:  # else it has none of this type
                found.append(replace(other, key_type=key_type.value))
    return tuple(found)


def _other_types(target: Target, preferred: Probed) -> list[KeyType]:
    """Key types to ask for beside what was shown."""
    if not preferred.chain or not target.key_types:
        return []
    try:
        shown = _KEYS.get(read(preferred.chain[0]).key_type)
    except NotACertificate:
        shown = None
    return [one for one in target.key_types if one is not shown]


def _probe_address(
    target: Target, family: socket.AddressFamily, place: tuple[object, ...], address: str, own: Deadline,
    key_type: KeyType | None = None,
) -> Probed:  # fmt: skip
    begun = time.monotonic()
    try:
        with socket.socket(family, socket.SOCK_STREAM) as link:
            link.settimeout(own.timeout(PROBE_SECONDS))
            link.connect(place)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setblocking(False)
            found = _talk(target, link, address, own, key_type)
    except (TimeoutError, DeadlinePassed):
        found = Probed(address, error="timeout", message=f"{_place(target)} does not take the connection in time.")
    except ConnectionRefusedError:
        found = Probed(address, error="refused", message=f"Nothing listens at {_place(target)} (connection refused).")
    except (OSError, SSL.Error) as error:
        text = f"{_place(target)} cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}."
        found = Probed(address, error="unreachable", message=text)
    return replace(found, seconds=round(time.monotonic() - begun, 3))


def _talk(target: Target, link: socket.socket, address: str, deadline: Deadline, key_type: KeyType | None) -> Probed:
    """Handshake, look at the chain, ask, and see whether the question is answered."""
    states: set[str] = set()
    tls = SSL.Connection(_context(key_type), link)
    tls.set_info_callback(
        lambda connection, where, _: states.add(connection.get_state_string().decode("ascii", "replace"))
    )
    name = target.name or target.host
    if not is_address(name):
        tls.set_tlsext_host_name(to_ascii(name).encode())
    tls.set_connect_state()
    refusal = _step(tls.do_handshake, link, deadline)
    chain, names = _chain(tls), _accepted(tls)
    asked = bool(names) or any("certificate request" in state for state in states)
    if not chain:
        return _no_chain(target, address, refusal)
    client_auth = _refused_or(refusal, asked, ClientAuth.UNKNOWN)
    if refusal is None:
        client_auth = _question(target, tls, link, deadline, asked)
    version = _VERSIONS.get(tls.get_protocol_version(), tls.get_protocol_version_name())
    return Probed(address, chain, version, client_auth, names)


def _question(target: Target, tls: SSL.Connection, link: socket.socket, deadline: Deadline, asked: bool) -> ClientAuth:
    """Whether the listener talks to somebody without a certificate."""
    question = _http_question(target) if target.speaks is Speaks.HTTP else _api_versions()
    soon = Deadline.after(min(ANSWER_SECONDS, deadline.remaining()))
    refusal = _step(lambda: tls.send(question), link, soon)
    if refusal is None:
        refusal = _step(lambda: tls.recv(1), link, soon)
    if refusal is None:
        return ClientAuth.REQUESTED if asked else ClientAuth.NONE
    return _refused_or(refusal, asked, ClientAuth.UNKNOWN if asked else ClientAuth.NONE)


def _refused_or(refusal: str | None, asked: bool, otherwise: ClientAuth) -> ClientAuth:
    """Required when the listener has asked for a certificate and then refused or hung up."""
    if refusal is None or not asked:
        return otherwise
    refused = refusal in {"closed", "reset"} or any(word in refusal for word in _REFUSALS)
    return ClientAuth.REQUIRED if refused else otherwise


def _no_chain(target: Target, address: str, refusal: str | None) -> Probed:
    place = _place(target)
    match refusal:
        case None:
            return Probed(address, error="no_certificate", message=f"{place} showed no certificate.")
        case "timeout":
            return Probed(address, error="timeout", message=f"{place} did not finish the TLS handshake in time.")
        case "closed" | "reset":
            text = f"{place} closed the connection during the TLS handshake."
            return Probed(address, error="closed", message=text)
        case text if any(word in text for word in ("wrong version number", "http request", "packet length")):
            return Probed(address, error="not_tls", message=f"{place} does not speak TLS.")
        case text if "excessive message size" in text:
            return Probed(address, error="too_large", message=f"{place} sends a chain of more than 100 KB.")
        case text:
            return Probed(address, error="tls", message=f"{place} refused the TLS handshake: {text[:120]}.")


def _step(call: Callable[[], object], link: socket.socket, deadline: Deadline) -> str | None:
    """Run one call to its end. None, or why it failed: timeout, closed, reset, or OpenSSL's words."""
    while True:
        try:
            call()
        except SSL.WantReadError:
            ready = _await(link, deadline, reading=True)
        except SSL.WantWriteError:
            ready = _await(link, deadline, reading=False)
        except SSL.ZeroReturnError:
            return "closed"
        except SSL.SysCallError as error:
            return "closed" if error.args[:1] == (-1,) else "reset"
        except SSL.Error as error:
            return _words(error)
        except OSError:
            return "reset"
        else:
            return None
        if not ready:
            return "timeout"


def _await(link: socket.socket, deadline: Deadline, *, reading: bool) -> bool:
    seconds = deadline.remaining()
    poll = select.poll()
    poll.register(link, select.POLLIN if reading else select.POLLOUT)
    return seconds > 0 and bool(poll.poll(seconds * 1000))


def _words(error: SSL.Error) -> str:
    reasons = [str(one[-1]) for one in (error.args[0] if error.args and isinstance(error.args[0], list) else [])]
    text = "; ".join(reason for reason in reasons if reason)
    return "closed" if "unexpected eof" in text else text or "an error without words"


def _chain(tls: SSL.Connection) -> tuple[bytes, ...]:
    found = tls.get_peer_cert_chain() or ()
    return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, one) for one in found)


def _accepted(tls: SSL.Connection) -> tuple[str, ...]:
    """Names of the authorities whose client certificates are taken."""
    names = tls.get_client_ca_list()
    return tuple(",".join(f"{key.decode()}={value.decode('utf-8', 'replace')}".replace("\0", "\ufffd") for key, value in reversed(one.get_components())) for one in names[:200])  # fmt: skip


@cache
def _context(key_type: KeyType | None = None) -> SSL.Context:
    """Takes whatever the server offers: an old version or a weak key is to be seen and told, not avoided.

    With a key type only that one: cipher suites name it up to TLS 1.2.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE, None)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if key_type is not None:
        context.set_cipher_list(_SUITES[key_type])
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    return context


def _api_versions() -> bytes:
    """ApiVersions, version 0: the one request that every Kafka listener answers, before any sign-in."""
    client = b"ops-portal-certificates"
    body = struct.pack(">hhih", 18, 0, 1, len(client)) + client
    return struct.pack(">i", len(body)) + body


def _http_question(target: Target) -> bytes:
    return f"HEAD / HTTP/1.1\r\nHost: {to_ascii(target.host)}\r\nConnection: close\r\n\r\n".encode()


def _place(target: Target) -> str:
    return f"{target.host}:{target.port}"
