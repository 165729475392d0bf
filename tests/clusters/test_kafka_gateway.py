"""Reads of a real broker through the gateway."""

import time
from collections.abc import Iterator

import orjson
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import OffsetSpec as TheirSpec

from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_bulk import BulkReader
from clusters.gateways.kafka_client import KafkaClient
from clusters.ports import GatewayFailed, GroupState, GroupType, OffsetSpec
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.clusters.kafka_helpers import commit
from tests.kafka_fixtures import TopicFactory, create_topic

LEGAL = "".join(chr(code) for code in range(33, 127))  # a group's name may hold what it likes


@pytest.fixture(scope="module")
def client(kafka: KafkaCluster) -> KafkaClient:
    return KafkaClient(kafka.bootstrap, {})


@pytest.fixture
def port(client: KafkaClient) -> ConfluentKafka:
    return ConfluentKafka(client, Clock(1_000_000.0))


@pytest.fixture
def admin(kafka: KafkaCluster) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap})


@pytest.fixture
def deadline() -> Deadline:
    return Deadline.after(20)


def produce(kafka: KafkaCluster, topic: str, count: int, partition: int = 0, timestamp_ms: int = 0) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for _ in range(count):
        producer.produce(topic, b"x", partition=partition, timestamp=timestamp_ms)
    assert producer.flush(20) == 0


def test_metadata_names_brokers_topics_leaders(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, deadline: Deadline
) -> None:
    topic = kafka_topic(partitions=3)
    found = port.metadata(deadline)
    assert [f"{broker.host}:{broker.port}" for broker in found.brokers] == [kafka.bootstrap]
    assert found.cluster_id
    partitions = found.topics[topic].partitions
    assert sorted(one.partition for one in partitions) == [0, 1, 2]
    assert all((one.leader, one.replicas, one.in_sync) == (1, (1,), (1,)) for one in partitions)


def test_offsets_are_start_end_and_last_stable(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, admin: AdminClient, deadline: Deadline
) -> None:
    topic = kafka_topic(partitions=2)
    produce(kafka, topic, 5)
    admin.delete_records([TopicPartition(topic, 0, 2)])
    partitions = [(topic, 0), (topic, 1)]
    wait_until(lambda: port.offsets(partitions, OffsetSpec.START, deadline).offsets[topic, 0].offset == 2, seconds=10)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    producer.flush(20)
    port.metadata(deadline)

    def read(spec: OffsetSpec) -> list[int]:
        found = port.offsets(partitions, spec, deadline)
        assert found.errors == ()
        return [found.offsets[partition].offset for partition in partitions]

    assert (read(OffsetSpec.START), read(OffsetSpec.STABLE), read(OffsetSpec.END)) == ([2, 0], [5, 0], [6, 0])
    producer.abort_transaction(20)
    # The record and the marker of its transaction; the marker is written after the answer.
    assert wait_until(lambda: read(OffsetSpec.STABLE) == [7, 0], seconds=10)


def test_answers_equal_those_of_the_public_client(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, admin: AdminClient, deadline: Deadline
) -> None:
    topic = kafka_topic(partitions=4)
    for partition in range(4):
        produce(kafka, topic, partition + 1, partition)
        commit(kafka.bootstrap, f"{topic}-group", topic, partition, partition)
    partitions = [(topic, partition) for partition in range(4)]
    asked = {TopicPartition(*partition): TheirSpec.latest() for partition in partitions}
    theirs = {
        (place.topic, place.partition): found.result(20).offset for place, found in admin.list_offsets(asked).items()
    }
    ours = port.offsets(partitions, OffsetSpec.END, deadline)
    assert {partition: found.offset for partition, found in ours.offsets.items()} == theirs
    request = ConsumerGroupTopicPartitions(f"{topic}-group")
    places = admin.list_consumer_group_offsets([request])[f"{topic}-group"].result(20).topic_partitions
    committed = port.committed([f"{topic}-group"], deadline)[f"{topic}-group"]
    assert committed.offsets == {(place.topic, place.partition): place.offset for place in places}


def test_times_are_those_of_the_given_clock(client: KafkaClient, kafka_topic: TopicFactory, deadline: Deadline) -> None:
    topic = kafka_topic()
    port = ConfluentKafka(client, Clock(500.0))
    found = port.offsets([(topic, 0)], OffsetSpec.END, deadline)
    assert 500.0 <= found.read_at[topic, 0] < 520.0
    assert 500.0 <= port.committed(["nobody"], deadline)["nobody"].read_at < 520.0


