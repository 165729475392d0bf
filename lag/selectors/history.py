"""Lag over time for charts: at most a thousand points, gaps as null."""

from collections.abc import Iterable
from datetime import datetime
from math import ceil
from typing import Any

from accounts.policies import Person, scope_of
from clusters.models import Cluster, Topic
from lag.history.blocks import Point, Series
from lag.history.levels import HOUR, MINUTE, RAW
from lag.history.progress import now
from lag.history.read import newest_totals, series_points
from lag.models import ConsumerGroup, HistoryStatus
from lag.rows import HistoryPoints
from lag.selectors.board import shared_pairs
from lag.selectors.freshness import freshness_of
from ops_portal.lib.clock import as_datetime

MOST_POINTS = 1000
COLUMNS = ("at", "lag_records", "lag_records_max", "lag_seconds", "produce_rate", "consume_rate", "members", "verdict")
# Seconds; each from a minute on is a multiple of one, from an hour on of an hour.
STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)


class BadRange(ValueError):
    """The range or the step makes no sense."""


def group_history(
    user: Person,
    cluster: Cluster,
    group: ConsumerGroup,
    start: datetime,
    end: datetime,
    *,
    step: float | None = None,
    topic: str | None = None,
    partition: int | None = None,
) -> HistoryPoints | None:
    """Lag of a group, of one of its topics or partitions over [start, end); None where the user may not see it.

    A point shows the largest lags within its step, mean rates, the last member count and the worst verdict; a step in which
    nothing was read is null. `step` in seconds is widened to what gives at most 1,000 points. Raises BadRange.
    """
    scope = scope_of(user)
    if not scope.everything and group.client_id not in scope.client_ids:
        return None
    if end <= start:
        raise BadRange("the range must end after it begins")
    if partition is not None and topic is None:
        raise BadRange("a partition needs its topic")
    topic_id = _topic_id(cluster, topic, start, end)
    chosen = step_for(cluster, start, end, step)
    first, last = start.timestamp() // chosen * chosen, end.timestamp()
    points = (
        series_points(cluster.pk, Series(group.pk, topic_id), first, last, chosen, parts=partition is not None)
        if topic_id is not None
        else {}
    )
    shared = {pair[1] for pair in shared_pairs(scope, [group.pk])}
    hide = bool(shared) if not topic_id else topic_id in shared
    numbers = range(int(first // chosen), ceil(last / chosen))
    return HistoryPoints(
        chosen, COLUMNS, tuple(_row(number * chosen, points.get(number), partition, hide) for number in numbers)
    )


def sparklines(
    user: Person, cluster: Cluster, group_ids: Iterable[int], *, seconds: float = 900, points: int = 60
) -> dict[int, list[tuple[float, int | None]]]:
    """(time, unread records) of the last minutes for many groups; None where nothing was read. Hidden groups are left out."""
    scope = scope_of(user)
    groups = ConsumerGroup.objects.filter(cluster=cluster, pk__in=list(group_ids))
    if not scope.everything:
        groups = groups.filter(client_id__in=scope.client_ids)
    ids = list(groups.values_list("pk", flat=True))
    step = max(1, ceil(seconds / points))
    end = now()
    last = int(end.timestamp() // step)
    numbers = range(last - points + 1, last + 1)
    found = newest_totals(cluster.pk, ids, as_datetime(numbers[0] * step), end, step) if ids else {}
    return {pk: [(float(n * step), at[n].lag if n in at else None) for n in numbers] for pk, at in found.items()}


def step_for(cluster: Cluster, start: datetime, end: datetime, step: float | None) -> int:
    """Seconds per point: what was asked for or the poll's period, but at most 1,000 points and only what is still kept."""
    fresh = freshness_of([cluster.pk])[cluster.pk]
    if step is not None and step <= 0:
        raise BadRange("the step must be positive")
    least = max(step or fresh.period_seconds, (end - start).total_seconds() / (MOST_POINTS - 1))
    if fresh.now - start > MINUTE.keep:
        least = max(least, HOUR.point_seconds)
    elif fresh.now - start > RAW.keep:
        least = max(least, MINUTE.point_seconds)
    return next((known for known in STEPS if known >= least), ceil(least / 86400) * 86400)


def history_status() -> list[HistoryStatus]:
    """The jobs of history and how they fare, for the status page."""
    return list(HistoryStatus.objects.order_by("job"))


def _topic_id(cluster: Cluster, topic: str | None, start: datetime, end: datetime) -> int | None:
    """Row id of the topic of that name: the present one, else the one that went last. 0 = no topic asked for."""
    if topic is None:
        return 0
    rows = Topic.objects.filter(cluster=cluster, name=topic).order_by("-pk")
    return rows.values_list("pk", flat=True).first()


def _row(at: float, point: Point | None, partition: int | None, hide: bool) -> tuple[Any, ...]:
    if point is None:
        return (at, None, None, None, None, None, None, None)
    verdict = point.verdict.value if point.verdict is not None else None
    if partition is not None:
        lag, seconds = (point.parts or {}).get(partition, (None, None))
        return (at, lag, lag, _rounded(seconds), None, None, point.members, None)
    produce = None if hide else _rounded(point.produce)
    return (
        at,
        point.lag,
        point.lag_max,
        _rounded(point.seconds),
        produce,
        _rounded(point.consume),
        point.members,
        verdict,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
