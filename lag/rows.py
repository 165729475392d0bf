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
    verdict_counts: dict[str, int] = field(default_factory=dict)  # of what the caller may see, before the verdict filter
