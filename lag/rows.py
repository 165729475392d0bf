"""What selectors hand to API, pages, live views and metrics: the fields of interfaces.md 3, once."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lag.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """One row of the board. Unknown is None, never 0. `group_id` is the portal's id (`~<id>` in paths)."""

    id: int
    cluster: str
    group: str
    type: str
    state: str
    verdict: Verdict  # UNKNOWN when stale
    reason: str
    rule: str
    inputs: dict[str, Any]
    client: str | None
    members: int | None
    worst_topic: str | None
    lag_records: int | None
    lag_records_max: int | None
    lag_seconds: float | None
    lag_seconds_bound: float | None
    lag_seconds_method: str | None
    produce_rate: float | None
    consume_rate: float | None
    trend: float | None
    catch_up_seconds: float | None
    flags: tuple[str, ...]
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool
    muted_until: datetime | None = None  # page only, not part of the contract


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """One partition of a group on a topic (interfaces.md 3)."""

    partition: int
    committed: int | None
    start: int | None
    end: int | None
    high_watermark: int | None
    lag_records: int | None
    lag_seconds: float | None
    lag_seconds_bound: float | None
    lag_seconds_method: str | None
    verdict: Verdict
    flags: tuple[str, ...]
    member: str | None
    host: str | None


@dataclass(frozen=True, slots=True)
class TopicRow:
    topic: str
    topic_id: str | None
    lag_records: int | None
    lag_seconds: float | None
    partitions: tuple[PartitionRow, ...]


@dataclass(frozen=True, slots=True)
class MemberRow:
    member_id: str
    client_id: str
    host: str
    partitions: int


@dataclass(frozen=True, slots=True)
class GroupDetail:
    summary: GroupSummary
    topics: tuple[TopicRow, ...]
    members: tuple[MemberRow, ...]


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """Filters of the board and of `GET .../groups`; empty = no restriction. `sort` as in interfaces.md 1."""

    q: str = ""
    verdict: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    sort: str = "severity"
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class BoardPage:
    items: tuple[GroupSummary, ...]
    next_cursor: str | None
    total: int
    verdict_counts: dict[str, int] = field(
        default_factory=dict
    )  # of what the caller may see, before the verdict filter


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of a group. `seconds` (page only) = longest possible length of a rebalance that ended."""

    id: int
    at: datetime
    at_earliest: datetime
    kind: str
    topic: str | None
    partition: int | None
    member: str | None
    before: Any
    after: Any
    records: int | None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    items: tuple[EventRow, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """An item of `GET /api/v1/clusters`. `brokers` is None for who may not see brokers."""

    id: int
    cluster: str
    state: str  # ok | stale | unknown (never read)
    reason: str
    brokers: int | None
    groups: int
    verdicts: dict[str, int]
    lag_records: int | None
    lag_seconds: float | None
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool


@dataclass(frozen=True, slots=True)
class TopicConsumer:
    """A group that reads a topic."""

    group_id: int
    group: str
    client: str | None
    verdict: Verdict
    lag_records: int | None
    lag_seconds: float | None
    consume_rate: float | None


@dataclass(frozen=True, slots=True)
class TopicSummary:
    """A topic and who reads it. `produce_rate` and `partitions` are None where other clients share the topic."""

    id: int
    cluster: str
    topic: str
    topic_id: str | None
    client: str | None
    partitions: int | None
    cleanup_policy: str | None
    produce_rate: float | None
    lag_records: int | None  # largest of its groups
    consumers: tuple[TopicConsumer, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SloRow:
    """A promise and how it is kept. `budget_left` = share of the error budget left, 1.0 = untouched, negative = overdrawn."""

    id: int
    cluster: str
    name: str
    glob: str
    client: str | None
    max_records: int | None
    max_seconds: float | None
    for_seconds: float
    objective: float
    severity: str
    enabled: bool
    groups: int
    breached: tuple[str, ...]  # groups in breach now
    attained: float | None  # share of the counted time within the promise
    budget_left: float | None


@dataclass(frozen=True, slots=True)
class HistoryPoints:
    """Answer of `GET .../history`; `points` in the order of `columns`, `at` in seconds since the epoch, None = no value."""

    step_seconds: float
    columns: tuple[str, ...]
    points: tuple[tuple[Any, ...], ...]
