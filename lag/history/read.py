"""Points of a series over a range of time, put together from the coarsest blocks that are fine enough."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from lag.history.blocks import Point, Sample, Series, cycle_decode, points_decode, samples_decode
from lag.history.levels import HOUR, MINUTE, RAW, Level, shard_of
from lag.history.steps import point_of_points, stepped
from lag.models import HistoryCoverage, HistoryCycle, HistoryProgress
from ops_portal.lib.bulk import ran
from ops_portal.lib.clock import as_datetime

KEYFRAME = timedelta(hours=1)  # every series has a sample at its first poll of each hour


def series_points(
    cluster_id: int, series: Series, start: float, end: float, step: int, *, parts: bool = False
) -> Mapping[int, Point]:
    """Points by number of the step since the epoch, of [start, end), with `parts` if wanted; unread steps are absent.

    From steps of a minute and of an hour on, rolled-up blocks serve what is rolled up, and finer ones the rest.
    """
    first, last = as_datetime(start), as_datetime(end)
    if step % HOUR.point_seconds == 0:
        points = _rolled(cluster_id, series, first, last, HOUR, parts)
    elif step % MINUTE.point_seconds == 0:
        points = _rolled(cluster_id, series, first, last, MINUTE, parts)
    else:
        return _raw(cluster_id, series, first, last, step, parts)
    finer = HOUR.point_seconds if step % HOUR.point_seconds == 0 else MINUTE.point_seconds
    return points if finer == step else _coarser(points, step // finer)


def _rolled(
    cluster_id: int, series: Series, start: datetime, end: datetime, level: Level, parts: bool
) -> dict[int, Point]:
    """Points of a rolled-up level; what is not rolled up yet comes from the level below."""
    until = (
        HistoryProgress.objects.filter(cluster_id=cluster_id, level=level.name)
        .values_list("done_until", flat=True)
        .first()
    )
    points: dict[int, Point] = {}
    if until is not None and until > start:
        for at, data in _blocks(level, series, level.block_of(start), min(end, until)):
            first = int(at.timestamp() // level.point_seconds)
            for index, point in enumerate(points_decode(data, parts=parts)):
                if point is not None and start.timestamp() <= (first + index) * level.point_seconds < end.timestamp():
                    points[first + index] = point
        start = max(start, until)
    if start < end:
        if level is MINUTE:
            points |= _raw(cluster_id, series, start, end, MINUTE.point_seconds, parts)
        else:
            points |= _coarser(
                _rolled(cluster_id, series, start, end, MINUTE, parts), HOUR.point_seconds // MINUTE.point_seconds
            )
    return points


def _coarser(points: Mapping[int, Point], factor: int) -> dict[int, Point]:
    found: dict[int, list[Point]] = {}
    for number in sorted(points):
        found.setdefault(number // factor, []).append(points[number])
    return {number: point_of_points(within) for number, within in found.items()}


def _raw(cluster_id: int, series: Series, start: datetime, end: datetime, step: int, parts: bool) -> dict[int, Point]:
    samples, polls = raw_samples(cluster_id, series, start, end, parts=parts)
    return stepped(samples, polls, step)


def raw_samples(
    cluster_id: int, series: Series, start: datetime, end: datetime, *, parts: bool = True
) -> tuple[list[Sample], list[float]]:
    """Samples that bear on [start, end), oldest first, and when the cluster was polled within it."""
    from_hour = as_datetime(start.timestamp() // KEYFRAME.total_seconds() * KEYFRAME.total_seconds())
    samples: list[Sample] = []
    for at, data in _blocks(RAW, series, from_hour, end):
        samples += samples_decode(data, at.timestamp(), parts=parts)
    polls = polls_between(cluster_id, start, end)
    shards = {0, shard_of(series.group_id, series.topic_id)}
    wanted = (series.group_id, series.topic_id)
    cycles = HistoryCycle.objects.filter(
        cluster_id=cluster_id, shard__in=shards, at__gte=from_hour, at__lt=end
    ).order_by("at")
    for at, shard, packed in cycles.values_list("at", "shard", "data"):
        seconds = at.timestamp()
        if not shard and at >= start:
            polls.append(round(seconds, 3))
        if shard == shard_of(*wanted):
            samples += [found for pk, topic, found in cycle_decode(bytes(packed), seconds) if (pk, topic) == wanted]
    return sorted(samples, key=lambda sample: sample.at), sorted(polls)


def polls_between(cluster_id: int, start: datetime, end: datetime) -> list[float]:
    """When the cluster was polled in the packed part of [start, end), oldest first."""
    first, last = start.timestamp(), end.timestamp()
    minutes = HistoryCoverage.objects.filter(cluster_id=cluster_id, minute__gte=RAW.block_of(start), minute__lt=end)
    found = (
        minute.timestamp() + offset / 1000
        for minute, offsets in minutes.order_by("minute").values_list("minute", "offsets")
        for offset in offsets
    )
    return [at for at in found if first <= at < last]


def _blocks(level: Level, series: Series, start: datetime, end: datetime) -> Iterable[tuple[datetime, bytes]]:
    rows = ran(
        f"SELECT at, data FROM {level.table}"  # noqa: S608  # a constant of levels.py
        " WHERE group_id = %s AND topic_id = %s AND at >= %s AND at < %s ORDER BY at",
        [series.group_id, series.topic_id, start, end],
    )
    return [(at, bytes(data)) for at, data in rows]


def newest_totals(
    cluster_id: int, group_ids: list[int], start: datetime, end: datetime, step: int
) -> dict[int, dict[int, Point]]:
    """Points of many groups' totals at once, for sparklines: three queries whatever their number."""
    from_hour = as_datetime(start.timestamp() // KEYFRAME.total_seconds() * KEYFRAME.total_seconds())
    samples: dict[int, list[Sample]] = {pk: [] for pk in group_ids}
    rows = ran(
        "SELECT g.id, r.at, r.data FROM unnest(%(ids)s::bigint[]) AS g (id) CROSS JOIN LATERAL ("
        "(SELECT at, data FROM lag_historyraw WHERE group_id = g.id AND topic_id = 0 AND at >= %(hour)s AND at < %(start)s"
        " ORDER BY at DESC LIMIT 1) UNION ALL"
        " (SELECT at, data FROM lag_historyraw WHERE group_id = g.id AND topic_id = 0 AND at >= %(start)s AND at < %(end)s)"
        ") r ORDER BY g.id, r.at",
        {"ids": group_ids, "hour": from_hour, "start": start, "end": end},
    )
    for group_id, at, data in rows:
        samples[group_id] += samples_decode(bytes(data), at.timestamp())
    polls = polls_between(cluster_id, start, end)
    cycles = HistoryCycle.objects.filter(cluster_id=cluster_id, shard=0, at__gte=from_hour, at__lt=end).order_by("at")
    for at, data in cycles.values_list("at", "data"):
        if at >= start:
            polls.append(round(at.timestamp(), 3))
        for group_id, _, sample in cycle_decode(bytes(data), at.timestamp()):
            if group_id in samples:
                samples[group_id].append(sample)
    polls.sort()
    return {pk: dict(stepped(sorted(found, key=lambda s: s.at), polls, step)) for pk, found in samples.items()}
