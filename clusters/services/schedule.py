"""Which sources are due, and which rows of theirs are old."""

from collections.abc import Callable

from django.conf import settings
from django.db import connection, transaction

from clusters.models import Cluster, Source
from clusters.sources import kinds

BATCH = 5000
_MOST_BATCHES = 20

_DUE = """
UPDATE clusters_source s SET enqueued_slot = floor(extract(epoch FROM clock_timestamp()) / s.period_seconds)
FROM clusters_cluster c
WHERE c.id = s.cluster_id AND c.removed_at IS NULL AND s.enabled
    AND greatest(s.enqueued_slot, s.claimed_slot) < floor(extract(epoch FROM clock_timestamp()) / s.period_seconds)
RETURNING s.id, s.enqueued_slot
"""
_PRUNE = """
DELETE FROM clusters_pollrun WHERE id IN (
    SELECT id FROM clusters_pollrun WHERE started_at < clock_timestamp() - make_interval(hours => %s)
    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
"""


@transaction.atomic
def sources_enqueue(*, send: Callable[[int, int], None]) -> int:
    """Call `send(source id, slot)` for every source whose slot has begun, once per slot however many beats ask.

    When `send` fails, the slots count as not sent and the next call tries again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE)
        due = cursor.fetchall()
    for source_id, slot in due:
        send(source_id, slot)
    return len(due)


@transaction.atomic
def sources_ensure(*, cluster: Cluster | None = None) -> int:
    """Give every cluster, or the one, a source of each registered kind; returns how many were made."""
    made = 0
    for kind in kinds():
        clusters = Cluster.objects.filter(removed_at__isnull=True).exclude(sources__kind=kind.name)
        if cluster is not None:
            clusters = clusters.filter(pk=cluster.pk)
        rows = [
            Source(cluster=found, kind=kind.name, period_seconds=kind.default_period())
            for found in clusters
            if kind.applies(found)
        ]
        made += len(Source.objects.bulk_create(rows, ignore_conflicts=True))
    return made


def poll_runs_prune(*, hours: float | None = None) -> int:
    """Delete runs older than `hours` (default HISTORY_RUN_HOURS), in batches of their own transactions."""
    deleted = 0
    for _ in range(_MOST_BATCHES):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_PRUNE, [int(settings.HISTORY_RUN_HOURS if hours is None else hours), BATCH])
            count = cursor.rowcount
        deleted += count
        if count < BATCH:
            break
    return deleted
