"""A Kafka cluster in memory behind `clusters.ports.KafkaPort`: topics with stamped records, groups with commits and members.

Tests move it by hand (`produce`, `commit`, `expire`, `break_entity` ...) and read what the portal makes of it.
"""

import uuid
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from clusters.ports import (
    Broker,
    CommittedOffsets,
    EntityError,
    FoundOffset,
    FoundOffsets,
    GatewayFailed,
    GroupDescription,
    GroupListing,
    GroupListings,
    GroupState,
    GroupType,
    Member,
    Metadata,
    OffsetSpec,
    Partition,
    PartitionMeta,
    RequestCount,
    TopicIdentity,
    TopicMeta,
)
from ops_portal.lib.clock import Clock
from ops_portal.lib.resilience import Deadline


class StandingClock(Clock):
    """A clock that moves only when a test says so; time passes with `pass_time`."""

    def __init__(self, at: float) -> None:
        object.__setattr__(self, "anchor", at)
        object.__setattr__(self, "monotonic", 0.0)

    def now(self) -> float:
        return self.anchor

    def pass_time(self, seconds: float) -> None:
        object.__setattr__(self, "anchor", self.anchor + seconds)


@dataclass(slots=True)
class FakeLog:
    """One partition: offset of the first record, time stamps of all, and where an open transaction begins."""

    start: int = 0
    first: int = 0
    stamps: list[float] = field(default_factory=list)
    open_from: int | None = None

    @property
    def end(self) -> int:
        return self.first + len(self.stamps)


@dataclass(slots=True)
class FakeTopic:
    partitions: list[FakeLog]
    topic_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    cleanup_policy: str = "delete"
    timestamp_type: str = "CreateTime"


@dataclass(slots=True)
class FakeGroup:
    commits: dict[Partition, int] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    type: GroupType = GroupType.CLASSIC
    state: GroupState = GroupState.EMPTY


