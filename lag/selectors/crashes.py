"""The crash view's inputs out of what is stored: events, and samples of the group around them."""

from datetime import timedelta
from typing import Any

from accounts.policies import Person, scope_of
from clusters.models import Cluster
from lag.compute.types import GroupEvent as Event
from lag.crash import RECOVERY_LIMIT_SECONDS, Crash, GroupSample, crashes
from lag.history.blocks import Series
from lag.history.read import raw_samples
from lag.models import ConsumerGroup, GroupEvent
from lag.selectors.freshness import freshness_of
from lag.verdicts import EventKind

MOST_CRASHES = 5
LOOK_BACK = timedelta(hours=24)
_KINDS = (
    EventKind.MEMBER_LEFT, EventKind.MEMBER_JOINED, EventKind.REBALANCE, EventKind.REWOUND, EventKind.SKIPPED,
    EventKind.TRUNCATED, EventKind.TOPIC_RECREATED,
)  # fmt: skip
_MOST_EVENTS = 2000


def group_crashes(user: Person, cluster: Cluster, group: ConsumerGroup) -> list[Crash]:
    """What followed the last losses of a member within a day, newest first, at most five.

    History holds no offsets per partition, so what a partition resumed from is unknown (None) unless an event tells it.
    """
    scope = scope_of(user)
    if not scope.everything and group.client_id not in scope.client_ids:
        return []
    now = freshness_of([cluster.pk])[cluster.pk].now
    rows = GroupEvent.objects.filter(group=group, kind__in=_KINDS, at__gte=now - LOOK_BACK).order_by("-at", "-pk")
    events = [_event(row) for row in rows[:_MOST_EVENTS]][::-1]
    losses = [event for event in events if event.kind is EventKind.MEMBER_LEFT]
    if not losses:
        return []
    recent = losses[-4 * MOST_CRASHES :]
    first = now - timedelta(seconds=now.timestamp() - recent[0].at_earliest + 300)
    until = min(now, first + timedelta(seconds=recent[-1].at - recent[0].at_earliest + RECOVERY_LIMIT_SECONDS + 300))
    samples, _ = raw_samples(cluster.pk, Series(group.pk, 0), first, until, parts=False)
    known = [
        GroupSample(sample.at, _whole(sample.lag), sample.verdict) for sample in samples if sample.verdict is not None
    ]
    since = [event for event in events if event.at >= recent[0].at_earliest]
    return crashes(since, {}, known)[:MOST_CRASHES]


def _event(row: GroupEvent) -> Event:
    return Event(
        kind=EventKind(row.kind), at_earliest=row.at_earliest.timestamp(), at=row.at.timestamp(), topic=row.topic or None,
        partition=row.partition, member=row.member or None, before=row.before, after=row.after, records=row.records,
        seconds=row.seconds,
    )  # fmt: skip


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
