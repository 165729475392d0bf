"""Blocks of minutes out of raw blocks, blocks of hours out of blocks of minutes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from clusters.models import Cluster
from lag.history.blocks import Point, Sample, points_decode, points_encode, samples_decode
from lag.history.levels import HOUR, MINUTE, RAW, Level
from lag.history.pack import BLOCK_NAMES, BLOCK_TYPES
from lag.history.progress import claimed
from lag.history.steps import point_of_points, stepped
from lag.models import ConsumerGroup, HistoryCoverage, HistoryProgress
from ops_portal.lib.bulk import copied, ran

GROUPS_AT_ONCE = 100
MOST_BLOCKS = 24  # per run, cluster and level

Blocks = dict[tuple[int, int], list[Point | None]]


def roll_up_history() -> dict[str, int]:
    """Write every closed hour and day of every cluster that is not written yet. Safe to run at any time and twice at once."""
    done = {"minute": 0, "hour": 0}
    for cluster_id in Cluster.objects.values_list("pk", flat=True):
        for level in (MINUTE, HOUR):
            while done[level.name] < MOST_BLOCKS and _roll_up_next(cluster_id, level):
                done[level.name] += 1
    return done


def _roll_up_next(cluster_id: int, level: Level) -> bool:
    """One block of a cluster in one transaction; False when none is due or another worker is at it."""
    below = RAW if level is MINUTE else MINUTE
    with transaction.atomic(), claimed(cluster_id, level.name) as progress:
        if progress is None:
            return False
        ready = (
            HistoryProgress.objects.filter(cluster_id=cluster_id, level=below.name)
            .values_list("done_until", flat=True)
            .first()
        )
        start = _next_start(cluster_id, level, progress.done_until)
        if start is None or ready is None:
            return False
        end = start + timedelta(seconds=level.block_seconds)
        if ready < end:
            return False
        groups = list(ConsumerGroup.objects.filter(cluster_id=cluster_id).order_by("pk").values_list("pk", flat=True))
        polls = _polls(cluster_id, start, end) if level is MINUTE else []
        for index in range(0, len(groups), GROUPS_AT_ONCE):
            chunk = groups[index : index + GROUPS_AT_ONCE]
            blocks = _from_raw(chunk, start, end, polls) if level is MINUTE else _from_minutes(chunk, start, end)
            rows = [(*key, start, points_encode(points)) for key, points in sorted(blocks.items())]
            copied(level.table, BLOCK_NAMES, BLOCK_TYPES, rows)
        progress.done_until = end
        progress.save(update_fields=["done_until"])
        return True


def _next_start(cluster_id: int, level: Level, done_until: datetime | None) -> datetime | None:
    """Start of the next block that holds a poll. Blocks without any are passed over: they are gaps."""
    minutes = HistoryCoverage.objects.filter(cluster_id=cluster_id)
    if done_until is not None:
        minutes = minutes.filter(minute__gte=done_until)
    first = minutes.order_by("minute").values_list("minute", flat=True).first()
    return None if first is None else level.block_of(first)


def _polls(cluster_id: int, start: datetime, end: datetime) -> list[float]:
    rows = HistoryCoverage.objects.filter(cluster_id=cluster_id, minute__gte=start, minute__lt=end).order_by("minute")
    return [
        minute.timestamp() + offset / 1000
        for minute, offsets in rows.values_list("minute", "offsets")
        for offset in offsets
    ]


def _rows(level: Level, groups: Sequence[int], start: datetime, end: datetime) -> Iterable[tuple[Any, ...]]:
    return ran(
        f"SELECT group_id, topic_id, at, data FROM {level.table}"  # noqa: S608  # a constant of levels.py
        " WHERE group_id = ANY(%s) AND at >= %s AND at < %s ORDER BY group_id, topic_id, at",
        [list(groups), start, end],
    )


def _from_raw(groups: Sequence[int], start: datetime, end: datetime, polls: Sequence[float]) -> Blocks:
    samples: dict[tuple[int, int], list[Sample]] = defaultdict(list)
    for group_id, topic_id, at, data in _rows(RAW, groups, start, end):
        samples[group_id, topic_id] += samples_decode(bytes(data), at.timestamp())
    first = int(start.timestamp() // MINUTE.point_seconds)
    blocks: Blocks = {}
    for key, found in samples.items():
        points = stepped(found, polls, MINUTE.point_seconds)
        blocks[key] = [points.get(first + index) for index in range(MINUTE.block_seconds // MINUTE.point_seconds)]
    return blocks


def _from_minutes(groups: Sequence[int], start: datetime, end: datetime) -> Blocks:
    blocks: Blocks = {}
    for group_id, topic_id, at, data in _rows(MINUTE, groups, start, end):
        points = blocks.setdefault((group_id, topic_id), [None] * (HOUR.block_seconds // HOUR.point_seconds))
        known = [point for point in points_decode(bytes(data)) if point is not None]
        if known:
            points[int((at - start).total_seconds() // HOUR.point_seconds)] = point_of_points(known)
    return blocks
