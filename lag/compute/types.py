"""Inputs and outputs of the lag computation. Pure data: times are seconds since the epoch in the database's time.

How a collector uses the package, once per cycle and cluster:

1. `log.observe(starts, ends, stable, identities, now)` puts the cycle's log offsets into the shared `ClusterLog`.
2. `LookUps(log, now, budget)`; `look_ups.want(memory, reading, settings)` per group; while `look_ups.next_round()` gives
   questions: ask `KafkaPort.offsets_at`, then `look_ups.learn(questions, answer)`. At most 8 rounds, bounded in number.
3. `assess_group(memory, reading, log, settings, now)` per group gives a `GroupResult`; `memory` is advanced in place. A
   collector that then fails to store the result drops the memory and loads the stored one.
4. Groups that the listing lost: `group_vanished(memory, now)`.

Lag in seconds is stored as `unread_since`, the time the first unread record was produced: an unchanged partition needs no
work, because its lag at any reading time is `seconds_at(unread_since, method, observed_at)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from clusters.ports import CommittedOffsets, GroupDescription, GroupListing, GroupState, GroupType, Partition
from lag.verdicts import EventKind, Flag, Method, Verdict

Inputs = dict[str, Any]  # what a rule looked at, by name: JSON values only
Looked = tuple[Any, ...]  # the same of one partition, in the order of INPUT_NAMES: a third of a dict's memory

_LATE = ("lag_records", "target_seconds", "lag_seconds", "change_seconds", "change_records", "over_seconds")
INPUT_NAMES: Mapping[str, tuple[str, ...]] = {
    "": (),
    "truncated": ("committed", "start", "lost"),
    "stopped": ("lag_records", "seconds_without_progress", "threshold_seconds"),
    "stalled": (
        "lag_records",
        "seconds_without_progress",
        "threshold_seconds",
        "longest_commit_interval_seconds",
        "commit_interval_seconds",
    ),
    "rewound": ("from", "committed"),
    "falling_behind": _LATE,
    "catching_up": _LATE,
    "no_commits": ("records", "seconds_without_commit"),
    "no_commit_yet": ("records", "seconds_without_commit"),
    "beyond_end": ("committed", "end", "past"),
    "stale": ("age_seconds",),
    "not_read": (),
    "first_reading": _LATE[:3],
    "tail": ("lag_records", "end_unchanged_seconds"),
    "caught_up": ("lag_records",),
    "within_target": ("lag_records", "target_seconds"),
}


@dataclass(frozen=True, slots=True)
class LagSettings:
    """What Kafka does not tell about a group. Muting is no business of the computation."""

    period: float = 5.0  # of the source, seconds
    target_seconds: float = 30.0
    stalled_seconds: float = 60.0
    stopped_seconds: float = 30.0
    no_commits_seconds: float = 60.0
    read_committed: bool = False
    commit_interval: float | None = None  # longest time between commits that is normal for the group


@dataclass(frozen=True, slots=True)
class GroupReading:
    """One group in one cycle. `committed` None = not asked for (unmeasured); `description` None = not described now."""

    listing: GroupListing
    committed: CommittedOffsets | None
    description: GroupDescription | None = None


class PartitionResult(NamedTuple):
    """A partition of a group. Numbers are None where unknown.

    `end` is what lag is measured against: the last stable offset for a read_committed group. `lost` = records below the
    log start that were never read. `bound` = truth lies within lag seconds ± bound; None for a lower bound.
    """

    topic: str
    partition: int
    committed: int | None
    start: int | None
    end: int | None
    high_watermark: int | None
    lag_records: int | None
    unread_since: float | None
    bound: float | None
    method: Method | None
    verdict: Verdict
    rule: str
    looked_at: Looked
    flags: tuple[Flag, ...]
    lost: int
    member_id: str | None
    host: str | None
    committed_at: float | None  # when the committed offset was first seen; None = before the first reading
    catch_up_seconds: float | None

    @property
    def inputs(self) -> Inputs:
        """What the rule looked at, without what it had no value of."""
        named = zip(INPUT_NAMES[self.rule], self.looked_at, strict=True)
        return {name: value for name, value in named if value is not None}

    def seconds_at(self, at: float) -> float | None:
        """Lag in seconds at `at`."""
        return seconds_at(self.unread_since, self.method, at)


class TopicResult(NamedTuple):
    """The partitions of one topic in a group: sum, largest and worst, and rates over the last minute."""

    topic: str
    topic_id: str | None
    lag_records: int | None
    lag_records_max: int | None
    unread_since: float | None
    bound: float | None
    method: Method | None
    produce_rate: float | None
    consume_rate: float | None
    trend: float | None
    verdict: Verdict
    partitions: tuple[PartitionResult, ...]  # by number

    def seconds_at(self, at: float) -> float | None:
        return seconds_at(self.unread_since, self.method, at)


class GroupSummary(NamedTuple):
    """The summary of interfaces.md 3, without what the portal's rows add (id, cluster, client, age)."""

    group: str
    type: GroupType
    state: GroupState
    verdict: Verdict
    reason: str
    rule: str
    inputs: Inputs
    members: int | None
    worst_topic: str | None
    lag_records: int | None
    lag_records_max: int | None
    unread_since: float | None
    bound: float | None
    method: Method | None
    produce_rate: float | None
    consume_rate: float | None
    trend: float | None
    catch_up_seconds: float | None  # None = not converging or unknown, 0 = within target
    flags: tuple[Flag, ...]
    observed_at: float  # of the last good reading

    def seconds_at(self, at: float) -> float | None:
        return seconds_at(self.unread_since, self.method, at)

    @property
    def lag_seconds(self) -> float | None:
        """Lag in seconds at the observation."""
        return seconds_at(self.unread_since, self.method, self.observed_at)


