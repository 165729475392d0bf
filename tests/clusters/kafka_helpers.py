"""Steps that tests on a real Kafka share."""

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from ops_portal.lib.processes import wait_until


def commit(admin: AdminClient, group: str, topic: str, offset: int, partition: int = 0, metadata: str = "") -> None:
    """Commit for a group without members; waits until the group's coordinator is there."""
    place = TopicPartition(topic, partition, offset, metadata) if metadata else TopicPartition(topic, partition, offset)

    def committed() -> bool:
        try:
            answer = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [place])])[group].result(
                20
            )
        except KafkaException:
            return False
        return all(found.error is None for found in answer.topic_partitions)

    assert wait_until(committed, seconds=20, step_seconds=0.2), f"{group} cannot commit on {topic}"
