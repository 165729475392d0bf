"""Steps that tests on a real Kafka share."""

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ops_portal.lib.processes import wait_until


def commit(bootstrap: str, group: str, topic: str, offset: int, partition: int = 0, metadata: str = "") -> None:
    """Commit for a group without members; waits until the group's coordinator is there.

    A consumer does it: the admin call aborts the interpreter when the coordinator is not there in time (librdkafka 2.16).
    """
    place = TopicPartition(topic, partition, offset, metadata) if metadata else TopicPartition(topic, partition, offset)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})

    def committed() -> bool:
        try:
            answer = consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException:
            return False
        return all(found.error is None for found in answer or [])

    try:
        assert wait_until(committed, seconds=60, step_seconds=0.2), f"{group} cannot commit on {topic}"
    finally:
        consumer.close()
