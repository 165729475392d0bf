"""Closed minutes of polls become raw blocks."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db import transaction
from psycopg.errors import CheckViolation

from clusters.models import Cluster
from lag.history.blocks import Sample, cycle_decode, samples_decode, samples_encode
from lag.history.keep import partitions_make
from lag.history.levels import RAW
from lag.history.progress import claimed, now
from lag.models import HistoryCoverage, HistoryCycle
from ops_portal.lib.bulk import copied, ran

LATE_SECONDS = 15  # a minute is closed when polls that began in it have had this long, and their period, to be stored
MOST_MINUTES = 30  # per run and cluster, so that a long outage of the worker is caught up in bites
BLOCK_TYPES = ["int8", "int8", "timestamptz", "bytea"]
BLOCK_NAMES = "group_id, topic_id, at, data"

Collected = dict[tuple[int, int], list[Sample]]


def pack_history() -> dict[str, int]:
    """Turn every closed minute of every cluster into blocks. Safe to run at any time and twice at once.

    A missing partition heals here; until then the samples wait in `HistoryCycle`.
    """
    done = {"minutes": 0, "blocks": 0, "bytes": 0}
    for cluster_id in HistoryCycle.objects.values_list("cluster_id", flat=True).distinct():
        for _ in range(MOST_MINUTES):
            packed = _pack_healing(cluster_id)
            if packed is None:
                break
            done["minutes"] += 1
            done["blocks"] += packed[0]
            done["bytes"] += packed[1]
    return done


def _pack_healing(cluster_id: int) -> tuple[int, int] | None:
    try:
        return _pack_next(cluster_id)
    except CheckViolation:  # no partition for the block
        partitions_make()
        return _pack_next(cluster_id)


def _pack_next(cluster_id: int) -> tuple[int, int] | None:
    """The oldest closed minute of a cluster, in one transaction; None when there is none or another worker is at it."""
    with transaction.atomic(), claimed(cluster_id, RAW.name) as progress:
        first = HistoryCycle.objects.filter(cluster_id=cluster_id).order_by("at").values_list("at", flat=True).first()
        if progress is None or first is None:
            return None
        minute = RAW.block_of(first)
        end = minute + timedelta(seconds=RAW.block_seconds)
        period = (
            Cluster.objects.filter(pk=cluster_id, sources__kind="lag")
            .values_list("sources__period_seconds", flat=True)
            .first()
        )
        if now() < end + timedelta(seconds=LATE_SECONDS + (period or 0)):
            return None
        cycles = HistoryCycle.objects.filter(cluster_id=cluster_id, at__lt=end)
        series, polled = _collect(cycles.order_by("at", "shard").values_list("at", "shard", "data"))
        _take_up(cluster_id, minute, series, polled)
        start = minute.timestamp()
        rows = [(*key, minute, samples_encode(start, samples)) for key, samples in series.items()]
        rows.sort(key=lambda row: row[:2])  # neighbours in the index come together
        copied(RAW.table, BLOCK_NAMES, BLOCK_TYPES, rows)
        HistoryCoverage.objects.create(cluster_id=cluster_id, minute=minute, offsets=sorted(polled))
        cycles.delete()
        progress.done_until = end
        progress.save(update_fields=["done_until"])
        return len(rows), sum(len(row[3]) for row in rows)


def _collect(cycles: Iterable[tuple[datetime, int, bytes | memoryview]]) -> tuple[Collected, set[int]]:
    """Samples by series, oldest first, and the milliseconds after the minute at which the cluster was polled."""
    series: Collected = defaultdict(list)
    polled: set[int] = set()
    for at, shard, data in cycles:
        seconds = at.timestamp()
        if not shard:
            polled.add(round(seconds % RAW.block_seconds * 1000))
        for group_id, topic_id, sample in cycle_decode(bytes(data), seconds):
            series[group_id, topic_id].append(sample)
    return series, polled


def _take_up(cluster_id: int, minute: datetime, series: Collected, polled: set[int]) -> None:
    """A poll that was stored after its minute had been packed: add to the blocks that are there."""
    coverage = HistoryCoverage.objects.filter(cluster_id=cluster_id, minute=minute).first()
    if coverage is None:
        return
    polled.update(coverage.offsets)
    coverage.delete()
    keys = list(series)
    rows = ran(
        "DELETE FROM lag_historyraw r USING unnest(%s::bigint[], %s::bigint[]) AS k (group_id, topic_id)"
        " WHERE r.group_id = k.group_id AND r.topic_id = k.topic_id AND r.at = %s RETURNING r.group_id, r.topic_id, r.data",
        [[key[0] for key in keys], [key[1] for key in keys], minute],
    )
    start = minute.astimezone(UTC).timestamp()
    for group_id, topic_id, data in rows:
        merged = {sample.at: sample for sample in samples_decode(bytes(data), start)}
        merged.update((sample.at, sample) for sample in series[group_id, topic_id])
        series[group_id, topic_id] = [merged[at] for at in sorted(merged)]
