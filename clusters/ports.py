"""What the portal asks of a Kafka cluster, free of any client library's shapes.

`KafkaPort` is implemented by `clusters.gateways.kafka` (confluent-kafka) and, for unit tests, by a fake. A faster reader
that asks many groups per request can stand behind the same port. Every method takes a `Deadline`, never waits past it,
and reports what failed per entity; only a failure of the whole cluster raises `GatewayFailed`.

Offsets are record offsets (int), `read_at` are seconds since the epoch in the database's time (`ops_portal.lib.clock`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ops_portal.lib.resilience import Deadline

Partition = tuple[str, int]  # (topic, partition number)


class GroupType(StrEnum):
    """Group protocol. Share and streams groups are `UNMEASURED`: listed, never described, every number null."""

    CLASSIC = "classic"
    CONSUMER = "consumer"
    UNMEASURED = "unmeasured"


class GroupState(StrEnum):
    """State words of interfaces.md 3."""

    STABLE = "stable"
    PREPARING_REBALANCE = "preparing_rebalance"
    COMPLETING_REBALANCE = "completing_rebalance"
    ASSIGNING = "assigning"
    RECONCILING = "reconciling"
    EMPTY = "empty"
    DEAD = "dead"
    UNKNOWN = "unknown"


class OffsetSpec(StrEnum):
    """Which offset of a partition is asked for."""

    START = "start"  # log start offset
    END = "end"  # high watermark
    STABLE = "stable"  # last stable offset


class GatewayFailed(Exception):
    """The cluster as a whole did not answer. `code` is a lower snake word (timeout, authentication, tls, refused, ...)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class EntityError:
    """One entity that failed while others went on. `entity` is `group:NAME`, `topic:NAME` or `partition:TOPIC/N`."""

    entity: str
    code: str  # not_allowed | timeout | not_found | leader_unavailable | ... (lower snake)
    message: str


@dataclass(frozen=True, slots=True)
class Broker:
    id: int
    host: str
    port: int
    rack: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionMeta:
    partition: int
    leader: int | None  # broker id; None = no leader
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicMeta:
    topic: str
    partitions: tuple[PartitionMeta, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    cluster_id: str | None
    brokers: tuple[Broker, ...]
    topics: Mapping[str, TopicMeta]
    errors: tuple[EntityError, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """What describe calls tell of a topic: its id and the settings that bear on lag."""

    topic: str
    topic_id: str | None  # UUID text, None where the broker has none
    cleanup_policy: str | None = None  # delete | compact | compact,delete
    timestamp_type: str | None = None  # CreateTime | LogAppendTime
    retention_seconds: float | None = None  # None = unknown or unlimited


@dataclass(frozen=True, slots=True)
class GroupListing:
    group: str
    type: GroupType
    state: GroupState


@dataclass(frozen=True, slots=True)
class GroupListings:
    groups: Mapping[str, GroupListing]
    errors: tuple[EntityError, ...] = ()


@dataclass(frozen=True, slots=True)
class CommittedOffsets:
    """Committed offsets of one group: only partitions that have a commit are present."""

    group: str
    offsets: Mapping[Partition, int]
    read_at: float
    error: EntityError | None = None  # set = offsets is empty and says nothing


@dataclass(frozen=True, slots=True)
class FoundOffset:
    """`offset` -1 for a timestamp look-up past the last record; `timestamp` seconds since the epoch, where known."""

    offset: int
    timestamp: float | None = None


@dataclass(frozen=True, slots=True)
class FoundOffsets:
    offsets: Mapping[Partition, FoundOffset]
    read_at: Mapping[Partition, float]  # when that partition's answer arrived
    errors: tuple[EntityError, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    member_id: str
    client_id: str
    host: str
    partitions: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupDescription:
    group: str
    type: GroupType
    state: GroupState
    members: tuple[Member, ...]
    coordinator: int | None = None
    error: EntityError | None = None


@dataclass(slots=True)
class RequestCount:
    """Kafka requests this port has sent, by API name; the collector stores the difference per poll."""

    by_api: dict[str, int] = field(default_factory=dict)

    def add(self, api: str, count: int = 1) -> None:
        self.by_api[api] = self.by_api.get(api, 0) + count


class KafkaPort(Protocol):
    """Reads of one cluster. `allow` filters are applied by the caller before it names groups or topics here."""

    requests: RequestCount
    seen: Metadata | None  # the newest metadata of this run

    def metadata(self, deadline: Deadline) -> Metadata:
        """Brokers, topics, partitions. The first call after any broker loss (stack.md 3, finding 1)."""

    def topic_identities(
        self, topics: Collection[str], deadline: Deadline
    ) -> tuple[Mapping[str, TopicIdentity], tuple[EntityError, ...]]:
        """Topic ids and lag-bearing settings; slow work, asked rarely."""

    def list_groups(self, deadline: Deadline) -> GroupListings:
        """Every classic and consumer group with type and state. UNKNOWN of a successful call is returned as RECONCILING."""

    def unmeasured_groups(self, known: Collection[str], deadline: Deadline) -> frozenset[str]:
        """Ids that the legacy listing has and `known` lacks: share and streams groups."""

    def committed(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, CommittedOffsets]:
        """Committed offsets of each group, one answer per asked group, also for those that failed."""

    def offsets(self, partitions: Collection[Partition], spec: OffsetSpec, deadline: Deadline) -> FoundOffsets:
        """Start, end or last stable offsets, in leader-aligned chunks of at most 1,000 partitions."""

    def offsets_at(self, times: Mapping[Partition, float], deadline: Deadline) -> FoundOffsets:
        """First offset whose record timestamp is at or after the given time (seconds since the epoch), payload never read."""

    def describe_groups(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, GroupDescription]:
        """Members and assignment of each group."""

    def close(self) -> None: ...