class GroupEvent(NamedTuple):
    """Something that happened between two readings: not before `at_earliest`, not after `at`.

    `before` and `after` are JSON values: offsets, topic ids, verdicts, states; of a member what is known of it.
    """

    kind: EventKind
    at_earliest: float
    at: float
    topic: str | None = None
    partition: int | None = None
    member: str | None = None  # member id
    before: Any = None
    after: Any = None
    records: int | None = None  # rewound, skipped or lost records
    seconds: float | None = None  # longest possible length, at the end of a rebalance


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """A member as last described."""

    member_id: str
    client_id: str
    host: str
    partitions: int = 0


class GroupResult(NamedTuple):
    """What a cycle says of a group. Not `changed` = summary and partitions equal the last result but for `observed_at`.

    `next_due`: before that time nothing changes without new data.
    """

    summary: GroupSummary
    topics: tuple[TopicResult, ...]
    members: tuple[MemberSeen, ...]  # as last described
    events: tuple[GroupEvent, ...]
    changed: bool
    next_due: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a record was produced: `since` ± `bound`.

    `approximate` = only a producer's clock vouches for it; `settled` = no look-up would say much more.
    """

    since: float
    bound: float | None
    method: Method
    approximate: bool = False
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """One answer of a timestamp look-up: the first record at or after time `asked` is at `offset`, or at least there."""

    asked: float
    offset: int
    timestamp: float | None = None


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What describe calls tell of a topic. `producer_time` = timestamps are set by producers (CreateTime, or unknown)."""

    topic_id: str | None = None
    compacted: bool = False
    producer_time: bool = True


Committed = Mapping[Partition, int]


def seconds_at(unread_since: float | None, method: Method | None, at: float) -> float | None:
    """Lag in seconds at time `at`: 0 when caught up, None when unknown, never negative.

    A lower bound that says no more than "at least 0" is unknown: 0 would read as caught up.
    """
    if method is Method.CAUGHT_UP:
        return 0.0
    if unread_since is None or method is None:
        return None
    seconds = max(0.0, at - unread_since)
    return None if method is Method.LOWER_BOUND and seconds <= 0.0 else seconds
