"""TLS servers of every temper on loopback, for tests of the probe."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clusters.certificates.make import Made

Talk = Callable[[ssl.SSLSocket], None]


def answers(link: ssl.SSLSocket) -> None:
    """Read what comes, say something back."""
    if link.recv(4096):
        link.sendall(b"\0\0\0\6\0\0\0\1\0\0")


def silent(link: ssl.SSLSocket) -> None:
    """Never say anything."""
    while link.recv(4096):
        pass


def closes(link: ssl.SSLSocket) -> None:
    """Hang up at once."""


def context_of(
    chain: list[Made],
    place: Path,
    *,
    version: ssl.TLSVersion | None = None,
    client_auth: ssl.VerifyMode = ssl.CERT_NONE,
    accepted: Made | None = None,
) -> ssl.SSLContext:
    """A server's context that serves the chain with the first one's key."""
    own = place / f"{chain[0].certificate.fingerprint[:16]}.pem"
    own.write_bytes(chain[0].key_pem + b"".join(one.pem for one in chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(own)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    context.verify_mode = client_auth
    if accepted is not None:
        context.load_verify_locations(cadata=accepted.pem.decode())  # this library sends no list of names, though
    return context


@contextmanager
def serving(context: ssl.SSLContext, talk: Talk = answers) -> Iterator[int]:
    """A TLS server; yields its port."""

    def handle(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as link:
            talk(link)

    with _listening(handle) as port:
        yield port


@contextmanager
def plain(greet: bytes = b"", *, wait: bool = False) -> Iterator[int]:
    """A server that speaks in clear: sends `greet` and hangs up, or keeps still until the other side goes."""

    def handle(raw: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if greet:
                raw.recv(4096)
                raw.sendall(greet)
            while wait and raw.recv(4096):
                pass

    with _listening(handle) as port:
        yield port


@contextmanager
def _listening(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=600)
    listener.settimeout(0.2)
    ending = threading.Event()

    def run_one(raw: socket.socket) -> None:
        raw.settimeout(20)
        with raw:
            handle(raw)

    def run() -> None:
        while not ending.is_set():
            with contextlib.suppress(TimeoutError):
                raw, _ = listener.accept()
                threading.Thread(target=run_one, args=(raw,), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ending.set()
        thread.join(5)
        listener.close()
