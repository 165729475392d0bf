"""Admin reads beyond lag, of a real broker."""

import socket
from contextlib import closing

import pytest

from clusters.gateways import kafka_process
from clusters.gateways.kafka_admin import KafkaAdmin
from clusters.gateways.kafka_admin_process import IsolatedAdmin, refusals
from clusters.gateways.kafka_client import KafkaClient
from clusters.gateways.kafka_frames import Settings
from clusters.gateways.kafka_process import Place, end_children
from clusters.ports import GatewayFailed
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.kafka_fixtures import TopicFactory


@pytest.fixture(scope="module")
def port(kafka: KafkaCluster) -> KafkaAdmin:
    return KafkaAdmin(KafkaClient(kafka.bootstrap, {}), Clock(1_000_000.0))


@pytest.fixture
def deadline() -> Deadline:
    return Deadline.after(20)


@pytest.mark.kafka
def test_describes_the_brokers(port: KafkaAdmin, kafka: KafkaCluster, deadline: Deadline) -> None:
    found = port.describe_cluster(deadline)

    assert found.cluster_id
    assert [f"{broker.host}:{broker.port}" for broker in found.brokers] == [kafka.bootstrap]


@pytest.mark.kafka
def test_reads_the_settings_of_each_broker(port: KafkaAdmin, deadline: Deadline) -> None:
    ids = [broker.id for broker in port.describe_cluster(deadline).brokers]
    found = port.broker_configs([*ids, 4711], deadline)

    settings = found.found[str(ids[0])]
    assert settings["log.dirs"]
    assert "PLAINTEXT" in str(settings["listeners"])
    assert [error.entity for error in found.errors] == ["broker:4711"]


@pytest.mark.kafka
def test_reads_the_settings_of_topics(port: KafkaAdmin, kafka_topic: TopicFactory, deadline: Deadline) -> None:
    topic = kafka_topic(partitions=2)
    found = port.topic_configs([topic, "there-is-none"], deadline)

    assert found.found[topic]["min.insync.replicas"] == "1"
    assert [(error.entity, error.code) for error in found.errors] == [("topic:there-is-none", "not_found")]


@pytest.mark.kafka
def test_a_cluster_without_authorizer_has_no_acls(port: KafkaAdmin, deadline: Deadline) -> None:
    assert port.acls(deadline) == ()


@pytest.mark.kafka
def test_a_canary_is_acknowledged(port: KafkaAdmin, kafka_topic: TopicFactory, deadline: Deadline) -> None:
    topic = kafka_topic(partitions=1)

    assert 0 < port.canary(topic, deadline) < 10
    assert port.canary(topic, deadline) < 10


@pytest.mark.kafka
def test_says_why_a_canary_is_not_acknowledged(port: KafkaAdmin, deadline: Deadline) -> None:
    with pytest.raises(GatewayFailed, match="there-is-none") as failed:
        port.canary("there-is-none", deadline)
    assert failed.value.code == "not_acknowledged"


@pytest.mark.kafka
def test_answers_the_same_through_the_child_process(kafka: KafkaCluster, deadline: Deadline) -> None:
    place = Place(987_654, 1, Settings(kafka.bootstrap, {}))
    isolated = IsolatedAdmin(place, Clock(1_000_000.0))
    try:
        found = isolated.describe_cluster(deadline)
        configs = isolated.broker_configs([found.brokers[0].id], deadline)
        with pytest.raises(GatewayFailed) as failed:
            isolated.canary("there-is-none", deadline)
    finally:
        end_children(987_654)
        assert wait_until(lambda: all(child.lost for child in kafka_process._ending), seconds=30)
    assert configs.found[str(found.brokers[0].id)]["log.dirs"]
    assert failed.value.code == "not_acknowledged"
    assert isolated.requests.by_api.items() >= {"DescribeCluster": 1, "DescribeConfigs": 1, "Produce": 1}.items()


def test_says_which_address_takes_no_connection(deadline: Deadline) -> None:
    with closing(socket.socket()) as open_one, closing(socket.socket()) as closed_one:
        for one in (open_one, closed_one):
            one.bind(("127.0.0.1", 0))
        open_one.listen()
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in (open_one, closed_one)]
        found = refusals([*addresses, "no-port", "127.0.0.1:999999"], deadline)

    assert found[addresses[0]] == ""
    assert "refuses" in found[addresses[1]]
    assert found["no-port"]
    assert found["127.0.0.1:999999"]
