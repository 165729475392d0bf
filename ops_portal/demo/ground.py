"""Lays the demo's ground in Kafka: topics, some history, and the first commits of groups that begin behind. Safe to repeat."""

import time
from collections.abc import Iterable

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from ops_portal.demo import rates
from ops_portal.demo.events import events
from ops_portal.demo.producers import producer_config
from ops_portal.demo.topology import BROKERS, CALENDAR, GROUPS, TOPICS, GroupSpec, TopicSpec, topic

_CALL_SECONDS = 20
_CALENDAR_RECORDS = 40


def lay(bootstrap: str, mean_rate: float) -> None:
    """Topics that are missing are made and get their history; groups without a commit get their first one."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    existing = admin.list_topics(timeout=_CALL_SECONDS).topics
    missing = [spec for spec in TOPICS if spec.name not in existing]
    if missing:
        _create(admin, missing)
        _write_history(bootstrap, missing, mean_rate)
    for spec in GROUPS:
        if spec.start_behind_seconds is not None:
            _commit_start(admin, spec)


def rewind(bootstrap: str, spec: GroupSpec, records: int) -> int:
    """Move the commits of a group without members back by `records` a partition; the number of partitions moved."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    admin.list_topics(timeout=_CALL_SECONDS)
    starts = _offsets(admin, spec.topic, OffsetSpec.earliest())
    moved = {
        partition: max(starts[partition], offset - records)
        for partition, offset in _committed(admin, spec).items()
        if offset > starts[partition]
    }
    if moved:
        _commit(admin, spec, moved)
    return len(moved)


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
    producer = Producer(producer_config(bootstrap, "demo-history"))
    now = time.time()
    for spec in specs:
        following = events(spec.name, seed=3)
        if spec.name == CALENDAR:
            moments = [now - 86_400 + number for number in range(_CALENDAR_RECORDS)]
        else:
            count = int(rates.rate(spec, mean_rate, now) * spec.history_seconds)
            moments = [now - spec.history_seconds * (1 - number / count) for number in range(count)]
        for number, moment in enumerate(moments):
            key, value = next(following)
            if spec.name == CALENDAR:
                key = str(number).encode()
            while True:
                try:
                    producer.produce(spec.name, value=value, key=key, timestamp=int(moment * 1000))
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % 1000 == 0:
                producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("The demo's history was not taken by the brokers within 60 s.")


def _commit_start(admin: AdminClient, spec: GroupSpec) -> None:
    committed = _committed(admin, spec)
    if committed:
        return
    ends = _offsets(admin, spec.topic, OffsetSpec.latest())
    behind = spec.start_behind_seconds or 0
    if behind:
        moment = int((time.time() - behind) * 1000)
        found = _offsets(admin, spec.topic, OffsetSpec.for_timestamp(moment))
        ends = {partition: found[partition] if found[partition] >= 0 else end for partition, end in ends.items()}
    _commit(admin, spec, ends)


def _offsets(admin: AdminClient, name: str, what: OffsetSpec) -> dict[int, int]:
    asked = {TopicPartition(name, partition): what for partition in range(topic(name).partitions)}
    answers = admin.list_offsets(asked, request_timeout=_CALL_SECONDS)
    return {one.partition: future.result(timeout=_CALL_SECONDS).offset for one, future in answers.items()}


def _committed(admin: AdminClient, spec: GroupSpec) -> dict[int, int]:
    asked = [ConsumerGroupTopicPartitions(spec.name)]
    (future,) = admin.list_consumer_group_offsets(asked, request_timeout=_CALL_SECONDS).values()
    try:
        found = future.result(timeout=_CALL_SECONDS).topic_partitions or []
    except KafkaException:
        return {}  # the group does not exist yet
    return {one.partition: one.offset for one in found if one.topic == spec.topic and one.offset >= 0}


def _commit(admin: AdminClient, spec: GroupSpec, offsets: dict[int, int]) -> None:
    places = [TopicPartition(spec.topic, partition, offset) for partition, offset in offsets.items()]
    asked = [ConsumerGroupTopicPartitions(spec.name, places)]
    (future,) = admin.alter_consumer_group_offsets(asked, request_timeout=_CALL_SECONDS).values()
    future.result(timeout=_CALL_SECONDS)
