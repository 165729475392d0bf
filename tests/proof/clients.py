"""Kafka's own clients as the tests use them."""

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from clusters.ports import Partition
from ops_portal.lib.processes import wait_until


def commit(bootstrap: str, group: str, offsets: Mapping[Partition, int], metadata: str | None = None) -> None:
    """Commit for a group that has no members; waits until the group's coordinator is there."""
    places = [
        TopicPartition(topic, number, offset, metadata) if metadata else TopicPartition(topic, number, offset)
        for (topic, number), offset in offsets.items()
    ]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    trouble: list[str] = []

    def committed() -> bool:
        try:
            answer = consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            trouble.append(str(error))
            return False
        return all(place.error is None for place in answer or [])

    assert wait_until(committed, seconds=90, step_seconds=0.2), f"{group} cannot commit: {trouble[-1:]}"
    consumer.close()


def produce(bootstrap: str, counts: Mapping[Partition, int]) -> None:
    """So many records into each partition, acknowledged by every replica in sync."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "acks": "all"})
    for (topic, number), count in counts.items():
        for _ in range(count):
            producer.produce(topic, b"x", partition=number)
    assert producer.flush(90) == 0
