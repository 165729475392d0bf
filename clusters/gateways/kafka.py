"""Reads of a Kafka cluster through confluent-kafka. Implements `clusters.ports.KafkaPort`."""

import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import ClusterMetadata
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import _AdminClientImpl as Calls  # see kafka_calls

from clusters.gateways.kafka_calls import Answer, Reply, in_flight
from clusters.gateways.kafka_client import KafkaClient
from clusters.gateways.kafka_errors import MOVED, TIMED_OUT, entity_error, error_name, late, leaderless
from clusters.gateways.kafka_shapes import (
    OFFSET_PROTOCOLS,
    STATES,
    cause_of,
    chunks_by_leader,
    entity_of,
    identity_of,
    member_of,
    metadata_of,
    topic_results,
    type_of,
    uuid_text,
)
from clusters.ports import (
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
    Metadata,
    OffsetSpec,
    Partition,
    RequestCount,
    TopicIdentity,
)
from ops_portal.lib.clock import Clock
from ops_portal.lib.resilience import Deadline, DeadlinePassed

Found = TypeVar("Found")

METADATA_SECONDS = 5.0
CALL_SECONDS = 3.0  # one call to one broker: a broker that hangs must not use up the time of the others
GROUPS_IN_FLIGHT = 1000
DESCRIBES_IN_FLIGHT = 200
TOPICS_PER_CALL = 250

_EARLIEST, _LATEST = -2, -1  # ListOffsets' own timestamps


