"""Lag in seconds through the whole collector, stored and read back, against the stamps of the test's own producer."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest
from confluent_kafka import KafkaError, Message, Producer

from lag import known
from ops_portal.lib.kafka_runner import KafkaCluster
from tests.kafka_fixtures import TopicFactory
from tests.proof.clients import commit
from tests.proof.view import Collector, View, pause

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(240)]

SCENARIOS = ("steady", "bursty", "idle", "stopped", "old")
POLLS = 30
OLD_RECORDS = 4000


@dataclass
class Stamped:
    """Records with their stamps by offset, one topic per scenario."""

    bootstrap: str
    topics: dict[str, str]
    stamps: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    over: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5})
        self.names = {topic: name for name, topic in self.topics.items()}

    def note(self, error: KafkaError | None, message: Message) -> None:
        assert error is None
        stamped, offset = message.timestamp()[1] / 1000, message.offset()
        self.stamps[self.names[message.topic() or ""]][offset or 0] = stamped

    def send(self, name: str, count: int, at: float | None = None) -> None:
        for _ in range(count):
            stamp = int((time.time() if at is None else at) * 1000)
            self.producer.produce(self.topics[name], b"x", partition=0, timestamp=stamp, on_delivery=self.note)
        self.producer.poll(0)

    def fill(self) -> None:
        """What is there before the portal looks for the first time."""
        source = random.Random(11)
        for at in sorted(time.time() - 3 * 86_400 ** source.uniform(0.1, 1) for _ in range(OLD_RECORDS)):
            self.send("old", 1, at)
        for name in SCENARIOS:
            self.send(name, 20)
        assert self.producer.flush(60) == 0

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self.over.set()
            thread.join(60)

    def _run(self) -> None:
        rounds = 0
        while not self.over.wait(0.02):
            rounds += 1
            for name in ("steady", "stopped", "old"):
                self.send(name, 3)
            if rounds % 80 == 0:
                self.send("bursty", 200)
            if rounds < 50:  # then its producer has nothing more to say
                self.send("idle", 2)
        self.producer.flush(30)

    def offset_at(self, name: str, at: float) -> int:
        """First record that was stamped at or after `at`."""
        found = dict(self.stamps[name])
        return min((offset for offset, stamp in found.items() if stamp >= at), default=len(found))


def test_reported_seconds_hold_the_truth_in_six_scenarios(kafka: KafkaCluster, kafka_topic: TopicFactory) -> None:
    prefix = kafka_topic(name="seconds")
    records = Stamped(kafka.bootstrap, {name: kafka_topic(name=f"{prefix}-{name}") for name in SCENARIOS})
    records.fill()
    fixed = {"idle": 7, "stopped": 12, "old": OLD_RECORDS // 3}
    for name, offset in fixed.items():
        commit(kafka.bootstrap, f"{prefix}-{name}", {(records.topics[name], 0): offset})
    view = View.of(kafka.bootstrap, prefix=prefix)
    collector = Collector(view)
    errors: list[tuple[str, float, float, float | None]] = []
    with records.running():
        for poll in range(POLLS):
            for name in ("steady", "bursty"):
                offset = records.offset_at(name, time.time() - 2)
                commit(kafka.bootstrap, f"{prefix}-{name}", {(records.topics[name], 0): offset})
            if poll in {POLLS // 3, POLLS // 2}:
                known._known.clear()  # the next poll is that of another process, which knows what is stored
            collector.poll()
            errors += reported(view, prefix, records)
            if poll == 0:  # ages over five orders of magnitude may take a second poll's look-ups; the bound says so
                assert [found for found in errors if abs(found[1] - found[2]) > (found[3] or 0.0) + 0.002] == []
                errors.clear()
            pause(0.3)
    scenarios = {name for name, *_ in errors}
    assert scenarios == set(SCENARIOS)
    assert len(errors) >= (POLLS - 3) * len(SCENARIOS)
    far = [found for found in errors if abs(found[1] - found[2]) > max(1.0, 0.05 * found[2])]
    assert far == []
    bounded = [found for found in errors if found[3] is not None]
    outside = [found for found in bounded if abs(found[1] - found[2]) > (found[3] or 0.0) + 0.002]
    assert len(outside) <= 0.01 * len(bounded), outside
    assert len(bounded) >= 0.95 * len(errors)


def reported(view: View, prefix: str, records: Stamped) -> list[tuple[str, float, float, float | None]]:
    """(scenario, reported seconds, true seconds, bound) of every group that has a lag, at the time of the poll."""
    found = []
    for group, summary in view.board().items():
        name = group.removeprefix(f"{prefix}-")
        (row,) = view.partitions(group).values()
        assert summary.observed_at is not None
        assert row.committed is not None
        stamp = records.stamps[name].get(row.committed)
        if not row.lag_records:
            assert (row.lag_seconds, row.lag_seconds_method) == (0.0, "caught_up")
            continue
        assert row.lag_seconds is not None
        if stamp is not None:  # else its delivery is not reported yet
            truth = max(0.0, summary.observed_at.timestamp() - stamp)
            found.append((name, row.lag_seconds, truth, row.lag_seconds_bound))
    return found
