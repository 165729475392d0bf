"""The objects of interfaces.md 3 and how rows become them. Most are the fields of a row; functions build the others."""

from datetime import datetime
from typing import Any

from ninja import Field

from clusters.ports import GroupState, GroupType
from lag.rows import GroupDetail, HistoryPoints, TopicSummary
from lag.verdicts import EventKind, Flag, Method, Verdict
from ops_portal.lib.api import Contract, fields_of
from ops_portal.lib.clock import as_datetime, iso


class ClusterItem(Contract):
    cluster: str
    state: str = Field(description="ok | stale | unknown (never read)")
    reason: str
    brokers: int | None
    groups: int
    verdicts: dict[Verdict, int] = Field(description="Groups by verdict.")
    lag_records: int | None = Field(description="Sum over the groups.")
    lag_seconds: float | None = Field(description="Of the worst group.")
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool


class GroupItem(Contract):
    id: int
    cluster: str
    group: str
    type: GroupType = Field(description="unmeasured = a share or streams group: listed, every number null")
    state: GroupState
    verdict: Verdict = Field(description="That of the worst partition.")
    reason: str = Field(description="The verdict as a sentence.")
    rule: str = Field(description="The rule that fired.")
    inputs: dict[str, Any] = Field(description="What the rule looked at.")
    client: str | None
    members: int | None = Field(description="Null for groups that are not measured.")
    worst_topic: str | None
    lag_records: int | None = Field(description="Sum over partitions with a commit.")
    lag_records_max: int | None = Field(description="Largest partition.")
    lag_seconds: float | None = Field(description="Age of the first unread record of the worst partition.")
    lag_seconds_bound: float | None = Field(description="The truth lies within lag_seconds ± this.")
    lag_seconds_method: Method | None
    produce_rate: float | None = Field(description="Records per second.")
    consume_rate: float | None = Field(description="Records per second.")
    trend: float | None = Field(description="Change of lag_records per second over the last minute.")
    catch_up_seconds: float | None
    flags: list[Flag]
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool


class PartitionItem(Contract):
    partition: int
    committed: int | None
    start: int | None = Field(description="Log start offset.")
    end: int | None = Field(description="The offset that lag is measured against.")
    high_watermark: int | None
    lag_records: int | None
    lag_seconds: float | None
    lag_seconds_bound: float | None
    lag_seconds_method: Method | None
    verdict: Verdict
    flags: list[Flag]
    member: str | None
    host: str | None


class GroupTopicItem(Contract):
    topic: str
    topic_id: str | None
    lag_records: int | None
    lag_seconds: float | None
    partitions: list[PartitionItem]


class MemberItem(Contract):
    member_id: str
    client_id: str
    host: str
    partitions: int


class GroupWithTopics(GroupItem):
    topics: list[GroupTopicItem]
    member_list: list[MemberItem]


class HistoryBody(Contract):
    step_seconds: float
    columns: list[str]
    points: list[list[Any]] = Field(description="Values in the order of `columns`; at most 1,000 points.")


class EventItem(Contract):
    id: int
    at: datetime
    at_earliest: datetime
    kind: EventKind
    topic: str | None
    partition: int | None
    member: str | None
    before: Any
    after: Any
    records: int | None


class TopicConsumerItem(Contract):
    group_id: int
    group: str
    client: str | None
    verdict: Verdict
    lag_records: int | None
    lag_seconds: float | None
    consume_rate: float | None


class TopicItem(Contract):
    id: int
    cluster: str
    topic: str
    topic_id: str | None
    client: str | None
    partitions: int | None
    cleanup_policy: str | None
    produce_rate: float | None = Field(description="Records per second; null where other clients share the topic.")
    lag_records: int | None = Field(description="Of the group that is furthest behind.")
    consumers: list[TopicConsumerItem]
    flags: list[Flag]


class SloItem(Contract):
    id: int
    cluster: str
    name: str
    glob: str
    client: str | None
    max_records: int | None
    max_seconds: float | None
    for_seconds: float = Field(description="How long a group must be over before a breach opens.")
    objective: float = Field(description="Share of time that should be within the promise.")
    severity: str
    enabled: bool
    groups: int
    breached: list[str] = Field(description="Groups in breach now.")
    attained: float | None = Field(description="Share of the counted time within the promise.")
    budget_left: float | None = Field(description="1 = untouched, negative = overdrawn.")


def group_json(row: GroupDetail) -> dict[str, Any]:
    """A `GroupWithTopics`."""
    return {
        **fields_of(GroupItem, row.summary),
        "topics": [
            {
                **fields_of(GroupTopicItem, topic, but="partitions"),
                "partitions": [fields_of(PartitionItem, partition) for partition in topic.partitions],
            }
            for topic in row.topics
        ],
        "member_list": [fields_of(MemberItem, member) for member in row.members],
    }


def history_json(points: HistoryPoints) -> dict[str, Any]:
    """Points with their time, which is the first column, as the API writes times."""
    rows = [[iso(as_datetime(at)), *values] for at, *values in points.points]
    return {"step_seconds": points.step_seconds, "columns": points.columns, "points": rows}


def topic_json(row: TopicSummary) -> dict[str, Any]:
    """A `TopicItem`."""
    consumers = [fields_of(TopicConsumerItem, consumer) for consumer in row.consumers]
    return {**fields_of(TopicItem, row, but="consumers"), "consumers": consumers}
