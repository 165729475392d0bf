"""Offsets of many groups at once: what the portal's own requests read equals what the client library reads."""

import base64
import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from clusters.gateways import kafka_bulk, kafka_link, kafka_wire
from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_bulk import BulkReader
from clusters.gateways.kafka_client import KafkaClient
from clusters.ports import Broker, FoundOffset, OffsetSpec, Partition, RequestCount
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.resilience import Deadline
from tests.clusters.kafka_helpers import commit
from tests.kafka_fixtures import TopicFactory


@pytest.fixture
def both(kafka: KafkaCluster) -> tuple[ConfluentKafka, ConfluentKafka]:
    """(with the bulk reader, with the library alone), both with metadata."""
    ours, theirs = KafkaClient(kafka.bootstrap, {}), KafkaClient(kafka.bootstrap, {})
    theirs.bulk = BulkReader({"not.known": "here"})
    ports = ConfluentKafka(ours, Clock(0.0)), ConfluentKafka(theirs, Clock(0.0))
    for port in ports:
        port.metadata(Deadline.after(20))
    return ports


def refresh(ports: tuple[ConfluentKafka, ...]) -> None:
    for port in ports:
        port.metadata(Deadline.after(20))


def test_committed_offsets_equal_those_of_the_library(
    both: tuple[ConfluentKafka, ConfluentKafka], kafka: KafkaCluster, kafka_topic: TopicFactory
) -> None:
    topics = [kafka_topic(partitions=3), kafka_topic()]
    groups = [f"{topics[0]}-{name}" for name in ("plain", "annotated", "Zoë ✓", "g" * 150)]
    for group, number in itertools.product(groups, range(2)):
        commit(kafka.bootstrap, group, topics[0], number + 1, number, "m" * 300 if "annotated" in group else "")
    commit(kafka.bootstrap, groups[0], topics[1], 1)
    asked = [*groups, f"{topics[0]}-nobody"]
    ours, theirs = (port.committed(asked, Deadline.after(20)) for port in both)
    assert {name: one.offsets for name, one in ours.items()} == {name: one.offsets for name, one in theirs.items()}
    assert ours[groups[1]].offsets == {(topics[0], 0): 1, (topics[0], 1): 2}
    assert both[0].requests.by_api["OffsetFetch"] == 1
    assert both[1].requests.by_api["OffsetFetch"] == len(asked)


