"""Brokers that die or hang while the gateway reads a cluster of three."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient

from clusters.gateways import kafka_process
from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_client import RENEW_SECONDS, KafkaClient
from clusters.gateways.kafka_frames import Settings
from clusters.gateways.kafka_process import IsolatedKafka, Place, end_children
from clusters.ports import GatewayFailed, KafkaPort, OffsetSpec
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.clusters.kafka_helpers import commit
from tests.kafka_fixtures import create_topic

pytestmark = pytest.mark.timeout(300)  # brokers are started again between tests

TOPIC = "faults"
PLACES = [(TOPIC, number) for number in range(6)]
PLACE = 900_001  # a cluster id that no other test has
LIBRARY_SECONDS = 60.0  # how long the client library waits for an answer by itself
GROUPS = [f"faults-{number}" for number in range(6)]


@pytest.fixture
def port(kafka_cluster3: KafkaCluster) -> Iterator[KafkaPort]:
    """On a cluster with one topic of six partitions and groups on every coordinator, as the poll worker reads it."""
    admin = AdminClient({"bootstrap.servers": kafka_cluster3.bootstrap})
    assert wait_until(lambda: len(admin.list_topics(timeout=10).brokers) == 3, seconds=40)
    if TOPIC not in admin.list_topics(timeout=10).topics:
        create_topic(admin, TOPIC, 6, 3, {})
    for group in GROUPS:
        commit(kafka_cluster3.bootstrap, group, TOPIC, 0)
    yield IsolatedKafka(Place(PLACE, 1, Settings(kafka_cluster3.bootstrap, {})), Clock(0.0))
    end_children(PLACE)
    assert wait_until(lambda: all(child.lost for child in kafka_process._ending), seconds=30)


def leader_of(port: KafkaPort, partition: int) -> int:
    found = port.metadata(Deadline.after(10)).topics[TOPIC].partitions
    leader = next(one.leader for one in found if one.partition == partition)
    assert leader is not None
    return leader


def troubles(port: KafkaPort) -> list[str]:
    """What one whole reading of the cluster failed with."""
    deadline = Deadline.after(10)
    try:
        listed = port.list_groups(deadline)
        committed, described = port.committed(GROUPS, deadline), port.describe_groups(GROUPS, deadline)
        ends = port.offsets(PLACES, OffsetSpec.END, deadline)
        _, failed = port.topic_identities([TOPIC], deadline)
    except GatewayFailed as failure:
        return [failure.message]
    of_groups = [found.error for found in committed.values()] + [found.error for found in described.values()]
    errors = [*(error for error in of_groups if error is not None), *ends.errors, *failed, *listed.errors]
    return [error.message for error in errors] + [
        f"{group} is not listed" for group in GROUPS if group not in listed.groups
    ]


def reads_everything(port: KafkaPort, seconds: float = 40) -> None:
    """Wait until a reading has no trouble."""
    told: list[str] = []

    def untroubled() -> bool:
        told[:] = troubles(port)
        return not told

    assert wait_until(untroubled, seconds=seconds, step_seconds=0.2), told


def test_after_the_loss_of_a_broker_the_same_port_reads_everything_again(
    port: KafkaPort, kafka_cluster3: KafkaCluster
) -> None:
    reads_everything(port, 30)
    kafka_cluster3.kill(leader_of(port, 0))
    reads_everything(port, 40)
    assert len(port.metadata(Deadline.after(10)).brokers) == 2


def test_a_hung_broker_costs_its_own_partitions_only_and_never_the_deadline(
    port: KafkaPort, kafka_cluster3: KafkaCluster
) -> None:
    reads_everything(port, 30)
    leaders = {number: leader_of(port, number) for number in range(6)}
    hung = leaders[0]
    kafka_cluster3.pause(hung)
    started = time.monotonic()
    found = port.offsets(PLACES, OffsetSpec.END, Deadline.after(4))
    committed = port.committed(
        GROUPS, Deadline.after(8)
    )  # enough for a second process: this is where the library may die
    assert time.monotonic() - started < LIBRARY_SECONDS / 2, "it was the library that gave up, not the deadline"
    answered = {number for (_, number) in found.offsets}
    assert answered >= {number for number, leader in leaders.items() if leader != hung}
    assert {error.code for error in found.errors} <= {"timeout", "leader_unavailable", "connection"}
    assert set(committed) == set(GROUPS)
    kafka_cluster3.resume(hung)
    reads_everything(port, 40)


def test_the_cluster_tells_its_metadata_whichever_broker_hangs(port: KafkaPort, kafka_cluster3: KafkaCluster) -> None:
    client = KafkaClient(kafka_cluster3.bootstrap, {})
    near = ConfluentKafka(client, Clock(0.0))
    for hung in kafka_cluster3.node_ids:
        reads_everything(near, 60)  # so that the client knows every broker, and has one it used last
        client.made_at -= RENEW_SECONDS
        kafka_cluster3.pause(hung)
        try:
            assert len(near.metadata(Deadline.after(20)).brokers) == 3
        finally:
            kafka_cluster3.resume(hung)


def test_without_any_broker_the_cluster_fails_as_a_whole_and_comes_back(
    port: KafkaPort, kafka_cluster3: KafkaCluster
) -> None:
    reads_everything(port, 30)
    kafka_cluster3.stop_all()
    started = time.monotonic()
    with pytest.raises(GatewayFailed) as failure:
        port.metadata(Deadline.after(3))
    assert failure.value.code in {"refused", "timeout"}
    assert time.monotonic() - started < LIBRARY_SECONDS / 2
    kafka_cluster3.start()
    reads_everything(port, 60)
