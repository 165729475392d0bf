"""Lays the demo's ground in Kafka: topics, some history, and the first commits of groups that begin behind.

`python -m ops_portal.demo.ground BOOTSTRAP RATE [--rules]`; safe to repeat. `--rules` sets the ACLs of those who come with a
certificate (ops_portal/demo/principals.py).
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.cimpl import NewTopic

from ops_portal.demo import access, rates
from ops_portal.demo.events import events
from ops_portal.demo.principals import CLIENT_TOPICS
from ops_portal.demo.producers import producer_config
from ops_portal.demo.topology import BROKERS, CALENDAR, CANARY, GROUPS, TOPICS, GroupSpec, Habit, TopicSpec, topic

_CALL_SECONDS = 20
_HISTORY_SECONDS = 90
# Every batch costs three brokers a request. A batch is read in one piece: what slow readers are at must come in small ones, as
# live traffic makes them, else they sit on one for minutes.
_COARSE_RECORDS, _FINE_RECORDS = 250, 25
_FINE_HABITS = {Habit.SLOW, Habit.CATCHING_UP}
_CALENDAR_RECORDS = 40

Record = tuple[str, bytes, bytes, float]  # topic, key, value, time


def lay(bootstrap: str, mean_rate: float) -> None:
    """Topics that are missing are made, empty ones get their history, groups without a commit get their first one."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    existing = admin.list_topics(timeout=_CALL_SECONDS).topics
    missing = [spec for spec in (*TOPICS, *CLIENT_TOPICS, CANARY) if spec.name not in existing]
    if missing:
        _create(admin, missing)
    with_history = [spec for spec in TOPICS if spec.history_seconds or spec.name == CALENDAR]
    # Also of a topic whose history an earlier start could not finish; what is written twice does no harm.
    bare = [spec for spec in with_history if spec in missing or _never_written(admin, spec)]
    _write_history(bootstrap, bare, mean_rate)
    for spec in GROUPS:
        if spec.start_behind_seconds is not None:
            with _committer(bootstrap, spec) as consumer:
                _patiently(_commit_start, consumer, spec)


def _patiently(step: Callable[[Consumer, GroupSpec], None], consumer: Consumer, spec: GroupSpec) -> None:
    """Repeat a step until the group has a coordinator: on a new cluster their topic is being made at this moment."""
    until = time.monotonic() + _CALL_SECONDS
    while True:
        try:
            return step(consumer, spec)
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def rewind(bootstrap: str, spec: GroupSpec, records: int) -> int:
    """Move the commits of a group without members back by `records` a partition; the number of partitions moved."""
    moved = []
    with _committer(bootstrap, spec) as consumer:
        for place in consumer.committed(_places(spec), timeout=_CALL_SECONDS):
            start, _ = consumer.get_watermark_offsets(place, timeout=_CALL_SECONDS)
            if place.offset > start:
                moved.append(TopicPartition(place.topic, place.partition, max(start, place.offset - records)))
        if moved:
            consumer.commit(offsets=moved, asynchronous=False)
    return len(moved)


@contextmanager
def _committer(bootstrap: str, spec: GroupSpec) -> Iterator[Consumer]:
    """Commits for a group without being its member. (An admin client dies of a coordinator that is not ready yet.)"""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": spec.name, "enable.auto.commit": False, "log_level": 2}
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _create(admin: AdminClient, specs: Iterable[TopicSpec]) -> None:
    new = [
        NewTopic(spec.name, num_partitions=spec.partitions, replication_factor=BROKERS,
                 config=spec.config | {"min.insync.replicas": "2"})
        for spec in specs
    ]  # fmt: skip
    for future in admin.create_topics(new, operation_timeout=_CALL_SECONDS).values():
        future.result(timeout=_CALL_SECONDS)


def _write_history(bootstrap: str, specs: Iterable[TopicSpec], mean_rate: float) -> None:
    """Records with times in the past, so that a backlog has an age from the first minute."""
    due = [record for spec in specs for record in _history(spec, mean_rate)]
    slowly = {spec.topic for spec in GROUPS if spec.habit in _FINE_HABITS}
    batches: dict[int, list[Record]] = {_COARSE_RECORDS: [], _FINE_RECORDS: []}
    for record in due:
        batches[_FINE_RECORDS if record[0] in slowly else _COARSE_RECORDS].append(record)
    until = time.monotonic() + _HISTORY_SECONDS
    for size, records in batches.items():
        producer = Producer(producer_config(bootstrap, "demo-history") | {"batch.num.messages": size})
        left = records
        while left:
            if time.monotonic() > until:
                raise SystemExit(f"The demo's history was not taken by the brokers within {_HISTORY_SECONDS} s.")
            left = _sent(producer, left)


def _never_written(admin: AdminClient, spec: TopicSpec) -> bool:
    """True when a partition never had a record: a whole history reaches every one."""
    places = {TopicPartition(spec.name, number): OffsetSpec.latest() for number in range(spec.partitions)}
    until = time.monotonic() + _CALL_SECONDS
    while True:
        found = admin.list_offsets(places, request_timeout=_CALL_SECONDS).values()
        try:
            return any(one.result(timeout=_CALL_SECONDS).offset == 0 for one in found)
        except KafkaException:  # just started brokers are still agreeing on leaders
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
            admin.list_topics(timeout=_CALL_SECONDS)


def _history(spec: TopicSpec, mean_rate: float) -> Iterator[Record]:
    now = time.time()
    following = events(spec.name, seed=3)
    if spec.name == CALENDAR:
        moments = [now - 86_400 + number for number in range(_CALENDAR_RECORDS)]
    else:
        count = int(rates.rate(spec, mean_rate, now) * spec.history_seconds)
        moments = [now - spec.history_seconds * (1 - number / count) for number in range(count)]
    for number, moment in enumerate(moments):
        key, value = next(following)
        yield spec.name, str(number).encode() if spec.name == CALENDAR else key, value, moment


def _sent(producer: Producer, records: list[Record]) -> list[Record]:
    """Send; returns what the brokers did not take (a partition of a new topic may be slow to get its leader)."""
    lost: list[Record] = []
    for number, record in enumerate(records):
        topic, key, value, moment = record

        def delivered(error: KafkaError | None, _: Message, record: Record = record) -> None:
            if error is not None:
                lost.append(record)

        while True:
            try:
                producer.produce(topic, value=value, key=key, timestamp=int(moment * 1000), on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush(_HISTORY_SECONDS)
    return lost


def _commit_start(consumer: Consumer, spec: GroupSpec) -> None:
    """The first commit of a group: where it would stand if it were so and so many seconds late."""
    if any(place.offset >= 0 for place in consumer.committed(_places(spec), timeout=_CALL_SECONDS)):
        return
    moment = int((time.time() - (spec.start_behind_seconds or 0)) * 1000)
    asked = [TopicPartition(place.topic, place.partition, moment) for place in _places(spec)]
    found = consumer.offsets_for_times(asked, timeout=_CALL_SECONDS)
    for place in found:
        if place.offset == OFFSET_END or place.offset < 0:
            _, place.offset = consumer.get_watermark_offsets(place, timeout=_CALL_SECONDS)
    consumer.commit(offsets=found, asynchronous=False)


def _places(spec: GroupSpec) -> list[TopicPartition]:
    return [TopicPartition(spec.topic, partition) for partition in range(topic(spec.topic).partitions)]


if __name__ == "__main__":
    lay(sys.argv[1], float(sys.argv[2]))
    if "--rules" in sys.argv:
        access.apply_rules({"bootstrap.servers": sys.argv[1]})
