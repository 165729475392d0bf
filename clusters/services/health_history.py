"""History of signals: every reading for hours, one row a minute for days, one an hour for years."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import LiteralString

from django.conf import settings
from django.db import connection

from clusters.health.states import Health
from clusters.models import HealthEvent, PlatformSloCount
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.partitions import Span, create_partitions, drop_partitions, list_partitions, partition_name

SAMPLES: LiteralString = "clusters_healthsample"
MINUTES: LiteralString = "clusters_healthminute"
HOURS: LiteralString = "clusters_healthhour"
AHEAD = 3
MONTHS_AHEAD = 2
SETTLED = timedelta(minutes=5)  # after its end no poll writes to an hour any more
SLO_DAYS = 92

_SAMPLE = "INSERT INTO clusters_healthsample VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
_MINUTE = """
INSERT INTO clusters_healthminute AS kept (cluster_id, signal, at, low, high, last, state)
VALUES (%s, %s, date_trunc('minute', %s::timestamptz), %s, %s, %s, %s)
ON CONFLICT (cluster_id, signal, at) DO UPDATE SET
    low = least(kept.low, excluded.low), high = greatest(kept.high, excluded.high), last = excluded.last,
    state = greatest(kept.state, excluded.state)
"""
_HOURS = """
INSERT INTO clusters_healthhour (cluster_id, signal, at, low, high, state)
SELECT cluster_id, signal, date_trunc('hour', at, 'UTC') AS hour, min(low), max(high), max(state)
FROM clusters_healthminute WHERE at >= %(start)s AND at < %(end)s GROUP BY cluster_id, signal, hour
ON CONFLICT DO NOTHING
"""


def samples_store(cluster_id: int, at: datetime, rows: Iterable[tuple[str, float | None, Health]]) -> None:
    """Keep (signal, value, state) of one moment. Joins the caller's transaction."""
    _ensure(at)
    found = list(rows)
    with connection.cursor() as cursor:
        cursor.executemany(_SAMPLE, [(cluster_id, name, at, value, state.rank) for name, value, state in found])
        cursor.executemany(
            _MINUTE, [(cluster_id, name, at, value, value, value, state.rank) for name, value, state in found]
        )


def health_history_keep() -> str:
    """Make partitions ahead, roll closed hours up, drop what is past its retention. Safe at any time and twice at once."""
    made = sum(len(create_partitions(table, ahead=AHEAD, behind=1)) for table in (SAMPLES, MINUTES))
    made += len(create_partitions(HOURS, ahead=MONTHS_AHEAD, behind=1, span=Span.MONTH))
    now = as_datetime(database_clock().now())
    _roll_up(now)
    dropped = len(drop_partitions(SAMPLES, before=now - timedelta(hours=settings.HISTORY_RAW_HOURS)))
    dropped += len(drop_partitions(MINUTES, before=now - timedelta(days=settings.HISTORY_MINUTE_DAYS)))
    dropped += len(drop_partitions(HOURS, before=now - timedelta(days=settings.HISTORY_HOUR_DAYS)))
    old = HealthEvent.objects.filter(at__lt=now - timedelta(days=settings.HISTORY_EVENT_DAYS)).order_by("pk")
    events, _ = HealthEvent.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:5000])).delete()
    PlatformSloCount.objects.filter(at__lt=now - timedelta(days=SLO_DAYS)).delete()
    return f"made {made} partitions, dropped {dropped} and {events} events"


def _roll_up(now: datetime) -> None:
    """Every closed hour that is not written yet, as far back as there are partitions."""
    end = (now - SETTLED).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(at) FROM clusters_healthhour")
        newest = cursor.fetchone()[0]
        oldest = list_partitions(HOURS)[0].first
        start = newest + timedelta(hours=1) if newest else datetime.combine(oldest, time.min, UTC)
        if start < end:
            cursor.execute(_HOURS, {"start": start, "end": end})


def _ensure(at: datetime) -> None:
    """The partitions of that day, where the job that makes them ahead has not run yet."""
    names = [partition_name(table, at.astimezone(UTC).date()) for table in (SAMPLES, MINUTES)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NULL OR to_regclass(%s) IS NULL", names)
        if not cursor.fetchone()[0]:
            return
    for table in (SAMPLES, MINUTES):
        create_partitions(table, ahead=AHEAD, behind=1)