def test_a_time_finds_the_first_record_at_or_after_it(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, deadline: Deadline
) -> None:
    topic = kafka_topic(retention_ms="-1")  # the records are as old as 1970
    for stamp in (10_000_000, 20_000_000, 30_000_000):
        produce(kafka, topic, 1, timestamp_ms=stamp)
    at = port.offsets_at({(topic, 0): 15_000.0}, deadline).offsets[topic, 0]
    assert (at.offset, at.timestamp) == (1, 20_000.0)
    assert port.offsets_at({(topic, 0): 30_000.001}, deadline).offsets[topic, 0].offset == -1
    assert port.offsets_at({(topic, 0): 30_000.0}, deadline).offsets[topic, 0].offset == 2


@pytest.mark.parametrize("group", ["g" * 249, LEGAL, "ünïcode-группа", "a/b?c#d%20 e", "..", "~7"], ids=str)
def test_group_names_of_every_kind_are_read(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, deadline: Deadline, group: str
) -> None:
    topic = kafka_topic(name="t" * 200)
    commit(kafka.bootstrap, group, topic, 7, metadata="m" * 300)
    assert port.committed([group], deadline)[group].offsets[topic, 0] == 7
    assert group in port.list_groups(deadline).groups
    assert port.describe_groups([group], deadline)[group].state is GroupState.EMPTY


def test_topic_names_of_249_characters_are_read(
    port: ConfluentKafka, kafka: KafkaCluster, admin: AdminClient, kafka_topic: TopicFactory, deadline: Deadline
) -> None:
    suffix = kafka_topic(name="n")[1:]
    topic = kafka_topic(name="Aa0._-" + "x" * (249 - 6 - len(suffix) - 4))
    produce(kafka, topic, 2)
    port.metadata(deadline)
    assert port.offsets([(topic, 0)], OffsetSpec.END, deadline).offsets[topic, 0].offset == 2


def test_a_topic_that_is_not_there_fails_alone(
    port: ConfluentKafka, kafka_topic: TopicFactory, deadline: Deadline
) -> None:
    topic = kafka_topic()
    found = port.offsets([(topic, 0), ("no-such-topic", 0), (topic, 9)], OffsetSpec.END, deadline)
    assert list(found.offsets) == [(topic, 0)]
    assert {(error.entity, error.code) for error in found.errors} == {
        ("partition:no-such-topic/0", "not_found"),
        (f"partition:{topic}/9", "not_found"),
    }


def test_a_group_that_is_not_there_has_no_commits_and_is_dead(port: ConfluentKafka, deadline: Deadline) -> None:
    found = port.committed(["no-such-group"], deadline)["no-such-group"]
    assert (dict(found.offsets), found.error) == ({}, None)
    assert port.describe_groups(["no-such-group"], deadline)["no-such-group"].members == ()


def test_a_deleted_group_is_listed_no_more(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, admin: AdminClient, deadline: Deadline
) -> None:
    topic = kafka_topic()
    commit(kafka.bootstrap, f"{topic}-gone", topic, 1)
    assert f"{topic}-gone" in port.list_groups(deadline).groups
    admin.delete_consumer_groups([f"{topic}-gone"])[f"{topic}-gone"].result(20)
    assert f"{topic}-gone" not in port.list_groups(deadline).groups


def test_identities_change_when_a_topic_is_made_again(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, admin: AdminClient, deadline: Deadline
) -> None:
    topic = kafka_topic(
        partitions=3, cleanup_policy="compact,delete", retention_ms="60000", message_timestamp_type="LogAppendTime"
    )
    found, errors = port.topic_identities([topic, "no-such-topic"], deadline)
    identity = found[topic]
    assert (identity.cleanup_policy, identity.timestamp_type, identity.retention_seconds) == (
        "compact,delete",
        "LogAppendTime",
        60.0,
    )
    assert [(error.entity, error.code) for error in errors] == [("topic:no-such-topic", "not_found")]
    admin.delete_topics([topic], operation_timeout=10)[topic].result(20)
    assert wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, seconds=20)
    create_topic(admin, topic, 1, 1, {"retention.ms": "-1"})
    again = port.topic_identities([topic], deadline)[0][topic]
    assert again.topic_id not in {None, identity.topic_id}
    assert again.retention_seconds is None


