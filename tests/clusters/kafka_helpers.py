"""Steps that tests on a real Kafka share."""

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ops_portal.lib.processes import wait_until


def commit(admin: AdminClient, group: str, topic: str, offset: int, partition: int = 0, metadata: str = "") -> None:
    """Commit for a group without members; waits until the group's coordinator is there."""
    place = TopicPartition(topic, partition, offset, metadata) if metadata else TopicPartition(topic, partition, offset)

    def committed() -> bool:
        request = ConsumerGroupTopicPartitions(group, [place])
        try:
            answer = admin.alter_consumer_group_offsets([request], request_timeout=5)[group].result(6)
        except (KafkaException, TimeoutError):
            admin.list_topics(timeout=10)  # else the client may go on asking a broker that is gone
            return False
        return all(found.error is None for found in answer.topic_partitions)

    assert wait_until(committed, seconds=60, step_seconds=0.2), f"{group} cannot commit on {topic}"
