"""The secured broker of the tests: who gets in, who is refused, and where it is written down."""

import socket
import ssl
from functools import partial

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AclOperation
from cryptography import x509

from ops_portal.lib.processes import wait_until
from tests.secured_kafka import TRADES, SecuredKafka

WAIT_MS = 5_000


def written(kafka: SecuredKafka, name: str, topic: str = TRADES) -> str:
    """What becomes of one record of principal `name`: `ok` or the error's name."""
    outcome: list[KafkaError | None] = []
    producer = Producer(kafka.identity(name) | {"message.timeout.ms": WAIT_MS})
    producer.produce(topic, value=b"x", on_delivery=lambda error, _: outcome.append(error))
    producer.flush(WAIT_MS / 1000 + 5)
    assert outcome
    return outcome[0].name() if outcome[0] else "ok"


def test_a_principal_may_do_what_its_rules_say_and_no_more(secured_kafka: SecuredKafka) -> None:
    assert written(secured_kafka, "writer") == "ok"
    assert written(secured_kafka, "expiring") == "ok"
    for name in ("reader", "banned"):
        assert written(secured_kafka, name) == "TOPIC_AUTHORIZATION_FAILED"

    reader = Consumer(secured_kafka.identity("reader") | {"group.id": "reader-1", "auto.offset.reset": "earliest"})
    reader.subscribe([TRADES])
    try:
        assert wait_until(lambda: (found := reader.poll(0.5)) is not None and found.error() is None, seconds=30)
    finally:
        reader.close()


def test_every_refusal_is_a_line_that_names_the_rule(secured_kafka: SecuredKafka) -> None:
    written(secured_kafka, "reader")
    written(secured_kafka, "banned")
    for name, rule in (("reader", "based on rule DefaultDeny"), ("banned", "based on rule MatchingAcl")):
        lines = secured_kafka.denials(name)
        assert [line for line in lines if "WRITE" in line and rule in line and f"Topic:LITERAL:{TRADES}" in line]


def test_an_expired_certificate_never_gets_in(secured_kafka: SecuredKafka) -> None:
    before = secured_kafka.server_log.read_text(encoding="utf-8").count("Failed authentication")
    assert written(secured_kafka, "expired") == "_MSG_TIMED_OUT"
    assert secured_kafka.server_log.read_text(encoding="utf-8").count("Failed authentication") > before
    assert secured_kafka.denials("expired") == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_listener_shows_its_chain(secured_kafka: SecuredKafka, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(secured_kafka.authority.root))
    files = secured_kafka.authority.files("writer")
    context.load_cert_chain(files.chain, files.key)
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", secured_kafka.secure_port), timeout=10) as link,
        context.wrap_socket(link, server_hostname="localhost") as shown,
    ):
        served = x509.load_der_x509_certificate(shown.getpeercert(binary_form=True) or b"")
    assert served.serial_number == secured_kafka.authority.certificate("broker-1").serial_number


def test_rights_and_topics_can_be_added(secured_kafka: SecuredKafka) -> None:
    topic = secured_kafka.topic("orders")
    assert written(secured_kafka, "newcomer", topic) != "ok"
    secured_kafka.allow("newcomer", AclOperation.WRITE, topic=topic)
    assert wait_until(partial(_may_write, secured_kafka, topic), seconds=20)


def _may_write(kafka: SecuredKafka, topic: str) -> bool:
    return written(kafka, "newcomer", topic) == "ok"
