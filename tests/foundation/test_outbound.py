"""The only dialler: where it goes, how long it waits, how much it takes."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ops_portal.lib import outbound
from ops_portal.lib.outbound import INVENTORY, PUBLIC, OutboundFailed, Policy
from ops_portal.lib.resilience import Deadline
from tests.pki import Authority


class _Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/").replace("~", "/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/drip":  # a byte now and then: each read is in time, the whole never
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                pass
            return
        body = b"y" * 200_000 if self.path.startswith("/large") else str(self.headers.get("Authorization")).encode()
        self.send_response(503 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)


@contextmanager
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def get(url: str, policy: Policy = INVENTORY, seconds: float = 10, **more: Any) -> outbound.Answer:
    return outbound.call("GET", url, policy=policy, deadline=Deadline.after(seconds), **more)


@pytest.mark.parametrize(
    ("address", "public", "inventory"),
    [
        ("93.184.215.14", True, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("172.16.0.9", False, True),
        ("192.168.1.1", False, True),
        ("fd00::1", False, True),
        ("::ffff:10.1.2.3", False, True),
        ("64:ff9b::a01:203", False, True),
        ("100.64.0.1", False, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:a9fe:a9fe::1", False, False),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("255.255.255.255", False, False),
    ],
)
def test_judges_addresses_by_who_named_them(address: str, public: bool, inventory: bool) -> None:
    found = ipaddress.ip_address(address)

    assert (PUBLIC.allows(found), INVENTORY.allows(found)) == (public, inventory)


def test_goes_where_a_named_network_leads() -> None:
    policy = Policy(networks=outbound.networks(["10.0.0.0/8", "169.254.1.1"]))

    assert policy.allows(ipaddress.ip_address("10.200.1.1"))
    assert policy.allows(ipaddress.ip_address("169.254.1.1"))
    assert not policy.allows(ipaddress.ip_address("192.168.0.1"))


def test_refuses_a_name_when_any_of_its_addresses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", ("93.184.215.14", port)), (2, 1, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)

    with pytest.raises(OutboundFailed) as refused:
        get("http://two-faced.example/", PUBLIC)
    assert refused.value.code == "not_allowed"
    assert "10.0.0.1" in refused.value.message


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("http:///nothing", "bad_url"),
        ("http://user:word@example.com/", "bad_url"),
        ("http://example.com:99999/", "bad_url"),
        ("http://127.0.0.1:22/", "not_allowed"),
        ("http://127.0.0.1/", "not_allowed"),
        ("http://[::ffff:127.0.0.1]/", "not_allowed"),
        ("http://2130706433/", "not_allowed"),
    ],
)
def test_refuses_what_the_policy_does_not_know(url: str, code: str) -> None:
    with pytest.raises(OutboundFailed) as refused:
        get(url, PUBLIC)
    assert refused.value.code == code


def test_answers_with_status_and_body_whatever_the_status() -> None:
    with site() as url:
        answer = get(f"{url}/broken", headers={"Authorization": "Bearer made-up"})

    assert (answer.status, answer.body) == (503, b"Bearer made-up")


def test_follows_no_redirect_unless_asked() -> None:
    with site() as url:
        assert get(f"{url}/to/~there").status == 302
        assert get(f"{url}/to/~there", redirects=1).status == 200
        with pytest.raises(OutboundFailed) as refused:
            get(f"{url}/to/~to~~to~~there", redirects=1)
    assert refused.value.code == "redirect"


def test_judges_the_target_of_a_redirect_too() -> None:
    with site() as url, pytest.raises(OutboundFailed) as refused:
        get(f"{url}/to/http:~~169.254.169.254~latest", redirects=3)
    assert refused.value.code == "not_allowed"


def test_takes_credentials_to_no_other_origin() -> None:
    with site() as first, site() as second:
        there = second.replace("/", "~")
        answer = get(f"{first}/to/{there}~x", redirects=1, headers={"Authorization": "Bearer made-up"})

    assert answer.body == b"None"


def test_stops_at_the_size_cap() -> None:
    with site() as url:
        with pytest.raises(OutboundFailed) as refused:
            get(f"{url}/large")
        assert len(get(f"{url}/large", cut=True).body) == outbound.MOST_BYTES
        assert len(get(f"{url}/large", most_bytes=300_000).body) == 200_000
    assert refused.value.code == "too_large"


def test_a_dripping_answer_ends_at_the_deadline() -> None:
    with site() as url, pytest.raises(OutboundFailed) as refused:
        get(f"{url}/drip", seconds=0.5)
    assert refused.value.code == "timeout"


def test_a_dripping_answer_on_a_kept_connection_ends_at_the_deadline() -> None:
    with site() as url, outbound.session(INVENTORY) as http:
        assert http.get(f"{url}/there", timeout=5).status_code == 200
        with pytest.raises(OutboundFailed) as refused:
            http.get(f"{url}/drip", timeout=0.5)
    assert refused.value.code == "timeout"


def test_a_server_that_never_shakes_hands_ends_at_the_deadline() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(OutboundFailed) as refused:
            get(f"https://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.5)
    assert refused.value.code == "timeout"


def test_a_second_address_gets_no_time_beyond_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one takes all of it without an answer; the second would drip for a minute."""
    with site() as url, socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # its queue is full: who comes next is not answered
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        places = [full.getsockname(), ("127.0.0.1", int(url.rpartition(":")[2]))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", place) for place in places])
        with pytest.raises(OutboundFailed) as refused:
            get("http://two-homes.example/drip", seconds=0.5)
    assert refused.value.code == "timeout"


def test_a_connection_made_after_the_deadline_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect
    rang = threading.Event()
    monkeypatch.setattr(outbound._Bell, "_ring", _then(outbound._Bell._ring, rang.set))
    monkeypatch.setattr(socket.socket, "connect", lambda self, place: (rang.wait(20), real(self, place)))
    with site() as url, pytest.raises(OutboundFailed) as refused:
        get(f"{url}/drip", seconds=0.3)
    assert refused.value.code == "timeout"


def _then(first: Callable[..., None], second: Callable[[], None]) -> Callable[..., None]:
    def both(*args: Any) -> None:
        first(*args)
        second()

    return both


def test_a_name_that_is_not_resolved_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.wait(20))

    with pytest.raises(OutboundFailed) as refused:
        get("http://slow.example/", seconds=0.3)
    asked.set()
    assert refused.value.code == "timeout"


