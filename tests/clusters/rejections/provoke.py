"""Has clients of a real broker refused in many ways: what its authorizer and network layer then write is what we must read."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from tests.secured_kafka import TRADES, SecuredKafka

ROOT = Path(__file__).resolve().parents[3]
GROUPS = ("other-g", "grüße", "a b  c", 'quo"ted', "semi;colon", "x for request = Fetch", "emoji-🚀", "g" * 200,
    " is Denied operation = READ", "Principal =", "(kafka.authorizer.logger)", "a:b:c", "back\\slash", "$HOME `id`",
)  # fmt: skip
SECONDS = 5.0


def provoke(kafka: SecuredKafka, principals: Sequence[str] = ("stranger", "reader", "banned", "writer")) -> None:
    """Every kind of request that an authorizer judges, by each of these principals, each in a process of its own.

    The client's administration calls may abort the interpreter when what they ask for is refused.
    """
    kafka.topic("secret")
    running = []
    for name in principals:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.clusters.rejections.provoke", name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(kafka.identity(name)).encode())
        process.stdin.close()
        running.append(process)
    for process in running:
        process.wait(120)


def fail_to_sign_in(kafka: SecuredKafka) -> None:
    """An expired certificate: the handshake fails, and the broker says no more than that."""
    producer = Producer(kafka.identity("expired") | {"message.timeout.ms": 3000, "reconnect.backoff.max.ms": 200})
    producer.produce(TRADES, b"x")
    producer.flush(5)


def main(name: str, properties: dict[str, Any]) -> None:
    for group in GROUPS:
        _consume(properties, group)
    _produce(properties, name)
    admin = AdminClient(properties)
    for call in _calls(admin, name):
        with contextlib.suppress(KafkaException, ValueError):
            found = call()
            for future in found.values() if isinstance(found, dict) else [found]:
                with contextlib.suppress(KafkaException):
                    future.result(SECONDS)


def _calls(admin: AdminClient, name: str) -> list[Callable[[], Any]]:
    secret = f"secret-of-{name}"
    anything: Any = None
    wide = AclBindingFilter(
        ResourceType.ANY, anything, ResourcePatternType.ANY, anything, anything, AclOperation.ANY, AclPermissionType.ANY
    )
    rule = AclBinding(
        ResourceType.TOPIC,
        secret,
        ResourcePatternType.LITERAL,
        f"User:{name}",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    topic, broker = ConfigResource(ConfigResource.Type.TOPIC, TRADES), ConfigResource(ConfigResource.Type.BROKER, "1")
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, TRADES, incremental_configs=[entry])
    options: dict[str, Any] = {"request_timeout": SECONDS}
    return [
        lambda: admin.create_topics([NewTopic(secret, 1, 1)], **options),
        lambda: admin.delete_topics([TRADES, secret], **options),
        lambda: admin.create_partitions([NewPartitions(TRADES, 9)], **options),
        lambda: admin.describe_configs([topic], **options),
        lambda: admin.describe_configs([broker], **options),
        lambda: admin.incremental_alter_configs([changed], **options),
        lambda: admin.delete_consumer_groups(list(GROUPS[:3]), **options),
        lambda: admin.describe_consumer_groups(list(GROUPS[:3]), **options),
        lambda: admin.delete_records([TopicPartition(TRADES, 0, 1)], **options),
        lambda: admin.list_offsets({TopicPartition("secret-1", 0): OffsetSpec.latest()}, **options),
        lambda: admin.describe_user_scram_credentials(["somebody"], **options),
        lambda: admin.describe_acls(wide, **options),
        lambda: admin.delete_acls([wide], **options),
        lambda: admin.create_acls([rule], **options),
    ]


def _consume(properties: dict[str, Any], group: str) -> None:
    consumer = Consumer(properties | {"group.id": group})
    try:
        consumer.subscribe([TRADES, "secret-1"])
        for _ in range(4):
            consumer.poll(0.25)
    finally:
        consumer.close()


def _produce(properties: dict[str, Any], name: str) -> None:
    for topic in (TRADES, "secret-1"):
        producer = Producer(properties | {"message.timeout.ms": 2000})
        with contextlib.suppress(BufferError):
            producer.produce(topic, b"x")
        producer.flush(4)
    transactional = Producer(properties | {"transactional.id": f"tx of {name}"})
    with contextlib.suppress(KafkaException):
        transactional.init_transactions(3)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
