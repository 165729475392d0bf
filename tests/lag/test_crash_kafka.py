"""A real member killed without a word: what the crash view says of it, held against what the test knows."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lag import selectors
from lag.models import GroupEvent
from lag.selectors.crashes import group_crashes
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import TopicFactory
from tests.lag.test_collector_kafka import Live

pytestmark = pytest.mark.django_db

READER = """
import sys
from confluent_kafka import Consumer
bootstrap, group, topic, name = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "client.id": name, "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 1000, "auto.offset.reset": "earliest", "enable.auto.commit": False})
consumer.subscribe([topic])
while True:
    message = consumer.poll(1.0)
    if message is not None and message.error() is None:
        consumer.commit(message, asynchronous=True)
"""


@pytest.fixture
def live(kafka: KafkaCluster, request: pytest.FixtureRequest) -> Live:
    return Live(kafka, request)


@contextmanager
def reader(live: Live, topic: str, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that commits every record it reads; killed at the end."""
    arguments = [live.kafka.bootstrap, f"{live.prefix}-risk", topic, name]
    process = subprocess.Popen([sys.executable, "-c", READER, *arguments])
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def committed(live: Live) -> dict[int, int | None]:
    """Commits by partition as one more poll stores them."""
    live.poll()
    return {key[1]: figures[0] for key, figures in live.figures("risk").items()}


def holders(live: Live) -> dict[int, str]:
    detail = live.detail("risk")
    names = {member.member_id: member.client_id for member in detail.members}
    return {row.partition: names.get(row.member or "", "") for topic in detail.topics for row in topic.partitions}


def test_a_killed_members_partitions_tell_where_the_other_went_on(live: Live, kafka_topic: TopicFactory) -> None:
    topic = kafka_topic(partitions=2, name=live.prefix)
    for number in (0, 1):
        live.produce(topic, 50, number)
    with reader(live, topic, "doomed") as doomed, reader(live, topic, "heir"):
        live.poll_until_seen("risk")
        assert wait_until(
            lambda: committed(live) == {0: 50, 1: 50} and sorted(holders(live).values()) == ["doomed", "heir"],
            seconds=90, step_seconds=0.3,
        )  # fmt: skip
        (orphan,) = [number for number, name in holders(live).items() if name == "doomed"]
        doomed.kill()
        for number in (0, 1):
            live.produce(topic, 30, number)
        assert wait_until(lambda: committed(live) == {0: 80, 1: 80}, seconds=90, step_seconds=0.3)
        live.poll()
    assert GroupEvent.objects.filter(kind="member_left").count() == 1
    group = selectors.group_by_path(live.user, live.cluster, f"{live.prefix}-risk")
    assert group is not None
    (crash,) = group_crashes(live.user, live.cluster, group)
    (row,) = crash.partitions
    assert (row.partition, row.last_commit, row.end_at_loss, row.skipped) == (orphan, 50, 80, 0)
    assert (row.reread_at_most, crash.unknown) == (30, 0)
    assert row.first_commit is not None
    assert 50 < row.first_commit <= 80
    assert row.first_commit_read_at is not None
    assert row.first_commit_read_at >= crash.lost.latest - 0.002
    assert crash.lag_peak is not None
    assert crash.lag_peak >= 30