def test_says_when_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(OutboundFailed) as refused:
        get(f"http://127.0.0.1:{port}/")
    assert refused.value.code == "refused"


def test_heeds_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    with site() as url:
        assert get(f"{url}/there").status == 200


def test_says_no_more_of_an_address_than_its_host() -> None:
    with site() as url, pytest.raises(OutboundFailed) as refused:
        get(f"{url}/large?token=made-up-secret")
    assert "made-up-secret" not in refused.value.message


def test_keeps_the_name_for_tls_when_it_dials_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = Authority()
    leaf = root.issue("portal", host="portal.example")
    (tmp_path / "root.pem").write_text(root.pem)
    (tmp_path / "leaf.pem").write_text(leaf.certificate + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem")
    seen: list[str] = []
    context.sni_callback = lambda _, name, __: seen.append(name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **more: real("127.0.0.1", port, **more))
    try:
        answer = get(f"https://portal.example:{server.server_port}/there", ca_file=str(tmp_path / "root.pem"))
        with pytest.raises(OutboundFailed) as refused:
            get(f"https://other.example:{server.server_port}/there", ca_file=str(tmp_path / "root.pem"))
    finally:
        server.shutdown()
        server.server_close()
    assert answer.status == 200
    assert seen[0] == "portal.example"
    assert refused.value.code == "tls"
