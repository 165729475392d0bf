"""The made-up clients on the secured listener: each meets the refusal it is there for, and none of the others."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec

from ops_portal.demo import access, guests
from ops_portal.demo.access import Doors
from ops_portal.demo.guests import Steered
from ops_portal.demo.principals import (
    CLIENT_TOPICS,
    LATECOMER,
    LOADER,
    ORDERS,
    PRINCIPALS,
    TRESPASSER,
    VALUATIONS,
    WRITER,
    principal_of_group,
)
from ops_portal.demo.topology import ALERTS, CLIENTS, GROUPS, NAV
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import create_topic
from tests.secured_kafka import SecuredKafka

Job = Callable[[Doors, Steered], None]


class Line:
    """A line to the parent that is cut by the test."""

    def __init__(self) -> None:
        self.on = True
        self.told = threading.Event()

    def running(self) -> bool:
        return self.on

    def begun(self) -> None:
        self.told.set()


@pytest.fixture(scope="module")
def doors(secured_kafka: SecuredKafka) -> Doors:
    """The demo's cast, its rules and its quota on the tests' broker."""
    for name in (ALERTS, NAV, *(spec.name for spec in CLIENT_TOPICS)):
        create_topic(secured_kafka.admin, name, 1, 1, {})
    secured_kafka.authority.ensure(one.certificate for one in PRINCIPALS)
    access.apply_rules({"bootstrap.servers": secured_kafka.bootstrap})
    (quota,) = [one.produce_bytes for one in PRINCIPALS if one.name == LOADER]
    secured_kafka.cluster.tool(
        "kafka.admin.ConfigCommand", "--alter", "--entity-type", "users", "--entity-name", LOADER,
        "--add-config", f"producer_byte_rate={quota}",
    )  # fmt: skip
    return Doors(secured_kafka.bootstrap, secured_kafka.secure, secured_kafka.authority.directory)


@contextmanager
def at_work(job: Job, doors: Doors) -> Iterator[Line]:
    line = Line()
    thread = threading.Thread(target=job, args=(doors, line))
    thread.start()
    try:
        assert line.told.wait(30)
        yield line
    finally:
        line.on = False
        thread.join(30)
        assert not thread.is_alive()


def end_of(kafka: SecuredKafka, topic: str) -> int:
    place = TopicPartition(topic, 0)
    return int(kafka.admin.list_offsets({place: OffsetSpec.latest()})[place].result(20).offset)


def test_the_well_behaved_client_writes_and_is_never_refused(secured_kafka: SecuredKafka, doors: Doors) -> None:
    before = end_of(secured_kafka, ORDERS)
    with at_work(guests.write_orders, doors):
        assert wait_until(lambda: end_of(secured_kafka, ORDERS) > before + 5, seconds=30, step_seconds=0.3)
    assert secured_kafka.denials(WRITER) == []


def test_the_trespasser_is_refused_by_the_want_of_a_rule_and_by_a_rule(
    secured_kafka: SecuredKafka, doors: Doors
) -> None:
    before = {topic: end_of(secured_kafka, topic) for topic in (ALERTS, NAV)}

    def refused(topic: str, rule: str) -> bool:
        lines = secured_kafka.denials(TRESPASSER)
        return any("WRITE" in line and f"Topic:LITERAL:{topic} " in line and f"rule {rule}" in line for line in lines)

    with at_work(lambda doors, line: guests.trespass(doors, line, every_seconds=0.2), doors):
        assert wait_until(lambda: refused(ALERTS, "DefaultDeny"), seconds=30, step_seconds=0.2)
        assert wait_until(lambda: refused(NAV, "MatchingAcl"), seconds=30, step_seconds=0.2)
    assert {topic: end_of(secured_kafka, topic) for topic in (ALERTS, NAV)} == before


def test_the_latecomer_fails_to_authenticate_and_says_so_to_nobody_but_the_log(
    secured_kafka: SecuredKafka, doors: Doors
) -> None:
    def failures() -> int:
        return secured_kafka.authorizer_log.read_text(encoding="utf-8").count("Failed authentication")

    before = failures()
    with at_work(lambda doors, line: guests.knock(doors, line, first_seconds=0, every_seconds=1), doors):
        assert wait_until(lambda: failures() > before, seconds=30, step_seconds=0.2)
    assert secured_kafka.denials(LATECOMER) == []


def test_the_loader_is_held_at_its_quota(secured_kafka: SecuredKafka, doors: Doors) -> None:
    (quota,) = [one.produce_bytes for one in PRINCIPALS if one.name == LOADER]
    assert quota is not None
    with at_work(guests.load_beyond_quota, doors):
        assert wait_until(lambda: end_of(secured_kafka, VALUATIONS) > 60, seconds=60, step_seconds=0.3)
        # Kafka evens a quota out over its window of about ten seconds, and what is on its way comes on top.
        began, first = time.monotonic(), end_of(secured_kafka, VALUATIONS)
        assert wait_until(lambda: end_of(secured_kafka, VALUATIONS) > first + 100, seconds=60, step_seconds=0.3)
        written = (end_of(secured_kafka, VALUATIONS) - first) * 2_000
        assert written < quota * (time.monotonic() - began + 12)
    assert secured_kafka.denials(LOADER) == []


def test_groups_of_a_client_come_as_that_client_and_the_platform_s_own_as_nobody() -> None:
    names = {spec.name: principal_of_group(spec.name) for spec in GROUPS}
    assert names["northgate-positions"] == "northgate"
    assert names["risk-engine"] == ""
    assert {spec.key for spec in CLIENTS} == {name for name in names.values() if name}


def test_every_client_s_groups_may_read_their_topics_and_nothing_else(
    secured_kafka: SecuredKafka, doors: Doors
) -> None:
    for spec in GROUPS:
        principal = principal_of_group(spec.name)
        rights = [right for one in PRINCIPALS if one.name == principal for right in one.rights]
        if principal:
            assert any(right.operation == "READ" and right.topic == spec.topic for right in rights)
            assert {right.operation for right in rights} == {"READ"}


def test_without_a_secured_listener_everybody_comes_by_the_plain_one() -> None:
    doors = Doors("127.0.0.1:9092")
    assert doors.of_group("northgate-positions") == doors.of("anyone") == {"bootstrap.servers": "127.0.0.1:9092"}
