"""Fill a Kafka cluster with topics, records and committed offsets of the size that a benchmark states.

`python -m bench.populate HOST:PORT [--topics 2500] [--partitions 4] [--groups 2000] [--commits 20] [--records 3]`

Every partition ends up with `--records` records and every group with `--commits` committed offsets on neighbouring
topics. Running it again adds only what is missing.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

T = TypeVar("T")
CALL_SECONDS = 60


def topic_name(index: int) -> str:
    return f"bench.t{index:05d}"


def group_name(index: int) -> str:
    return f"bench.g{index:05d}"


def populate(bootstrap: str, *, topics: int, partitions: int, groups: int, commits: int, records: int) -> None:
    """Make the cluster hold what the arguments say. Raises KafkaException when the cluster refuses."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    _create_topics(admin, topics, partitions)
    # Commits to a cluster that has just made its topics and has no offsets topic yet time out in masses: wait, then warm up.
    ends = _wait_for_ends(admin, topics, partitions)
    _commit(admin, [_offsets(0, topics, partitions, commits, records)])
    _produce(bootstrap, ends, records)
    for batch in _chunks(range(groups), 200):
        _commit(admin, [_offsets(index, topics, partitions, commits, records) for index in batch])


def _create_topics(admin: AdminClient, topics: int, partitions: int) -> None:
    present = admin.list_topics(timeout=CALL_SECONDS).topics
    missing = [topic_name(index) for index in range(topics) if topic_name(index) not in present]
    for batch in _chunks(missing, 250):
        wanted = [NewTopic(name, num_partitions=partitions, replication_factor=1) for name in batch]
        for future in admin.create_topics(wanted, request_timeout=CALL_SECONDS).values():
            try:
                future.result(CALL_SECONDS)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise


def _wait_for_ends(admin: AdminClient, topics: int, partitions: int) -> dict[tuple[str, int], int]:
    """End offset of every partition, as soon as each has a leader."""
    wanted = [(topic_name(index), number) for index in range(topics) for number in range(partitions)]
    ends: dict[tuple[str, int], int] = {}
    until = time.monotonic() + 5 * CALL_SECONDS
    while len(ends) < len(wanted):
        if time.monotonic() > until:
            raise TimeoutError(f"{len(wanted) - len(ends)} partitions still have no leader")
        admin.list_topics(
            timeout=CALL_SECONDS
        )  # else the client goes on with what it knew before the topics were there
        for batch in _chunks([key for key in wanted if key not in ends], 1000):
            asked: dict[TopicPartition, Any] = {TopicPartition(*key): OffsetSpec.latest() for key in batch}
            for partition, future in admin.list_offsets(asked, request_timeout=CALL_SECONDS).items():
                try:
                    ends[partition.topic, partition.partition] = future.result(CALL_SECONDS).offset
                except KafkaException:
                    time.sleep(0.001)
    return ends


def _produce(bootstrap: str, ends: dict[tuple[str, int], int], records: int) -> None:
    # A topic that the producer's metadata does not know yet is not an error here.
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "topic.metadata.propagation.max.ms": 120_000})
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            failed.append(error)

    for batch in _chunks(list(ends.items()), 5000):
        for (topic, partition), end in batch:
            for _ in range(records - end):
                producer.produce(topic, value=b"x" * 50, key=b"k", partition=partition, on_delivery=delivered)
        producer.flush(2 * CALL_SECONDS)
    if failed:
        raise KafkaException(failed[0])


def _offsets(index: int, topics: int, partitions: int, commits: int, records: int) -> ConsumerGroupTopicPartitions:
    span = -(-commits // partitions)  # topics that the group reads
    places = [
        (topic_name((index * span + step) % topics), number) for step in range(span) for number in range(partitions)
    ]
    committed = [
        TopicPartition(topic, number, (index + place) % (records + 1))
        for place, (topic, number) in enumerate(places[:commits])
    ]
    return ConsumerGroupTopicPartitions(group_name(index), committed)


def _commit(admin: AdminClient, requests: list[ConsumerGroupTopicPartitions]) -> None:
    futures = [
        future
        for request in requests
        for future in admin.alter_consumer_group_offsets([request], request_timeout=CALL_SECONDS).values()
    ]
    for future in futures:
        future.result(2 * CALL_SECONDS)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fill a Kafka cluster to the size of a benchmark.")
    parser.add_argument("bootstrap")
    for name, default in (("topics", 2500), ("partitions", 4), ("groups", 2000), ("commits", 20), ("records", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args(argv)
    started = time.monotonic()
    populate(**vars(options))
    sys.stdout.write(f"populated in {time.monotonic() - started:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
