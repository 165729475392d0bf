"""Under load every reported lag lies within the bounds that reading order promises, against what the clients themselves know.

With the commit read at tc and the end read at te: max(L(tc), L(te)) <= reported <= L(tc) + records produced in (tc, te).
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Event, Thread

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from clusters.ports import CommittedOffsets, FoundOffsets, GroupListings, KafkaPort, OffsetSpec, Partition
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.kafka_fixtures import TopicFactory
from tests.proof.clients import commit
from tests.proof.truth import Truth, now
from tests.proof.view import Collector, View

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(240)]

PARTITIONS = 12
SAMPLES = 3000
GROUPS = ("keeps-up", "slow", "batches", "goes-back")


@dataclass
class LooksOn:
    """The real port, and when its answers were asked for and had come."""

    port: KafkaPort
    commits: tuple[float, float] = (0.0, 0.0)
    ends: tuple[float, float] = (0.0, 0.0)
    listed: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> object:
        return getattr(self.port, name)

    def list_groups(self, deadline: Deadline) -> GroupListings:
        found = self.port.list_groups(deadline)
        self.listed = frozenset(found.groups)
        return found

    def committed(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, CommittedOffsets]:
        assert self.listed.issuperset(groups)  # the client may crash when asked for a group that no broker has told of
        begin = now()
        found = self.port.committed(groups, deadline)
        self.commits = begin, now()
        return found

    def offsets(self, partitions: Collection[Partition], spec: OffsetSpec, deadline: Deadline) -> FoundOffsets:
        begin = now()
        found = self.port.offsets(partitions, spec, deadline)
        if spec is OffsetSpec.END:
            self.ends = begin, now()
        return found


@dataclass
class Traffic:
    """Producers and consumers of one topic that note what they do."""

    bootstrap: str
    topic: str
    prefix: str
    truth: Truth = field(default_factory=Truth)
    over: Event = field(default_factory=Event)
    failures: list[str] = field(default_factory=list)

    def produce(self) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 0})

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failures.append(str(error))
            else:
                partition = self.topic, message.partition() or 0
                self.truth.ends[partition].delivered.append(now())

        while not self.over.wait(0.01):
            for number in range(PARTITIONS):
                for _ in range(1 + number % 4):
                    self.truth.ends[self.topic, number].sent.append(now())
                    producer.produce(self.topic, b"x", partition=number, on_delivery=delivered)
                    producer.poll(0)
        producer.flush(30)

    def consume(self, group: str) -> None:
        """Commit, over and over, how far the group says it is; each kind of group has its own way."""
        name = f"{self.prefix}-{group}"
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": name, "enable.auto.commit": False})
        pace = {"keeps-up": 0.02, "slow": 0.05, "batches": 0.7, "goes-back": 0.1}[group]
        rounds = 0
        while not self.over.wait(pace):
            rounds += 1
            places = []
            for number in range(PARTITIONS):
                there = self.truth.ends[self.topic, number].least(now())
                offset = {"slow": there // 2, "goes-back": there * (rounds % 5) // 5}.get(group, there)
                places.append(TopicPartition(self.topic, number, offset))
            called = now()
            consumer.commit(offsets=places, asynchronous=False)
            confirmed = now()
            for place in places:
                self.truth.commits[name, (place.topic, place.partition)].made.append((called, confirmed, place.offset))
        consumer.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [Thread(target=self.produce), *(Thread(target=self.consume, args=[group]) for group in GROUPS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(60)
            self.truth.settle()


@dataclass(frozen=True, slots=True)
class Sample:
    """One reported figure of a partition, and when its halves were read."""

    group: str
    partition: Partition
    lag: int | None
    end: int | None
    commits: tuple[float, float]
    ends: tuple[float, float]


def samples_of(view: View, port: LooksOn) -> list[Sample]:
    return [
        Sample(group, (topic, number), row.lag_records, row.end, port.commits, port.ends)
        for (group, topic, number), row in view.places().items()
        if row.committed is not None
    ]


def test_every_reported_lag_lies_within_its_bounds(kafka: KafkaCluster, kafka_topic: TopicFactory) -> None:
    topic = kafka_topic(partitions=PARTITIONS, name="under-load")
    traffic = Traffic(kafka.bootstrap, topic, topic)
    for group in GROUPS:
        begun = now()
        commit(kafka.bootstrap, f"{topic}-{group}", {(topic, number): 0 for number in range(PARTITIONS)})
        for number in range(PARTITIONS):
            traffic.truth.commits[f"{topic}-{group}", (topic, number)].made.append((begun, now(), 0))
    view = View.of(kafka.bootstrap, prefix=topic)
    collector = Collector(view)
    port = LooksOn(collector.port)
    collector.port = port  # type: ignore[assignment]
    samples: list[Sample] = []

    def enough() -> bool:
        collector.poll()
        samples.extend(samples_of(view, port))
        return len(samples) >= SAMPLES

    with traffic.running():
        assert wait_until(enough, seconds=150, step_seconds=0.05)
    assert traffic.failures == []
    assert [sample for sample in samples if sample.lag is None or sample.lag < 0] == []
    wrong = [sample for sample in samples if not within_bounds(traffic.truth, sample, sample.lag or 0)]
    assert wrong == []
    assert any(sample.lag for sample in samples)
    # The oracle is sharp enough to see the wrong reading order: ends older than the commits they are held against.
    series: dict[tuple[str, Partition], list[Sample]] = {}
    for sample in samples:
        series.setdefault((sample.group, sample.partition), []).append(sample)
    swapped = [
        within_bounds(traffic.truth, late, (late.lag or 0) - (late.end or 0) + (early.end or 0))
        for group in series.values()
        for early, late in pairwise(group)
    ]
    assert swapped.count(False) > len(swapped) / 2


def within_bounds(truth: Truth, sample: Sample, lag: int) -> bool:
    least, most = truth.lag_between(sample.group, sample.partition, *sample.commits)
    at_end = truth.lag_at_end_read(sample.group, sample.partition, sample.commits, sample.ends)
    produced = truth.produced_between(sample.partition, sample.commits[0], sample.ends[1])
    return max(0, least, at_end) <= lag <= most + produced
