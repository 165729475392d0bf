"""One connection to one broker for the portal's own requests (`kafka_wire`): TLS, signing in, one request at a time."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import select
import socket
import ssl
import struct
import time
from collections.abc import Generator, Mapping

from clusters.gateways import kafka_wire as wire

# What this file knows to follow; with any other property the client library reads alone.
KNOWN = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.username",
        "sasl.password",
        "ssl.ca.pem",
        "ssl.certificate.pem",
        "ssl.key.pem",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
        "ssl.cipher.suites",
        "client.id",
        "client.dns.lookup",
        "broker.address.family",
        "socket.connection.setup.timeout.ms",
        "connections.max.idle.ms",
    }
)
_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_FAMILIES = {"v4": socket.AF_INET, "v6": socket.AF_INET6}
_MOST_BYTES = 256 * 1024 * 1024
_MOST_ROUNDS = 1_000_000  # of SCRAM: more would be an attack on the one who signs in

# What opening or using a link raises when the broker or the network does not do its part.
FAULTS = (OSError, EOFError, wire.WireFault, struct.error, LookupError, ValueError)


def can_follow(properties: Mapping[str, str]) -> bool:
    """Whether links obey all of a cluster's client properties."""
    signs_in = properties.get("security.protocol", "").upper().startswith("SASL")
    return properties.keys() <= KNOWN and (not signs_in or properties.get("sasl.mechanism", "") in {"PLAIN", *_HASHES})


