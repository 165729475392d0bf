"""What a connection test asks of a cluster. Runs in the client's own process (`kafka_child`), like every read."""

import contextlib

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin._acl import AclOperation

from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_client import KafkaClient
from clusters.gateways.kafka_frames import Survey
from clusters.ports import GatewayFailed, GroupListings, Metadata
from ops_portal.lib.resilience import Deadline, DeadlinePassed

CALL_SECONDS = 3.0


def survey(client: KafkaClient, port: ConfluentKafka, deadline: Deadline) -> Survey:
    """Look around in the cluster. Raises GatewayFailed when it does not answer at all."""
    metadata = port.metadata(deadline)
    problems: list[str] = []
    groups: GroupListings | None = None
    try:
        groups = port.list_groups(deadline)
    except GatewayFailed as failure:
        problems.append(f"The consumer groups cannot be listed: {failure.message}")
    if groups is None or groups.errors:
        problems.append(_out_of_reach(client, metadata))
    problems += _missing_rights(client, port, metadata, groups, deadline)
    return Survey(
        cluster_id=metadata.cluster_id,
        brokers=metadata.brokers,
        topics=sum(not name.startswith("__") for name in metadata.topics),
        groups=None if groups is None else len(groups.groups),
        problems=tuple(problems),
    )


def _missing_rights(
    client: KafkaClient, port: ConfluentKafka, metadata: Metadata, groups: GroupListings | None, deadline: Deadline
) -> list[str]:
    """Rights are asked for openly: without them the cluster would only show less, and nothing would look wrong."""
    problems: list[str] = []
    with contextlib.suppress(KafkaException, DeadlinePassed, TimeoutError):
        seconds = deadline.timeout(CALL_SECONDS)
        future = client.admin.describe_cluster(include_authorized_operations=True, request_timeout=seconds)
        allowed = future.result(seconds + 0.5).authorized_operations
        if AclOperation.DESCRIBE not in (allowed or []):
            problems.append(
                "The portal's Kafka user has no DESCRIBE on the cluster: it sees only groups it may DESCRIBE one by one."
            )
    names = [name for name in sorted(metadata.topics) if not name.startswith("__")][:1]
    if not names:
        problems.append("The portal sees no topic: either there is none, or its user has no DESCRIBE on topics.")
    else:
        with contextlib.suppress(KafkaException, DeadlinePassed, TimeoutError):
            seconds = deadline.timeout(CALL_SECONDS)
            futures = client.admin.describe_topics(
                TopicCollection(names), include_authorized_operations=True, request_timeout=seconds
            )
            allowed = futures[names[0]].result(seconds + 0.5).authorized_operations
            if AclOperation.DESCRIBE_CONFIGS not in (allowed or []):
                problems.append(
                    f"The portal's Kafka user has no DESCRIBE_CONFIGS on topic {names[0]}:"
                    " cleanup policy, timestamp type and retention stay unknown."
                )
    if groups is not None and groups.groups:
        group = min(groups.groups)
        answer = port.committed([group], deadline)[group]
        if answer.error is not None:
            problems.append(answer.error.message)
    elif groups is not None:
        problems.append(
            "The portal sees no consumer group: either there is none, or its user has no DESCRIBE on groups."
        )
    return problems


def _out_of_reach(client: KafkaClient, metadata: Metadata) -> str:
    said = " ".join(client.hints())
    missing = [f"{broker.host}:{broker.port}" for broker in metadata.brokers if f"{broker.host}:{broker.port}/" in said]
    names = ", ".join(missing) if missing else "at least one of the brokers"
    return f"Not every broker can be reached: {names}. The cluster names them so in advertised.listeners."
