"""What a probe sees of listeners: its own servers, OpenSSL's, and a real broker with mutual TLS."""

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.chains import read
from clusters.gateways import tls
from clusters.gateways.tls import ClientAuth, KeyType, Probed, Speaks, Target, probe, probe_all
from ops_portal.lib import outbound
from ops_portal.lib.kafka_runner import free_ports
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.clusters.certificates.make import HOST, Made, authority, leaf, root
from tests.clusters.certificates.servers import closes, context_of, plain, serving, silent
from tests.secured_kafka import SecuredKafka, secured_kafka

__all__ = ["secured_kafka"]

VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(scope="module")
def chain() -> list[Made]:
    top = root()
    low = authority(top)
    return [leaf(low), low, top]


def seen(port: int, **options: object) -> Probed:
    (found,) = probe(Target("127.0.0.1", port, **options), Deadline.after(10))  # type: ignore[arg-type]
    return found


def served(found: Probed) -> list[str]:
    return [read(one).common_name for one in found.chain]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wanted", [ClientAuth.NONE, ClientAuth.REQUESTED, ClientAuth.REQUIRED])
def test_chain_version_and_demand_are_read_without_a_client_certificate(
    version: str, wanted: ClientAuth, chain: list[Made], tmp_path: Path
) -> None:
    modes = {
        ClientAuth.NONE: ssl.CERT_NONE,
        ClientAuth.REQUESTED: ssl.CERT_OPTIONAL,
        ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
    }
    accepted = None if wanted is ClientAuth.NONE else chain[2]
    context = context_of(chain[:2], tmp_path, version=VERSIONS[version], client_auth=modes[wanted], accepted=accepted)
    with serving(context) as port:
        found = seen(port)
    assert (found.error, found.version, found.client_auth) == ("", version, wanted)
    assert served(found) == ["kafka-1", "Northgate Kafka CA"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_demand_without_a_list_of_authorities_is_seen(version: str, chain: list[Made], tmp_path: Path) -> None:
    context = context_of(chain[:2], tmp_path, version=VERSIONS[version], client_auth=ssl.CERT_REQUIRED)
    with serving(context) as port:
        found = seen(port)
    assert (found.client_auth, found.accepted_cas, len(found.chain)) == (ClientAuth.REQUIRED, (), 2)


def test_a_listener_that_never_answers_is_not_said_to_accept(
    chain: list[Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "ANSWER_SECONDS", 0.2)
    context = context_of(chain[:2], tmp_path, client_auth=ssl.CERT_OPTIONAL, accepted=chain[2])
    with serving(context, silent) as port:
        found = seen(port)
    assert (found.error, found.client_auth, len(found.chain)) == ("", ClientAuth.UNKNOWN, 2)


def test_a_listener_that_asks_for_nothing_and_hangs_up_demands_nothing(chain: list[Made], tmp_path: Path) -> None:
    with serving(context_of(chain[:1], tmp_path), closes) as port:
        assert seen(port).client_auth is ClientAuth.NONE


def test_http_is_asked_in_its_own_words(chain: list[Made], tmp_path: Path) -> None:
    heard: list[bytes] = []

    def talk(link: ssl.SSLSocket) -> None:
        heard.append(link.recv(4096))
        link.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serving(context_of(chain[:1], tmp_path), talk) as port:
        found = seen(port, speaks=Speaks.HTTP)
    assert found.client_auth is ClientAuth.NONE
    assert heard[0].startswith(b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n")


def test_the_advertised_name_is_shown_but_never_an_address(chain: list[Made], tmp_path: Path) -> None:
    context, names = context_of(chain[:1], tmp_path), []
    context.sni_callback = lambda link, name, _: names.append(name)
    with serving(context) as port:
        probe(Target("127.0.0.1", port, name=HOST), Deadline.after(5))
        probe(Target("127.0.0.1", port), Deadline.after(5))
    assert names == [HOST, None]


def test_weak_keys_and_expired_certificates_are_fetched_like_any_other(tmp_path: Path) -> None:
    weak = leaf(None, HOST, kind="rsa1024")
    with serving(context_of([weak], tmp_path)) as port:
        assert read(seen(port).chain[0]).key_bits == 1024


@pytest.mark.parametrize(
    ("greet", "wait", "error"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "not_tls"), (b"", False, "closed")]
)
def test_a_listener_without_tls_is_told(greet: bytes, wait: bool, error: str) -> None:
    with plain(greet, wait=wait) as port:
        found = seen(port)
    assert (found.error, found.chain) == (error, ())
    assert f"127.0.0.1:{port}" in found.message


def test_a_listener_that_keeps_still_costs_no_more_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "PROBE_SECONDS", 0.3)
    with plain(wait=True) as port:
        found = seen(port)
    assert found.error == "timeout"


def test_nothing_listens() -> None:
    (port,) = free_ports(1)
    assert seen(port).error == "refused"


def test_a_name_that_does_not_resolve() -> None:
    (found,) = probe(Target("broker.invalid", 9093), Deadline.after(5))
    assert (found.error, found.address) == ("dns", "")


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "224.0.0.1"])
def test_addresses_that_no_broker_has_are_not_dialled(host: str) -> None:
    (found,) = probe(Target(host, 9093), Deadline.after(5))
    assert found.error == "not_allowed"


