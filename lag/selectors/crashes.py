"""The crash view's inputs out of what is stored: events, and what history read of the group around each loss."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import Q

from accounts.policies import Person, Scope, scope_of
from clusters.models import Cluster, Topic
from clusters.ports import Partition
from lag.compute.types import GroupEvent as Event
from lag.crash import (
    RECOVERY_LIMIT_SECONDS,
    USUAL_SECONDS,
    Crash,
    GroupSample,
    Loss,
    PartitionSample,
    crash_of,
    losses_of,
)
from lag.history.blocks import Parts
from lag.history.readings import Reading, group_readings
from lag.models import ConsumerGroup, GroupEvent, GroupTopic
from lag.selectors.board import shared_pairs
from lag.selectors.freshness import freshness_of
from lag.verdicts import EventKind
from ops_portal.lib.clock import as_datetime

MOST_CRASHES = 5
LOOK_BACK = timedelta(hours=24)
RESUMED_SECONDS = (600.0, RECOVERY_LIMIT_SECONDS)  # how long to look for commits; longer only while some are missing
_KINDS = (
    EventKind.MEMBER_LEFT, EventKind.MEMBER_JOINED, EventKind.REBALANCE, EventKind.REWOUND, EventKind.SKIPPED,
    EventKind.TRUNCATED, EventKind.TOPIC_RECREATED,
)  # fmt: skip
_MOST_EVENTS = 2000
_MOST_TOPICS = 50


def group_crashes(user: Person, cluster: Cluster, group: ConsumerGroup) -> list[Crash]:
    """What followed the last losses of a member within a day, newest first, at most five.

    Commits and ends come from the raw level of history; before it begins they are unknown. Ends of topics that the user
    shares with others are not told.
    """
    scope = scope_of(user)
    if not scope.everything and group.client_id not in scope.client_ids:
        return []
    now = freshness_of([cluster.pk])[cluster.pk].now
    rows = GroupEvent.objects.filter(group=group, kind__in=_KINDS, at__gte=now - LOOK_BACK).order_by("-at", "-pk")
    events = [_event(row) for row in rows[:_MOST_EVENTS]][::-1]
    losses = losses_of(events)[: -MOST_CRASHES - 1 : -1]
    return [_crash(scope, cluster, group, loss, events) for loss in losses]


def _crash(scope: Scope, cluster: Cluster, group: ConsumerGroup, loss: Loss, events: list[Event]) -> Crash:
    start = as_datetime(loss.window.earliest - USUAL_SECONDS)
    totals = group_readings(cluster.pk, group.pk, [0], start, _end(loss, RECOVERY_LIMIT_SECONDS))[0]
    samples = [GroupSample(at, sample.lag, sample.verdict) for at, sample in totals if sample.verdict is not None]
    topics = _topics(cluster, group, loss)
    for seconds in RESUMED_SECONDS:
        readings = group_readings(cluster.pk, group.pk, list(topics), start, _end(loss, seconds))
        crash = crash_of(loss, events, _partitions(loss, topics, readings), samples)
        if not any(entry.waits for entry in crash.partitions):
            break
    shared = {topics[topic_id] for _, topic_id in shared_pairs(scope, [group.pk]) if topic_id in topics}
    entries = tuple(replace(row, end_at_loss=None) if row.topic in shared else row for row in crash.partitions)
    return replace(crash, partitions=entries)


def _end(loss: Loss, seconds: float) -> datetime:
    """Of what bears on a loss: `seconds` after it, not beyond the next one."""
    return as_datetime(min(loss.until, loss.window.latest + seconds) + 1)


def _topics(cluster: Cluster, group: ConsumerGroup, loss: Loss) -> dict[int, str]:
    """Row id -> name of the topics that were there at the loss and whose partitions it left: the group's where unknown."""
    there = Q(vanished_at__isnull=True) | Q(vanished_at__gte=as_datetime(loss.window.earliest))
    found = Topic.objects.filter(there, cluster=cluster)
    if loss.partitions is None:
        found = found.filter(pk__in=GroupTopic.objects.filter(group=group).values("topic_id"))
    else:
        found = found.filter(name__in={topic for topic, _ in loss.partitions})
    oldest: dict[str, int] = {}  # of two with one name the later was made after the loss
    for pk, name in found.order_by("pk").values_list("pk", "name")[:_MOST_TOPICS]:
        oldest.setdefault(name, pk)
    return {pk: name for name, pk in oldest.items()}


def _partitions(
    loss: Loss, topics: dict[int, str], readings: dict[int, list[Reading]]
) -> dict[Partition, list[PartitionSample]]:
    samples: dict[Partition, list[PartitionSample]] = {}
    held = loss.partitions
    for topic_id, found in readings.items():
        for at, sample in found:
            for number, reading in _of_parts(at, sample.parts):
                key = (topics[topic_id], number)
                if held is None or key in held:
                    samples.setdefault(key, []).append(reading)
    return samples


def _of_parts(at: float, parts: Parts | None) -> Iterable[tuple[int, PartitionSample]]:
    """Offsets out of what history keeps: end = commit, plus what is lost below the log start, plus what is unread."""
    if parts is None:
        return
    lost = parts.lost or (0,) * len(parts.numbers)
    for number, committed, lag, below in zip(parts.numbers, parts.committed, parts.lag, lost, strict=True):
        start = committed + below if committed is not None and below else None
        end = committed + below + lag if committed is not None and lag is not None else None
        yield number, PartitionSample(at, committed, start, end)


def _event(row: GroupEvent) -> Event:
    return Event(
        kind=EventKind(row.kind), at_earliest=row.at_earliest.timestamp(), at=row.at.timestamp(), topic=row.topic or None,
        partition=row.partition, member=row.member or None, before=row.before, after=row.after, records=row.records,
        seconds=row.seconds,
    )  # fmt: skip