@pytest.fixture(params=["classic", "consumer"])
def member(
    request: pytest.FixtureRequest, kafka: KafkaCluster, kafka_topic: TopicFactory
) -> Iterator[tuple[str, str, str]]:
    """A live group of one member, (protocol, group, topic)."""
    protocol, topic = request.param, kafka_topic(partitions=2)
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": f"{topic}-{protocol}", "client.id": "reader"}
    consumer = Consumer(settings | {"group.protocol": protocol})
    consumer.subscribe([topic])
    assert wait_until(lambda: consumer.poll(0.2) is not None or len(consumer.assignment()) == 2, seconds=30)
    yield protocol, f"{topic}-{protocol}", topic
    consumer.close()


def test_members_and_their_partitions_are_described(
    port: ConfluentKafka, member: tuple[str, str, str], deadline: Deadline
) -> None:
    protocol, group, topic = member
    listing = port.list_groups(deadline).groups[group]
    assert (listing.type, listing.state) == (GroupType(protocol), GroupState.STABLE)
    found = port.describe_groups([group], deadline)[group]
    assert (found.type, found.state, found.coordinator, found.error) == (
        GroupType(protocol),
        GroupState.STABLE,
        1,
        None,
    )
    assert [(one.client_id, one.host) for one in found.members] == [("reader", "127.0.0.1")]
    assert set(found.members[0].partitions) == {(topic, 0), (topic, 1)}


def test_requests_are_counted_as_the_client_sends_them(
    kafka: KafkaCluster, kafka_topic: TopicFactory, admin: AdminClient
) -> None:
    topic = kafka_topic(partitions=4)
    groups = [f"{topic}-{number}" for number in range(20)]
    for group in groups:
        commit(kafka.bootstrap, group, topic, 0)
    sent: dict[str, int] = {}

    def note(text: str) -> None:
        sent.clear()
        for broker in orjson.loads(text)["brokers"].values():
            for api, count in broker["req"].items():
                sent[api] = sent.get(api, 0) + count

    client = KafkaClient(kafka.bootstrap, {}, extra={"statistics.interval.ms": 100, "stats_cb": note})
    client.bulk = BulkReader({"not.known": "here"})  # its requests are its own
    port, deadline = ConfluentKafka(client, Clock(0.0)), Deadline.after(30)
    port.metadata(deadline)
    port.list_groups(deadline)
    port.committed(groups, deadline)
    port.describe_groups(groups, deadline)
    for spec in OffsetSpec:
        port.offsets([(topic, number) for number in range(4)], spec, deadline)
    port.topic_identities([topic], deadline)
    counted = dict(port.requests.by_api)

    # Metadata: the client reads its own when it connects. FindCoordinator: it remembers the coordinators of a few groups.
    told = {
        "Metadata",
        "ListGroups",
        "FindCoordinator",
        "ConsumerGroupDescribe",
        "DescribeGroups",
        "ListOffsets",
        "DescribeConfigs",
    }
    slack = {"Metadata": range(3), "FindCoordinator": range(-40, 1)}

    def agrees() -> bool:
        client.admin.poll(0.1)
        return bool(sent) and all(
            sent.get(api, -1) - counted[api] in slack.get(api, range(1)) for api in counted.keys() & told
        )

    assert wait_until(agrees, seconds=10), f"{counted} {sent}"


def test_nothing_is_asked_after_the_deadline(client: KafkaClient) -> None:
    port, over = ConfluentKafka(client, Clock(0.0)), Deadline(time.monotonic() - 1)
    assert port.committed(["a"], over)["a"].error is not None
    assert [error.code for error in port.offsets([("t", 0)], OffsetSpec.END, over).errors] == ["timeout"]
    with pytest.raises(GatewayFailed) as failure:
        port.metadata(over)
    assert failure.value.code == "timeout"


def test_a_share_group_is_listed_as_unmeasured(
    port: ConfluentKafka, kafka: KafkaCluster, kafka_topic: TopicFactory, deadline: Deadline
) -> None:
    topic = kafka_topic()
    group = f"{topic}-share"
    kafka.tool(
        "consumer.group.ShareGroupCommand",
        "--group",
        group,
        "--topic",
        topic,
        "--reset-offsets",
        "--to-earliest",
        "--execute",
    )
    known = port.list_groups(deadline).groups
    assert group not in known
    assert group in port.unmeasured_groups(known, deadline)
