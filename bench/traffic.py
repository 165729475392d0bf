"""What moves on the bench's broker: records on chosen partitions, commits of the groups that read them."""

import random
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench import populate
from bench.site import COMMITS, PARTITIONS

_SECONDS = 30
_AT_ONCE = 200

Partition = tuple[str, int]


class Traffic:
    """`groups` memberless groups and what they have committed, as `populate` left it."""

    def __init__(self, bootstrap: str, *, topics: int, groups: int, records: int) -> None:
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 20, "topic.metadata.propagation.max.ms": 120_000}
        )
        self.ends: dict[Partition, int] = {
            (populate.topic_name(topic), number): records for topic in range(topics) for number in range(PARTITIONS)
        }
        self.committed: dict[str, dict[Partition, int]] = {}
        for index in range(groups):
            asked = populate._offsets(index, topics, PARTITIONS, COMMITS, records)
            self.committed[str(asked.group_id)] = {
                (place.topic, place.partition): place.offset for place in asked.topic_partitions or ()
            }
        self.moving: set[Partition] = set()

    def choose(self, share: float) -> None:
        """Let this share of the partitions move, spread over all topics: the costlier case, since most groups are touched."""
        every = sorted(self.ends)
        self.moving = set(random.Random(1).sample(every, round(share * len(every))))

    def move(self) -> int:
        """A few records on every moving partition, and its readers commit up to near the end. Returns the commits."""
        for place in self.moving:
            count = random.randint(1, 4)
            self.produce(*place, count)
            self.ends[place] += count
        self.flush()
        commits = {}
        for group, offsets in self.committed.items():
            new = {
                place: max(old, self.ends[place] - random.randint(0, 3))
                for place, old in offsets.items()
                if place in self.moving
            }
            if new:
                offsets.update(new)
                commits[group] = new
        self.commit(commits)
        return sum(map(len, commits.values()))

    def catch_up(self) -> None:
        """Every group commits the end of everything it reads."""
        for offsets in self.committed.values():
            offsets.update({place: self.ends[place] for place in offsets})
        self.commit(self.committed)

    def produce(self, topic: str, partition: int, count: int) -> None:
        for _ in range(count):
            self.producer.produce(topic, value=b"x" * 50, key=b"k", partition=partition)

    def flush(self) -> None:
        if left := self.producer.flush(_SECONDS):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{left} records were not delivered"))

    def commit(self, wanted: Mapping[str, Mapping[Partition, int]]) -> None:
        """Commit for groups without members. Raises KafkaException."""
        asked = [
            ConsumerGroupTopicPartitions(group, [TopicPartition(*place, offset) for place, offset in offsets.items()])
            for group, offsets in wanted.items()
        ]
        for start in range(0, len(asked), _AT_ONCE):
            futures = [
                future
                for one in asked[start : start + _AT_ONCE]
                for future in self.admin.alter_consumer_group_offsets([one], request_timeout=_SECONDS).values()
            ]
            for future in futures:
                future.result(_SECONDS)

    def commit_one(self, group: str, place: Partition, offset: int) -> float:
        """Commit one offset; returns the wall clock just before the request went out."""
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(*place, offset)])
        sent = time.time()
        for future in self.admin.alter_consumer_group_offsets([request], request_timeout=_SECONDS).values():
            future.result(_SECONDS)
        return sent


def subscriptions(indices: Sequence[int], topics: int) -> list[str]:
    """Arguments of `bench.members`: groups that read the topics `populate` would have given them."""
    span = COMMITS // PARTITIONS
    return [
        f"{populate.group_name(index)}={','.join(populate.topic_name((index * span + step) % topics) for step in range(span))}"
        for index in indices
    ]