class Link:
    """Open on return. Raises one of FAULTS. `seconds` bounds every wait."""

    def __init__(self, host: str, port: int, properties: Mapping[str, str], seconds: float) -> None:
        self._name = properties.get("client.id", "ops-portal")
        self._number = 0
        self._api = 0
        self._until = float("inf")
        self._socket = _connected(host, port, properties.get("broker.address.family", "any"), seconds)
        try:
            self._secure(host, properties, seconds)
        except BaseException:
            self.close()
            raise

    @property
    def gone(self) -> bool:
        """The broker has ended it while nothing was asked, or wants to be told again who this is."""
        watch = select.poll()
        watch.register(self._socket, select.POLLIN)
        return time.monotonic() >= self._until or bool(watch.poll(0))

    def ask(self, api: int, body: bytes, seconds: float) -> None:
        """Send a request; `answer` is next."""
        self._number, self._api = self._number + 1, api
        self._socket.settimeout(seconds)
        self._socket.sendall(wire.framed(api, self._number, self._name, body))

    def answer(self, seconds: float) -> tuple[bytes, int]:
        """The answer and where its body begins."""
        ends_at = time.monotonic() + seconds
        (length,) = struct.unpack(">i", self._exactly(4, ends_at))
        if not 4 <= length <= _MOST_BYTES:
            raise wire.WireFault(f"an answer of {length} bytes")
        found = self._exactly(length, ends_at)
        return found, wire.body_of(self._api, self._number, found)

    def close(self) -> None:
        self._socket.close()

    def __del__(self) -> None:
        if hasattr(self, "_socket"):
            self.close()

    def _exactly(self, size: int, ends_at: float) -> bytes:
        found = bytearray(size)
        rest = memoryview(found)
        while rest:
            self._socket.settimeout(max(0.001, ends_at - time.monotonic()))
            count = self._socket.recv_into(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return bytes(found)

    def _asked(self, api: int, body: bytes, seconds: float) -> tuple[bytes, int]:
        self.ask(api, body, seconds)
        return self.answer(seconds)

    def _secure(self, host: str, properties: Mapping[str, str], seconds: float) -> None:
        protocol = properties.get("security.protocol", "PLAINTEXT").upper()
        if protocol.endswith("SSL"):
            self._socket = _tls(properties).wrap_socket(self._socket, server_hostname=host)
        if not wire.can_serve(*self._asked(wire.API_VERSIONS, b"", seconds)):
            raise wire.WireFault("a broker that does not know what is asked here")
        if protocol.startswith("SASL"):
            mechanism = properties["sasl.mechanism"]
            answer, at = self._asked(wire.SASL_HANDSHAKE, wire.handshake(mechanism), seconds)
            if struct.unpack_from(">h", answer, at)[0]:
                raise wire.WireFault(f"a broker without {mechanism}")
            user, password = properties.get("sasl.username", ""), properties.get("sasl.password", "")
            lifetime = 0.0
            words = plain(user, password) if mechanism == "PLAIN" else scram(_HASHES[mechanism], user, password)
            said = next(words)
            with contextlib.suppress(StopIteration):
                while True:
                    answer, at = self._asked(wire.SASL_AUTHENTICATE, wire.authenticate(said), seconds)
                    reply, lifetime = wire.authenticated(answer, at)
                    said = words.send(reply)
            if lifetime:
                self._until = time.monotonic() + 0.8 * lifetime


def _connected(host: str, port: int, family: str, seconds: float) -> socket.socket:
    last: Exception = OSError(f"{host} has no address")
    for kind, _, _, _, address in socket.getaddrinfo(host, port, _FAMILIES.get(family, 0), socket.SOCK_STREAM):
        found = socket.socket(kind, socket.SOCK_STREAM)
        found.settimeout(seconds)
        try:
            found.connect(address)
        except OSError as error:
            found.close()
            last = error
            continue
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found
    raise last


def _tls(properties: Mapping[str, str]) -> ssl.SSLContext:
    """As the client library does it: the broker's certificate is always checked, its name unless that is switched off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = properties.get("ssl.endpoint.identification.algorithm", "https").lower() != "none"
    if authorities := properties.get("ssl.ca.pem"):
        context.load_verify_locations(cadata=authorities)
    else:
        context.load_default_certs()
    if suites := properties.get("ssl.cipher.suites"):
        context.set_ciphers(suites)
    if own := properties.get("ssl.certificate.pem"):
        pair = f"{own}\n{properties.get('ssl.key.pem', '')}\n".encode()
        memory = os.memfd_create("pair")  # the context reads files only; this one is on no disk
        try:
            os.write(memory, pair)
            context.load_cert_chain(f"/proc/self/fd/{memory}", password=properties.get("ssl.key.password", ""))
        finally:
            os.close(memory)
    return context


def plain(user: str, password: str) -> Generator[bytes, bytes, None]:
    """What to say to sign in with PLAIN (RFC 4616); send in what the broker answers."""
    yield f"\0{user}\0{password}".encode()


def scram(name: str, user: str, password: str, nonce: str | None = None) -> Generator[bytes, bytes, None]:
    """Likewise with SCRAM (RFC 5802) and the hash `name`. Raises WireFault when the broker does not know the password."""
    own = nonce or secrets.token_urlsafe(24)
    first = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={own}"
    challenge = (yield f"n,,{first}".encode()).decode()
    given = dict(part.split("=", 1) for part in challenge.split(",") if "=" in part)
    rounds = int(given.get("i", "0"))
    if not given.get("r", "").startswith(own) or not 1 <= rounds <= _MOST_ROUNDS:
        raise wire.WireFault("a broker that does not follow SCRAM")
    salted = hashlib.pbkdf2_hmac(name, password.encode(), base64.b64decode(given["s"]), rounds)
    key = hmac.digest(salted, b"Client Key", name)
    last = f"c=biws,r={given['r']}"
    message = f"{first},{challenge},{last}".encode()
    signature = hmac.digest(hashlib.new(name, key).digest(), message, name)
    proof = bytes(mine ^ theirs for mine, theirs in zip(key, signature, strict=True))
    verdict = (yield f"{last},p={base64.b64encode(proof).decode()}".encode()).decode()
    expected = hmac.digest(hmac.digest(salted, b"Server Key", name), message, name)
    if verdict != f"v={base64.b64encode(expected).decode()}":
        raise wire.WireFault("a broker that does not know the password")
