"""What happened lately on all clusters somebody may see."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Sum

from accounts.policies import Person, scope_of
from clusters.models import Cluster, Topic
from lag.models import GroupEvent
from lag.rows import BoardQuery, EventRow
from lag.selectors.board import MOST_ROWS, group_board
from lag.selectors.clusters import clusters_visible
from lag.selectors.freshness import freshness_of
from lag.selectors.history import sparklines


@dataclass(frozen=True, slots=True)
class NewsRow:
    """An event with the group it happened to."""

    cluster: str
    group: str
    group_id: int
    event: EventRow


def recent_events(user: Person, *, seconds: float = 3600, limit: int = 30) -> tuple[NewsRow, ...]:
    """Events of groups that the user may see, newest first, not older than `seconds`."""
    clusters = clusters_visible(user)
    now = max((fresh.now for fresh in freshness_of([cluster.pk for cluster in clusters]).values()), default=None)
    if now is None:
        return ()
    events = GroupEvent.objects.filter(
        cluster__in=clusters, at__gte=now - timedelta(seconds=seconds), group__vanished_at__isnull=True
    ).select_related("group", "cluster")
    scope = scope_of(user)
    if not scope.everything:
        events = events.filter(group__client_id__in=scope.client_ids)
    return tuple(_news(event) for event in events.order_by("-at", "-pk")[:limit])


def cluster_sparkline(
    user: Person, cluster: Cluster, *, seconds: float = 3600, points: int = 60
) -> list[tuple[float, int | None]]:
    """(time, unread records of all groups the user may see) of the last hour; None where nothing was read.

    Of a large cluster the 500 groups with most unread records speak for all.
    """
    items = group_board(user, cluster, BoardQuery(sort="-lag_records", limit=MOST_ROWS)).items
    tails = sparklines(user, cluster, [item.id for item in items], seconds=seconds, points=points)
    sums: dict[float, int | None] = {}
    for tail in tails.values():
        for at, value in tail:
            known = sums.get(at)
            sums[at] = known if value is None else value + (known or 0)
    return sorted(sums.items())


def cluster_produce_rate(user: Person, cluster: Cluster) -> float | None:
    """Records written per second over all topics; None for who sees only some clients, and while nothing is known."""
    if not scope_of(user).everything:
        return None
    topics = Topic.objects.filter(cluster=cluster, vanished_at__isnull=True)
    rate: float | None = topics.aggregate(rate=Sum("produce_rate"))["rate"]
    return rate


def _news(event: GroupEvent) -> NewsRow:
    row = EventRow(
        id=event.pk, at=event.at, at_earliest=event.at_earliest, kind=event.kind, topic=event.topic or None,
        partition=event.partition, member=event.member or None, before=event.before, after=event.after,
        records=event.records, seconds=event.seconds,
    )  # fmt: skip
    return NewsRow(event.cluster.name, event.group.name, event.group_id, row)