def test_log_offsets_and_times_equal_those_of_the_library(
    both: tuple[ConfluentKafka, ConfluentKafka], kafka: KafkaCluster, kafka_topic: TopicFactory
) -> None:
    topic = kafka_topic(partitions=3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(6):
        producer.produce(topic, b"x", partition=number % 2, timestamp=1_600_000_000_000 + number)
    producer.flush(20)
    refresh(both)
    places = [(topic, number) for number in range(3)]
    for spec in OffsetSpec:
        ours, theirs = (port.offsets(places, spec, Deadline.after(20)) for port in both)
        assert ours.offsets == theirs.offsets
        assert ours.read_at.keys() == set(places)
    for seconds in (0.0, 1_600_000_000.002, 1_700_000_000.0):
        ours, theirs = (port.offsets_at(dict.fromkeys(places, seconds), Deadline.after(20)) for port in both)
        assert ours.offsets == theirs.offsets
    assert ours.offsets[topic, 0] == FoundOffset(-1)
    assert both[0].requests.by_api["ListOffsets"] == 6


def test_a_topic_that_is_gone_gets_the_library_s_word(
    both: tuple[ConfluentKafka, ConfluentKafka], kafka_topic: TopicFactory
) -> None:
    topic = kafka_topic()
    refresh(both)
    places = [(topic, 0), (topic, 7), ("not-there", 0)]
    ours, theirs = (port.offsets(places, OffsetSpec.END, Deadline.after(20)) for port in both)
    assert ours.offsets == theirs.offsets
    assert {(one.entity, one.code) for one in ours.errors} == {(one.entity, one.code) for one in theirs.errors}


def test_coordinators_are_remembered_and_a_closed_link_is_opened_anew(
    both: tuple[ConfluentKafka, ConfluentKafka], kafka: KafkaCluster, kafka_topic: TopicFactory
) -> None:
    port, group = both[0], f"{kafka_topic()}-group"
    commit(kafka.bootstrap, group, group.removesuffix("-group"), 1)
    assert port.committed([group], Deadline.after(20))[group].offsets
    for link in port._client.bulk._links.values():
        link._socket.shutdown(socket.SHUT_RDWR)
    assert port.committed([group], Deadline.after(20))[group].offsets
    assert port.requests.by_api == {"Metadata": 1, "FindCoordinator": 1, "OffsetFetch": 2}


# --- brokers that do not do their part --------------------------------------------------------------------------------


@contextlib.contextmanager
def server(answer: bytes) -> Iterator[tuple[Broker, list[int]]]:
    """Says `answer` to whoever connects and nothing more; counts connections."""
    seen: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                while True:
                    connection = stack.enter_context(listener.accept()[0])
                    seen.append(1)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Broker(1, "127.0.0.1", listener.getsockname()[1]), seen
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize(
    "answer", [b"", b"\x7f\xff\xff\xff", struct.pack(">ii", 4, 77), b"HTTP/1.1 400 Bad Request\r\n"]
)
def test_a_broker_that_answers_nonsense_or_nothing_is_left_alone(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_bulk, "WAIT_SECONDS", 0.2)
    with server(answer) as (broker, seen):
        reader, requests = BulkReader({}), RequestCount()
        reader.know([broker])
        for _ in range(2):
            assert list(reader.committed(["a"], requests, Deadline.after(5))) == []
            assert (
                list(reader.offsets({("t", 0): -1}, {("t", 0): 1}, requests, Deadline.after(5), read_committed=False))
                == []
            )
        assert len(seen) == 1
        assert requests.by_api == {}


def test_nothing_is_sent_after_the_deadline() -> None:
    with server(b"") as (broker, seen):
        reader = BulkReader({})
        reader.know([broker])
        assert list(reader.committed(["a"], RequestCount(), Deadline(time.monotonic() - 1))) == []
        assert seen == []


@pytest.mark.parametrize(
    "properties",
    [
        {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
        {"ssl.curves.list": "P-521"},
    ],
)
def test_settings_it_does_not_know_are_left_to_the_library(properties: dict[str, str]) -> None:
    with server(b"") as (broker, seen):
        reader = BulkReader(properties)
        reader.know([broker])
        assert list(reader.committed(["a"], RequestCount(), Deadline.after(5))) == []
        assert seen == []


# --- the protocol -----------------------------------------------------------------------------------------------------


def _row(number: int, offset: int, metadata: bytes = b"", error: int = 0) -> bytes:
    return (
        struct.pack(">iqi", number, offset, -1) + bytes([len(metadata) + 1]) + metadata + struct.pack(">hB", error, 0)
    )


def _group(name: bytes, rows: list[bytes], error: int = 0) -> bytes:
    topic = b"\x02\x02t" + bytes([len(rows) + 1]) + b"".join(rows) + b"\0"
    return bytes([len(name) + 1]) + name + topic + struct.pack(">hB", error, 0)


SAMPLE = (
    struct.pack(">i", 0)
    + b"\x05"
    + _group(b"plain", [_row(0, 7), _row(1, -1), _row(2, 1 << 40)])
    + _group(b"noted", [_row(0, 7, b"by hand"), _row(1, 8)])
    + _group(b"moved", [_row(0, 7)], error=16)
    + _group(b"partly", [_row(0, 7), _row(1, 8, error=3)])
    + b"\0"
)


def test_commits_are_read_with_and_without_metadata_and_failed_groups_are_told() -> None:
    places: dict[bytes, dict[int, Partition]] = {}
    found = dict(kafka_wire.commits(SAMPLE, 0, places))
    assert found == {
        "plain": {("t", 0): 7, ("t", 2): 1 << 40},
        "noted": {("t", 0): 7, ("t", 1): 8},
        "moved": None,
        "partly": None,
    }


def test_an_answer_that_ends_too_early_is_a_fault_never_a_smaller_answer() -> None:
    for size in range(4, len(SAMPLE) - 1):
        with pytest.raises(kafka_link.FAULTS):
            list(kafka_wire.commits(SAMPLE[:size], 0, {}))


def test_scram_follows_the_example_of_rfc_7677() -> None:
    words = kafka_link.scram("sha256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO")
    assert next(words) == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    said = words.send(f"r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode())
    assert said == f"c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
    with pytest.raises(StopIteration):
        words.send(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "challenge", ["r=other,s=AAAA,i=4096", "r=mine1,s=AAAA,i=999999999", "r=mine1,i=4096", "e=unknown-user", "\xff"]
)
def test_scram_refuses_a_broker_that_does_not_follow_it(challenge: str) -> None:
    words = kafka_link.scram("sha256", "user", "pencil", "mine")
    next(words)
    with pytest.raises(kafka_link.FAULTS):
        words.send(challenge.encode("latin-1"))


def test_scram_does_not_trust_a_broker_that_does_not_know_the_password() -> None:
    words = kafka_link.scram("sha512", "user", "pencil", "mine")
    next(words)
    words.send(b"r=mine1,s=AAAA,i=4096")
    with pytest.raises(kafka_wire.WireFault):
        words.send(b"v=" + base64.b64encode(b"x" * 64))