@dataclass(slots=True)
class FakeKafka:
    """The port, and the hands that move the cluster behind it."""

    clock: Clock
    topics: dict[str, FakeTopic] = field(default_factory=dict)
    groups: dict[str, FakeGroup] = field(default_factory=dict)
    share_groups: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)  # entity -> error code
    down: str | None = None  # the whole cluster fails with this code
    listing_errors: tuple[EntityError, ...] = ()
    requests: RequestCount = field(default_factory=RequestCount)
    asked: list[tuple[str, frozenset[object]]] = field(default_factory=list)
    seen: Metadata | None = None

    # --- what a test does ---
    def topic(self, name: str, partitions: int = 1, **more: str) -> FakeTopic:
        made = self.topics[name] = FakeTopic([FakeLog() for _ in range(partitions)], **more)
        return made

    def produce(self, topic: str, count: int, partition: int = 0, at: float | None = None) -> None:
        stamp = self.clock.now() if at is None else at
        self.topics[topic].partitions[partition].stamps += [stamp] * count

    def expire(self, topic: str, start: int, partition: int = 0) -> None:
        """Retention removes everything below `start`."""
        log = self.topics[topic].partitions[partition]
        del log.stamps[: start - log.first]
        log.start = log.first = start

    def group(
        self, name: str, topic: str | None = None, members: int = 1, type: GroupType = GroupType.CLASSIC
    ) -> FakeGroup:
        made = self.groups[name] = FakeGroup(type=type)
        if topic is not None:
            numbers = range(len(self.topics[topic].partitions))
            self.join(name, members, [(topic, number) for number in numbers])
        return made

    def join(self, name: str, members: int, partitions: Collection[Partition]) -> None:
        """The group has exactly these members now, with the partitions shared out among them."""
        group, held = self.groups[name], sorted(partitions)
        group.members = [
            Member(f"{name}-{index}", f"{name}-client", f"/10.0.0.{index + 1}", tuple(held[index::members]))
            for index in range(members)
        ]
        group.state = GroupState.STABLE if members else GroupState.EMPTY

    def commit(self, group: str, topic: str, offset: int, partition: int = 0) -> None:
        self.groups[group].commits[topic, partition] = offset

    def break_entity(self, entity: str, code: str = "timeout") -> None:
        self.broken[entity] = code

    # --- the port ---
    def metadata(self, deadline: Deadline) -> Metadata:
        self._called("Metadata")
        topics = {
            name: TopicMeta(name, tuple(PartitionMeta(n, 1, (1,), (1,)) for n in range(len(topic.partitions))))
            for name, topic in self.topics.items()
        }
        return Metadata("fake", (Broker(1, "127.0.0.1", 9092),), topics)

    def topic_identities(
        self, topics: Collection[str], deadline: Deadline
    ) -> tuple[Mapping[str, TopicIdentity], tuple[EntityError, ...]]:
        self._called("DescribeTopics", topics)
        found = {
            name: TopicIdentity(name, topic.topic_id, topic.cleanup_policy, topic.timestamp_type)
            for name, topic in self.topics.items()
            if name in topics
        }
        return found, tuple(self._error(f"topic:{name}", "not_found") for name in topics if name not in found)

    def list_groups(self, deadline: Deadline) -> GroupListings:
        self._called("ListGroups")
        found = {name: GroupListing(name, group.type, group.state) for name, group in self.groups.items()}
        return GroupListings(found, self.listing_errors)

    def unmeasured_groups(self, known: Collection[str], deadline: Deadline) -> frozenset[str]:
        self._called("ListGroupsLegacy")
        return frozenset(self.share_groups - set(known))

    def committed(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, CommittedOffsets]:
        self._called("OffsetFetch", groups)
        return {name: self._committed(name) for name in groups}

    def _committed(self, name: str) -> CommittedOffsets:
        if f"group:{name}" in self.broken:
            return CommittedOffsets(
                name, {}, self.clock.now(), self._error(f"group:{name}", self.broken[f"group:{name}"])
            )
        return CommittedOffsets(name, dict(self.groups[name].commits), self.clock.now())

    def offsets(self, partitions: Collection[Partition], spec: OffsetSpec, deadline: Deadline) -> FoundOffsets:
        self._called(f"ListOffsets.{spec}", partitions)
        return self._found(
            {partition: FoundOffset(self._offset(partition, spec)) for partition in self._there(partitions)}, partitions
        )

    def _offset(self, partition: Partition, spec: OffsetSpec) -> int:
        log = self.topics[partition[0]].partitions[partition[1]]
        if spec is OffsetSpec.START:
            return log.start
        if spec is OffsetSpec.STABLE and log.open_from is not None:
            return log.open_from
        return log.end

    def offsets_at(self, times: Mapping[Partition, float], deadline: Deadline) -> FoundOffsets:
        self._called("ListOffsets.at", times)
        found = {}
        for partition in self._there(times):
            log = self.topics[partition[0]].partitions[partition[1]]
            index = bisect_left(log.stamps, times[partition])
            beyond = index == len(log.stamps)
            found[partition] = FoundOffset(-1) if beyond else FoundOffset(log.first + index, log.stamps[index])
        return self._found(found, times)

    def describe_groups(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, GroupDescription]:
        self._called("DescribeGroups", groups)
        return {
            name: GroupDescription(name, group.type, group.state, tuple(group.members))
            for name in groups
            if (group := self.groups.get(name)) is not None
        }

    def close(self) -> None:
        """Nothing is open."""

    def _called(self, api: str, entities: Collection[object] = ()) -> None:
        self.requests.add(api)
        self.asked.append((api, frozenset(entities)))
        if self.down is not None:
            raise GatewayFailed(self.down, "the cluster does not answer")

    def _there(self, partitions: Collection[Partition]) -> list[Partition]:
        return [
            (topic, number)
            for topic, number in partitions
            if topic in self.topics
            and number < len(self.topics[topic].partitions)
            and f"topic:{topic}" not in self.broken
            and f"partition:{topic}/{number}" not in self.broken
        ]

    def _found(self, found: dict[Partition, FoundOffset], asked: Collection[Partition]) -> FoundOffsets:
        now = self.clock.now()
        errors = tuple(
            self._error(f"partition:{topic}/{number}", self.broken.get(f"topic:{topic}", "leader_unavailable"))
            for topic, number in asked
            if (topic, number) not in found
        )
        return FoundOffsets(found, dict.fromkeys(found, now), errors)

    @staticmethod
    def _error(entity: str, code: str) -> EntityError:
        return EntityError(entity, code, f"{entity}: {code}")
