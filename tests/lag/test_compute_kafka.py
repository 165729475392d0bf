"""Lag in seconds from a real broker's answers, against the stamps of the test's own producer."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_client import KafkaClient
from clusters.ports import GroupListing, GroupState, GroupType, OffsetSpec, Partition
from lag.compute import ClusterLog, GroupMemory, GroupReading, GroupResult, LagSettings, LookUps, assess_group
from lag.verdicts import Flag, Method
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.resilience import Deadline
from tests.kafka_fixtures import TopicFactory


class Watcher:
    """Polls one group of a real cluster the way a collector does."""

    def __init__(self, kafka: KafkaCluster, group: str, partitions: list[Partition]) -> None:
        self.clock = Clock(time.time())
        self.port = ConfluentKafka(KafkaClient(kafka.bootstrap, {}), self.clock)
        self.consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "enable.auto.commit": False})
        self.group, self.partitions = group, partitions
        self.log, self.memory = ClusterLog(), GroupMemory(group)
        self.rounds = 0

    def commit(self, offsets: dict[Partition, int]) -> None:
        places = [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
        self.consumer.commit(offsets=places, asynchronous=False)

    def poll(self) -> GroupResult:
        deadline = Deadline.after(30)
        committed = self.port.committed([self.group], deadline)[self.group]
        assert committed.error is None
        starts = self.port.offsets(self.partitions, OffsetSpec.START, deadline)
        ends = self.port.offsets(self.partitions, OffsetSpec.END, deadline)
        identities, errors = self.port.topic_identities({topic for topic, _ in self.partitions}, deadline)
        assert not errors
        self.log.observe(starts, ends, None, identities)
        now = self.clock.now()
        plan = LookUps(self.log, now)
        plan.want(self.memory, committed.offsets, LagSettings())
        while asked := plan.next_round():
            plan.learn(asked, self.port.offsets_at(asked, deadline))
        self.rounds = plan.rounds
        reading = GroupReading(GroupListing(self.group, GroupType.CLASSIC, GroupState.EMPTY), committed)
        return assess_group(self.memory, reading, self.log, LagSettings(), now)


def assert_near(result: GroupResult, truth: dict[Partition, float]) -> None:
    """Each partition's lag is within max(1 s, 5 %) and its bound holds the truth. `truth` = produce time, unread first."""
    at = result.summary.observed_at
    for topic in result.topics:
        for partition in topic.partitions:
            seconds = partition.seconds_at(at)
            expected = at - truth[partition.topic, partition.partition]
            assert seconds is not None
            assert partition.bound is not None
            assert abs(seconds - expected) <= max(1.0, 0.05 * expected)
            assert abs(seconds - expected) <= partition.bound + 0.002


@pytest.mark.parametrize("stamped_by", ["CreateTime", "LogAppendTime"])
def test_the_age_of_an_old_backlog_is_found_in_eight_rounds(
    kafka: KafkaCluster, kafka_topic: TopicFactory, stamped_by: str
) -> None:
    source = random.Random(5)
    topic = kafka_topic(partitions=4, name="backlog", message_timestamp_type=stamped_by)
    now = time.time()
    stamps = {
        (topic, number): sorted(now - source.uniform(2, 86_400) ** source.uniform(0.9, 1) for _ in range(3000))
        for number in range(4)
    }
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 20})
    for (name, number), times in stamps.items():
        for stamp in times:
            producer.produce(name, b"x", partition=number, timestamp=int(stamp * 1000))
        producer.poll(0)
    assert producer.flush(30) == 0
    watcher = Watcher(kafka, f"{topic}-reader", list(stamps))
    unread = {partition: source.randrange(3000) for partition in stamps}
    watcher.commit(unread)
    result = watcher.poll()
    assert watcher.rounds <= 8
    assert result.summary.method is Method.TIMESTAMP
    assert result.summary.lag_records == sum(3000 - offset for offset in unread.values())
    if stamped_by == "CreateTime":
        assert result.summary.flags == (Flag.APPROXIMATE,)
        assert_near(result, {partition: stamps[partition][offset] for partition, offset in unread.items()})
    else:
        assert result.summary.flags == ()
        assert 0 < (result.summary.lag_seconds or 0) < time.time() - now + 1


@contextmanager
def steady_producer(kafka: KafkaCluster, partition: Partition) -> Iterator[dict[int, float]]:
    """Produces some hundred records a second until the end; gives the stamps by offset, as delivered."""
    stamps: dict[int, float] = {}
    done = Event()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5})

    def note(error: object, message: object) -> None:
        assert error is None
        stamps[message.offset()] = message.timestamp()[1] / 1000  # type: ignore[attr-defined]

    def produce() -> None:
        while not done.wait(0.005):
            producer.produce(partition[0], b"x", partition=partition[1], on_delivery=note)
            producer.poll(0)
        producer.flush(20)

    thread = Thread(target=produce)
    thread.start()
    try:
        yield stamps
    finally:
        done.set()
        thread.join(30)


def test_live_lag_is_within_its_bound_while_records_arrive(kafka: KafkaCluster, kafka_topic: TopicFactory) -> None:
    partition = (kafka_topic(name="live"), 0)
    watcher = Watcher(kafka, f"{partition[0]}-reader", [partition])
    checked: list[tuple[GroupResult, int]] = []
    with steady_producer(kafka, partition) as stamps:
        pace = Event()
        for _ in range(12):
            pace.wait(0.5)  # the pace of the polls, nothing is waited for
            if stamps:
                watcher.commit({partition: int(len(stamps) * 0.6)})
                result = watcher.poll()
                checked.append((result, int(result.topics[0].partitions[0].committed or 0)))
    assert len(checked) >= 5
    for result, committed in checked:
        found = result.topics[0].partitions[0]
        assert found.end is not None
        assert found.lag_records == found.end - committed
        assert_near(result, {partition: stamps[committed]})