def test_every_address_of_a_name_is_probed(chain: list[Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(context_of(chain[:1], tmp_path)) as port:
        rows = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port)),
        ]
        monkeypatch.setattr(outbound, "resolve", lambda *_: rows)
        found = probe(Target("kafka.example", port), Deadline.after(5))
    assert [(one.address, one.error) for one in found] == [("127.0.0.1", ""), ("127.0.0.2", "refused")]


def test_many_listeners_are_probed_at_once_and_a_slow_one_holds_up_none(
    chain: list[Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "PROBE_SECONDS", 2.0)
    with serving(context_of(chain[:2], tmp_path)) as port, plain(wait=True) as slow:
        good = [Target("127.0.0.1", port, name=f"broker-{number}.example") for number in range(40)]
        found = probe_all([*good, Target("127.0.0.1", slow)], Deadline.after(30))
    assert len(found) == 41
    assert {one.error for target in good for one in found[target]} == {""}
    assert found[Target("127.0.0.1", slow)][0].error == "timeout"


def test_without_time_left_nothing_is_dialled() -> None:
    found = probe_all([Target("127.0.0.1", 1)], Deadline.after(0))
    assert found[Target("127.0.0.1", 1)][0].error == "timeout"


def pair(place: Path, issuer: Made, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's context with a certificate of each key type."""
    other = leaf(issuer, "kafka-1 of RSA", kind="rsa2048")
    context = context_of([leaf(issuer), issuer], place, version=version)
    (place / "rsa.pem").write_bytes(other.key_pem + other.pem + issuer.pem)
    context.load_cert_chain(place / "rsa.pem")
    return context


def test_a_pair_of_key_types_is_seen_when_both_are_asked_for(chain: list[Made], tmp_path: Path) -> None:
    with serving(pair(tmp_path, chain[1])) as port:
        (alone,) = probe(Target("127.0.0.1", port), Deadline.after(10))
        found = probe(Target("127.0.0.1", port, key_types=tuple(KeyType)), Deadline.after(10))
    assert [(one.key_type, one.error, one.version) for one in found] == [("", "", "TLS 1.3"), ("rsa", "", "TLS 1.2")]
    assert [served(one)[0] for one in (alone, *found)] == ["kafka-1", "kafka-1", "kafka-1 of RSA"]


@pytest.mark.parametrize("kind", ["ec256", "rsa2048", "ed25519"])
def test_a_listener_of_one_key_type_has_one_certificate_whatever_is_asked_for(
    kind: str, chain: list[Made], tmp_path: Path
) -> None:
    with serving(context_of([leaf(chain[1], kind=kind), chain[1]], tmp_path)) as port:
        found = probe(Target("127.0.0.1", port, key_types=tuple(KeyType)), Deadline.after(10))
    assert [one.key_type for one in found] == [""]


def test_over_tls_1_3_alone_the_preferred_one_of_a_pair_is_seen(chain: list[Made], tmp_path: Path) -> None:
    with serving(pair(tmp_path, chain[1], ssl.TLSVersion.TLSv1_3)) as port:
        found = probe(Target("127.0.0.1", port, key_types=tuple(KeyType)), Deadline.after(10))
    assert [one.key_type for one in found] == [""]


# --- OpenSSL's server -------------------------------------------------------------------------------------------------


@pytest.fixture
def s_server(chain: list[Made], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    (port,) = free_ports(1)
    (tmp_path / "own.pem").write_bytes(chain[0].key_pem + chain[0].pem)
    (tmp_path / "ca.pem").write_bytes(chain[1].pem + chain[2].pem)
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "own.pem", "-key", "own.pem", "-quiet"]
    command += ["-cert_chain", "ca.pem", "-CAfile", "ca.pem", *request.param]
    server = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert wait_until(lambda: _open(port), seconds=10)
        yield port
    finally:
        server.kill()
        server.communicate()


def _open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.mark.parametrize("s_server", [["-Verify", "2", "-tls1_2"], ["-Verify", "2", "-tls1_3"]], indirect=True)
def test_openssl_s_demand_for_a_certificate_is_seen_every_time(s_server: int) -> None:
    for _ in range(20):
        found = seen(s_server)
        assert (found.error, found.client_auth) == ("", ClientAuth.REQUIRED)
        assert served(found)[:2] == ["kafka-1", "Northgate Kafka CA"]
        assert "CN=Northgate Root CA" in found.accepted_cas


# --- a real broker ----------------------------------------------------------------------------------------------------


def test_a_broker_with_mutual_tls_shows_its_chain_and_whom_it_lets_in(secured_kafka: SecuredKafka) -> None:
    found = seen(secured_kafka.secure_port, name="localhost")
    assert (found.error, found.client_auth) == ("", ClientAuth.REQUIRED)
    own = secured_kafka.authority.certificate("broker-1")
    assert read(found.chain[0]).serial == f"{own.serial_number:x}"
    assert len(found.chain) == 2
    assert len(found.accepted_cas) == 1


def test_a_broker_s_listener_in_clear_is_no_tls(secured_kafka: SecuredKafka) -> None:
    port = int(secured_kafka.bootstrap.rpartition(":")[2])
    assert seen(port).error in {"not_tls", "closed"}
