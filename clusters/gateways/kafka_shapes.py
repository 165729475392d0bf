"""From the client library's answers to the portal's own shapes. Pure."""

import base64
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import ConsumerGroupState, ConsumerGroupType, KafkaError, Uuid
from confluent_kafka.admin import ClusterMetadata

from clusters.gateways.kafka_errors import entity_error
from clusters.ports import (
    Broker,
    EntityError,
    GroupState,
    GroupType,
    Member,
    Metadata,
    Partition,
    PartitionMeta,
    TopicIdentity,
    TopicMeta,
)
from ops_portal.lib.resilience import DeadlinePassed

PARTITIONS_PER_CALL = 1000  # the client merges the answers of one call in O(n^2)


OFFSET_PROTOCOLS = frozenset({None, "", "consumer", "share", "streams"})
STATES = {
    ConsumerGroupState.STABLE: GroupState.STABLE,
    ConsumerGroupState.PREPARING_REBALANCING: GroupState.PREPARING_REBALANCE,
    ConsumerGroupState.COMPLETING_REBALANCING: GroupState.COMPLETING_REBALANCE,
    ConsumerGroupState.EMPTY: GroupState.EMPTY,
    ConsumerGroupState.DEAD: GroupState.DEAD,
    # The client has no word for the assigning and reconciling of KIP-848 groups.
    ConsumerGroupState.UNKNOWN: GroupState.RECONCILING,
}


def metadata_of(found: ClusterMetadata) -> tuple[Metadata, dict[Partition, int]]:
    """The metadata, and the leader of every partition that has one."""
    topics: dict[str, TopicMeta] = {}
    leaders: dict[Partition, int] = {}
    errors: list[EntityError] = []
    for name, topic in found.topics.items():
        if topic.error is not None:
            errors.append(entity_error(f"topic:{name}", topic.error))
            continue
        partitions = []
        for number, one in topic.partitions.items():
            leader = one.leader if one.leader >= 0 else None
            if leader is not None:
                leaders[name, number] = leader
            partitions.append(PartitionMeta(number, leader, tuple(one.replicas), tuple(one.isrs)))
        topics[name] = TopicMeta(name, tuple(partitions))
    brokers = tuple(
        Broker(broker.id, str(broker.host), broker.port)
        for broker in sorted(found.brokers.values(), key=lambda broker: broker.id)
    )
    return Metadata(found.cluster_id, brokers, topics, tuple(errors)), leaders


def chunks_by_leader(partitions: Iterable[Partition], leaders: Mapping[Partition, int]) -> list[list[Partition]]:
    """Partitions of one leader together, in equal parts of at most PARTITIONS_PER_CALL."""
    by_leader: dict[int | None, list[Partition]] = {}
    for partition in partitions:
        by_leader.setdefault(leaders.get(partition), []).append(partition)
    chunks = []
    for places in by_leader.values():
        parts = -(-len(places) // PARTITIONS_PER_CALL)
        size = -(-len(places) // parts)
        chunks += [places[start : start + size] for start in range(0, len(places), size)]
    return chunks


def topic_results(names: list[str], value: Any) -> Iterable[tuple[str, KafkaError | None, Any]]:
    """(topic, error, answer) of a describe_topics list or a describe_configs map."""
    if isinstance(value, dict):
        return [(resource.name, resource.error, configs) for resource, configs in value.items()]
    return [
        (name, result, None) if isinstance(result, KafkaError) else (name, None, result)
        for name, result in zip(names, value, strict=True)
    ]


def identity_of(name: str, topic_id: str | None, config: Mapping[str, Any]) -> TopicIdentity:
    def setting(key: str) -> str | None:
        entry = config.get(key)
        return entry.value if entry is not None else None

    retention = setting("retention.ms")
    milliseconds = int(retention) if retention and retention.lstrip("-").isdecimal() else -1
    policy = setting("cleanup.policy")
    return TopicIdentity(
        name,
        topic_id,
        cleanup_policy=",".join(sorted(policy.replace(" ", "").split(","))) if policy else None,
        timestamp_type=setting("message.timestamp.type"),
        retention_seconds=milliseconds / 1000 if milliseconds >= 0 else None,
    )


def member_of(found: Any) -> Member:
    assigned = found.assignment.topic_partitions if found.assignment is not None else []
    return Member(
        member_id=found.member_id,
        client_id=found.client_id,
        host=found.host.removeprefix("/"),
        partitions=tuple((place.topic, place.partition) for place in assigned),
    )


def type_of(found: Any) -> GroupType:
    """Brokers before 3.8 do not tell the type: their groups are classic."""
    return GroupType.CONSUMER if found.type is ConsumerGroupType.CONSUMER else GroupType.CLASSIC


def uuid_text(topic_id: Uuid | None) -> str | None:
    if topic_id is None:
        return None
    found = uuid.UUID(bytes=base64.urlsafe_b64decode(f"{str(topic_id).replace('+', '-').replace('/', '_')}=="))
    return str(found) if found.int else None


def entity_of(partition: Partition) -> str:
    return f"partition:{partition[0]}/{partition[1]}"


def cause_of(error: Exception) -> Exception:
    return TimeoutError() if isinstance(error, DeadlinePassed) else error
