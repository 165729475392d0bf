"""The whole way of a number on a real broker: Kafka, poll, stored state, board. `kafka-consumer-groups` is the judge."""

import re
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from accounts.models import User
from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_client import KafkaClient
from clusters.models import Cluster, Source, Topic
from clusters.ports import GatewayFailed
from lag import selectors
from lag.collector import PollReport, poll
from lag.models import ConsumerGroup, GroupEvent
from lag.rows import BoardQuery, GroupDetail
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.clusters.kafka_helpers import commit
from tests.kafka_fixtures import TopicFactory, create_topic

pytestmark = pytest.mark.django_db


class Live:
    """A cluster row on the run's broker, limited to this test's own topics and groups."""

    def __init__(self, kafka: KafkaCluster, request: pytest.FixtureRequest) -> None:
        self.kafka = kafka
        self.prefix = re.sub(r"\W", "-", request.node.name)
        self.cluster = Cluster.objects.create(
            name="real", bootstrap=kafka.bootstrap, group_allow=[f"{self.prefix}*"], topic_allow=[f"{self.prefix}*"]
        )
        Source.objects.create(cluster=self.cluster, kind="lag", period_seconds=60)
        self.clock = Clock(time.time())
        self.port = ConfluentKafka(KafkaClient(kafka.bootstrap, {}), self.clock)
        self.admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        self.user = User.objects.create(username="sre", role="sre")

    def produce(self, topic: str, count: int, partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        for _ in range(count):
            producer.produce(topic, b"x", partition=partition)
        assert producer.flush(20) == 0

    def commit(self, group: str, offsets: dict[tuple[str, int], int]) -> None:
        for (topic, number), offset in offsets.items():
            commit(self.kafka.bootstrap, f"{self.prefix}-{group}", topic, offset, number)

    def poll(self) -> PollReport:
        """One poll that the broker answers; one that has just made its offsets topic says for a moment that it loads."""
        reports: list[PollReport] = []

        def answered() -> bool:
            try:
                reports.append(
                    poll(cluster=self.cluster, period=60, port=self.port, clock=self.clock, deadline=Deadline.after(30))
                )
            except GatewayFailed as failure:
                if "COORDINATOR_LOAD_IN_PROGRESS" not in failure.message:
                    raise
            return bool(reports)

        assert wait_until(answered, seconds=30)
        return reports[0]

    def poll_until_seen(self, group: str) -> None:
        """A broker that still loads its offsets topic may list nothing of it."""

        def seen() -> bool:
            self.poll()
            return selectors.group_by_path(self.user, self.cluster, f"{self.prefix}-{group}") is not None

        assert wait_until(seen, seconds=30)

    def detail(self, group: str) -> GroupDetail:
        row = selectors.group_by_path(self.user, self.cluster, f"{self.prefix}-{group}")
        assert row is not None
        found = selectors.group_detail(self.user, self.cluster, row)
        assert found is not None
        return found

    def figures(self, group: str) -> dict[tuple[str, int], tuple[int | None, int | None, int | None]]:
        """(committed, end, lag) by partition."""
        return {
            (topic.topic, row.partition): (row.committed, row.end, row.lag_records)
            for topic in self.detail(group).topics
            for row in topic.partitions
        }


@pytest.fixture
def live(kafka: KafkaCluster, request: pytest.FixtureRequest) -> Live:
    return Live(kafka, request)


def described(live: Live, group: str) -> dict[tuple[str, int], tuple[int, int, int]]:
    """What `kafka-consumer-groups --describe` says: (committed, end, lag) by partition."""
    out = live.kafka.tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", f"{live.prefix}-{group}")
    found = {}
    for line in str(getattr(out, "stdout", out)).splitlines():
        words = line.split()
        if len(words) >= 6 and words[0] == f"{live.prefix}-{group}" and words[3].isdigit():
            found[words[1], int(words[2])] = (int(words[3]), int(words[4]), int(words[5]))
    return found


def test_figures_equal_those_of_kafkas_own_tool(live: Live, kafka_topic: TopicFactory) -> None:
    topic = kafka_topic(partitions=3, name=live.prefix)
    for number, count in enumerate((20, 7, 0)):
        live.produce(topic, count, number)
    live.commit("settled", {(topic, 0): 4, (topic, 1): 7, (topic, 2): 0})
    live.poll_until_seen("settled")
    assert list(live.poll().errors) == []
    assert live.figures("settled") == described(live, "settled")
    page = selectors.group_board(live.user, live.cluster, BoardQuery())
    assert [(item.group, item.lag_records, item.state) for item in page.items] == [
        (f"{live.prefix}-settled", 16, "empty")
    ]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_of_a_live_group_hold_their_partitions(live: Live, kafka_topic: TopicFactory, protocol: str) -> None:
    topic = kafka_topic(partitions=2, name=live.prefix)
    live.produce(topic, 5)
    consumer = Consumer(
        {
            "bootstrap.servers": live.kafka.bootstrap,
            "group.id": f"{live.prefix}-reader",
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "client.id": "reader",
        }
    )
    consumer.subscribe([topic])
    assert wait_until(lambda: consumer.poll(0.2) is not None and bool(consumer.assignment()), seconds=30)

    def held() -> bool:
        consumer.poll(0)
        live.poll()
        found = live.detail("reader")
        return found.summary.members == 1 and {r.partition for t in found.topics for r in t.partitions if r.member} == {
            0,
            1,
        }

    consumer.commit(offsets=[TopicPartition(topic, 0, 2), TopicPartition(topic, 1, 0)], asynchronous=False)
    assert wait_until(held, seconds=30)
    found = live.detail("reader")
    assert (found.summary.type, found.summary.state) == (protocol, "stable")
    assert (found.members[0].client_id, found.members[0].partitions) == ("reader", 2)
    assert found.summary.lag_records == 3
    consumer.close()

    def left() -> bool:
        live.poll()
        return live.detail("reader").summary.members == 0

    assert wait_until(left, seconds=30)
    assert live.detail("reader").summary.lag_records == 3


def test_a_topic_made_again_with_fewer_partitions_starts_anew(live: Live, kafka_topic: TopicFactory) -> None:
    topic = kafka_topic(partitions=3, name=live.prefix)
    for number in range(3):
        live.produce(topic, 10, number)
    live.commit("reader", {(topic, number): 8 for number in range(3)})
    live.poll_until_seen("reader")
    first = Topic.objects.get(cluster=live.cluster, name=topic)
    live.admin.delete_topics([topic], operation_timeout=10)[topic].result(20)
    assert wait_until(lambda: topic not in live.admin.list_topics(timeout=10).topics, seconds=20)
    create_topic(live.admin, topic, 1, 1, {})
    live.produce(topic, 3)
    live.commit("reader", {(topic, 0): 1})

    def anew() -> bool:
        live.poll()
        return Topic.objects.filter(cluster=live.cluster, name=topic, vanished_at=None).exclude(pk=first.pk).exists()

    assert wait_until(anew, seconds=20)
    assert {key: figures[2] for key, figures in live.figures("reader").items()} == {(topic, 0): 2}
    assert GroupEvent.objects.filter(kind="topic_recreated").count() == 1
    assert first.topic_id != Topic.objects.get(cluster=live.cluster, name=topic, vanished_at=None).topic_id


def test_a_deleted_group_leaves_the_board(live: Live, kafka_topic: TopicFactory) -> None:
    topic = kafka_topic(name=live.prefix)
    live.commit("gone", {(topic, 0): 0})
    live.poll_until_seen("gone")
    assert ConsumerGroup.objects.filter(vanished_at=None).count() == 1
    live.admin.delete_consumer_groups([f"{live.prefix}-gone"])[f"{live.prefix}-gone"].result(20)

    def left() -> bool:
        live.poll()
        return selectors.group_board(live.user, live.cluster, BoardQuery()).total == 0

    assert wait_until(left, seconds=60)
    assert GroupEvent.objects.filter(kind="group_vanished").count() == 1


def test_a_broker_that_is_gone_raises_and_leaves_the_last_state(live: Live, kafka_topic: TopicFactory) -> None:
    topic = kafka_topic(name=live.prefix)
    live.produce(topic, 3)
    live.commit("reader", {(topic, 0): 1})
    live.poll_until_seen("reader")
    live.port = ConfluentKafka(KafkaClient("127.0.0.1:1", {}), live.clock)
    with pytest.raises(GatewayFailed):
        poll(cluster=live.cluster, period=60, port=live.port, clock=live.clock, deadline=Deadline.after(2))
    assert live.detail("reader").summary.lag_records == 2