class ConfluentKafka:
    """One run's view of a cluster: a shared client, the run's clock and its own count of requests."""

    def __init__(self, client: KafkaClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self.requests = RequestCount()
        self.seen: Metadata | None = None

    # --- Cluster and topics -------------------------------------------------------------------------------------------

    def metadata(self, deadline: Deadline) -> Metadata:
        try:
            found = self._cluster_metadata(deadline)
        except (KafkaException, DeadlinePassed) as error:
            raise self._client.failure(cause_of(error)) from None
        self.requests.add("Metadata")
        self._client.refreshed()
        self.seen, self._client.leaders = metadata_of(found)
        self._client.leaderless = frozenset(
            (name, one.partition)
            for name, topic in self.seen.topics.items()
            for one in topic.partitions
            if one.leader is None
        )
        self._client.brokers = max(1, len(self.seen.brokers))
        self._client.bulk.know(self.seen.brokers)
        return self.seen

    def topic_identities(
        self, topics: Collection[str], deadline: Deadline
    ) -> tuple[Mapping[str, TopicIdentity], tuple[EntityError, ...]]:
        names = list(topics)
        errors: dict[str, EntityError] = {}
        ids: dict[str, str | None] = {}
        for name, result in self._by_topic("Metadata", names, self._send_describe_topics, deadline).items():
            if isinstance(result, EntityError):
                errors[name] = result
            else:
                ids[name] = uuid_text(result.topic_id)
        configs = self._by_topic("DescribeConfigs", list(ids), self._send_describe_configs, deadline)
        found: dict[str, TopicIdentity] = {}
        for name, topic_id in ids.items():
            config = configs[name]
            if isinstance(config, EntityError):
                errors[name] = config
                found[name] = TopicIdentity(name, topic_id)
            else:
                found[name] = identity_of(name, topic_id, config)
        return found, tuple(errors.values())

    # --- Groups -------------------------------------------------------------------------------------------------------

    def list_groups(self, deadline: Deadline) -> GroupListings:
        if not self._client.in_touch():
            self.metadata(deadline)

        def send(_: None, reply: Reply[None], timeout: float) -> None:
            Calls.list_consumer_groups(self._client.admin, reply, request_timeout=timeout)

        answer = self._single(send, deadline)
        self.requests.add("ListGroups", self._client.brokers)
        if answer.error is not None:
            self._client.late()
            raise self._client.failure(answer.error)
        valid, failed = answer.value.valid or [], answer.value.errors or []
        if failed and not valid:
            raise self._client.failure(failed[0])
        self._client.lost_touch |= bool(failed)
        groups = {
            listing.group_id: GroupListing(listing.group_id, type_of(listing), STATES[listing.state])
            for listing in valid
        }
        return GroupListings(groups, tuple(entity_error("broker:one of the brokers", error) for error in failed))

    def unmeasured_groups(self, known: Collection[str], deadline: Deadline) -> frozenset[str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the newer call leaves out what is asked for here
                listed = self._client.admin.list_groups(timeout=deadline.timeout(METADATA_SECONDS))
        except (KafkaException, DeadlinePassed) as error:
            raise self._client.failure(cause_of(error)) from None
        self.requests.add("ListGroups", self._client.brokers)
        self.requests.add("DescribeGroups", self._client.brokers)
        # Connect workers and the like have a protocol of their own and no offsets of a consumer.
        return frozenset(str(group.id) for group in listed if group.protocol_type in OFFSET_PROTOCOLS) - frozenset(
            known
        )

    def committed(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, CommittedOffsets]:
        admin = self._client.admin

        def send(group: str, reply: Reply[str], timeout: float) -> None:
            request = [ConsumerGroupTopicPartitions(group)]
            Calls.list_consumer_group_offsets(admin, request, reply, request_timeout=timeout)

        def read(group: str, answer: Answer[str]) -> CommittedOffsets:
            offsets = {
                (place.topic, place.partition): place.offset
                for place in answer.value[0].topic_partitions
                if place.offset >= 0
            }
            return CommittedOffsets(group, offsets, self._clock.at(answer.at))

        def failed(group: str, error: EntityError) -> CommittedOffsets:
            return CommittedOffsets(group, {}, self._clock.now(), error)

        asked = list(groups)
        found = {
            group: CommittedOffsets(group, offsets, self._clock.at(at))
            for group, offsets, at in self._client.bulk.committed(asked, self.requests, deadline)
        }
        rest = [group for group in asked if group not in found]
        self.requests.add("FindCoordinator", len(rest))
        self.requests.add("OffsetFetch", len(rest))
        return found | self._by_group(rest, send, read, failed, window=GROUPS_IN_FLIGHT, deadline=deadline)

    def describe_groups(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, GroupDescription]:
        admin = self._client.admin

        def send(group: str, reply: Reply[str], timeout: float) -> None:
            Calls.describe_consumer_groups(admin, [group], reply, request_timeout=timeout)

        def read(group: str, answer: Answer[str]) -> GroupDescription:
            found = answer.value[0]
            kind = type_of(found)
            # The client asks for the newer protocol first; a classic group costs a second round.
            self.requests.add("FindCoordinator", 2 if kind is GroupType.CLASSIC else 1)
            self.requests.add("ConsumerGroupDescribe")
            if kind is GroupType.CLASSIC:
                self.requests.add("DescribeGroups")
            node = found.coordinator
            members = tuple(member_of(member) for member in found.members)
            return GroupDescription(group, kind, STATES[found.state], members, node.id if node is not None else None)

        def failed(group: str, error: EntityError) -> GroupDescription:
            return GroupDescription(group, GroupType.CLASSIC, GroupState.UNKNOWN, (), None, error)

        return self._by_group(groups, send, read, failed, window=DESCRIBES_IN_FLIGHT, deadline=deadline)

    # --- Offsets of partitions ----------------------------------------------------------------------------------------

    def offsets(self, partitions: Collection[Partition], spec: OffsetSpec, deadline: Deadline) -> FoundOffsets:
        time_ms = _EARLIEST if spec is OffsetSpec.START else _LATEST
        return self._list_offsets(
            dict.fromkeys(partitions, time_ms), deadline, read_committed=spec is OffsetSpec.STABLE
        )

    def offsets_at(self, times: Mapping[Partition, float], deadline: Deadline) -> FoundOffsets:
        asked = {partition: max(0, round(seconds * 1000)) for partition, seconds in times.items()}
        return self._list_offsets(asked, deadline, read_committed=False)

    def close(self) -> None:
        """Nothing to do: the client belongs to the process (`kafka_client`)."""

    # --- Helpers ------------------------------------------------------------------------------------------------------

    def _list_offsets(
        self, asked: Mapping[Partition, int], deadline: Deadline, *, read_committed: bool
    ) -> FoundOffsets:
        offsets: dict[Partition, FoundOffset] = {}
        read_at: dict[Partition, float] = {}
        failed = self._list_once(asked, deadline, read_committed, offsets, read_at)
        moved = [partition for partition, error in failed.items() if error is None or error_name(error) in MOVED]
        if moved and self._refresh(deadline):
            again = {partition: asked[partition] for partition in moved}
            for partition in moved:
                del failed[partition]
            failed |= self._list_once(again, deadline, read_committed, offsets, read_at)
        if any(error is None or error_name(error) in TIMED_OUT for error in failed.values()):
            self._client.late()
        errors = tuple(self._partition_error(partition, error) for partition, error in failed.items())
        return FoundOffsets(offsets, read_at, errors)

    def _cluster_metadata(self, deadline: Deadline) -> ClusterMetadata:
        """The client asks the broker it used last, on and on, also while that one hangs: then a new client asks another."""
        try:
            return self._client.admin.list_topics(timeout=deadline.timeout(CALL_SECONDS))
        except KafkaException as error:
            if error_name(error) not in TIMED_OUT:
                raise
        self._client.late()
        self._client.in_touch()
        return self._client.admin.list_topics(timeout=deadline.timeout(METADATA_SECONDS))

    def _partition_error(self, partition: Partition, error: object) -> EntityError:
        if error is None:
            return late(entity_of(partition))
        if partition in self._client.leaderless:
            return leaderless(entity_of(partition))
        return entity_error(entity_of(partition), error)

    def _list_once(
        self,
        asked: Mapping[Partition, int],
        deadline: Deadline,
        read_committed: bool,
        offsets: dict[Partition, FoundOffset],
        read_at: dict[Partition, float],
    ) -> dict[Partition, object]:
        """Fill `offsets` and `read_at`; returns the partitions that failed with their error, None = no answer in time."""
        leaders = self._client.leaders
        answers = self._client.bulk.offsets(asked, leaders, self.requests, deadline, read_committed=read_committed)
        for found, monotonic in answers:
            offsets |= found
            read_at |= dict.fromkeys(found, self._clock.at(monotonic))
        isolation = IsolationLevel.READ_COMMITTED if read_committed else IsolationLevel.READ_UNCOMMITTED
        chunks = chunks_by_leader((place for place in asked if place not in offsets), leaders)
        self.requests.add("ListOffsets", len(chunks))

        def send(index: int, reply: Reply[int], timeout: float) -> None:
            places = [TopicPartition(topic, number, asked[topic, number]) for topic, number in chunks[index]]
            Calls.list_offsets(
                self._client.admin,
                places,
                reply,
                isolation_level_value=isolation.value,
                request_timeout=timeout,
            )

        failed: dict[Partition, object] = {}
        unanswered = set(range(len(chunks)))
        for answer in in_flight(
            range(len(chunks)), send, window=len(chunks) or 1, call_seconds=CALL_SECONDS, deadline=deadline
        ):
            unanswered.discard(answer.key)
            if answer.error is not None:
                failed.update(dict.fromkeys(chunks[answer.key], answer.error))
                continue
            at = self._clock.at(answer.at)
            for place, result in answer.value.items():
                partition = place.topic, place.partition
                if isinstance(result, KafkaError):
                    failed[partition] = result
                    continue
                stamp = result.timestamp
                offsets[partition] = FoundOffset(result.offset, stamp / 1000 if stamp >= 0 else None)
                read_at[partition] = at
        for index in unanswered:
            failed.update(dict.fromkeys(chunks[index]))
        return failed

    def _by_group(
        self,
        groups: Collection[str],
        send: Callable[[str, Reply[str], float], None],
        read: Callable[[str, Answer[str]], Found],
        failed: Callable[[str, EntityError], Found],
        *,
        window: int,
        deadline: Deadline,
    ) -> dict[str, Found]:
        """One call per group; groups whose coordinator has moved are asked once more. One answer per asked group."""
        found: dict[str, Found] = {}
        moved: list[str] = []
        for attempt, names in enumerate((groups, moved)):
            if not names or (attempt and not self._refresh(deadline)):
                break
            for answer in in_flight(list(names), send, window=window, call_seconds=CALL_SECONDS, deadline=deadline):
                group = answer.key
                error = answer.error
                if error is None and isinstance(answer.value[0], KafkaError):
                    error = KafkaException(answer.value[0])
                if error is None:
                    found[group] = read(group, answer)
                    continue
                found[group] = failed(group, entity_error(f"group:{group}", error))
                if error_name(error) in TIMED_OUT:
                    self._client.late()
                if not attempt and error_name(error) in MOVED:
                    moved.append(group)
        for group in groups:
            if group not in found:
                self._client.late()
                found[group] = failed(group, late(f"group:{group}"))
        return found

    def _by_topic(
        self,
        api: str,
        names: list[str],
        send: Callable[[list[str], Reply[int], float], None],
        deadline: Deadline,
    ) -> dict[str, Any]:
        """Ask about topics a few hundred at a time; per topic the client's answer or an EntityError."""
        chunks = [names[start : start + TOPICS_PER_CALL] for start in range(0, len(names), TOPICS_PER_CALL)]
        self.requests.add(api, len(chunks))
        found: dict[str, Any] = {}
        for answer in in_flight(
            range(len(chunks)),
            lambda index, reply, timeout: send(chunks[index], reply, timeout),
            window=4,
            call_seconds=METADATA_SECONDS,
            deadline=deadline,
        ):
            if answer.error is not None:
                for name in chunks[answer.key]:
                    found[name] = entity_error(f"topic:{name}", answer.error)
            else:
                for name, error, value in topic_results(chunks[answer.key], answer.value):
                    found[name] = value if error is None else entity_error(f"topic:{name}", error)
        return {name: found.get(name) or late(f"topic:{name}") for name in names}

    def _send_describe_topics(self, names: list[str], reply: Reply[int], timeout: float) -> None:
        Calls.describe_topics(self._client.admin, names, reply, request_timeout=timeout)  # type: ignore[arg-type]  # stub has them swapped

    def _send_describe_configs(self, names: list[str], reply: Reply[int], timeout: float) -> None:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        Calls.describe_configs(self._client.admin, resources, reply, request_timeout=timeout)

    def _single(self, send: Callable[[None, Reply[None], float], None], deadline: Deadline) -> Answer[None]:
        for answer in in_flight([None], send, window=1, call_seconds=METADATA_SECONDS, deadline=deadline):
            return answer
        self._client.late()
        raise self._client.failure(TimeoutError())

    def _refresh(self, deadline: Deadline) -> bool:
        """Read the metadata again, so that the client finds what has moved; False when there is no time or no answer."""
        try:
            self.metadata(deadline)
        except GatewayFailed:
            return False
        return True
