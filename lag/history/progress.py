"""Who writes which part of history: one job at a time per cluster and level."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection

from lag.models import HistoryProgress


@contextmanager
def claimed(cluster_id: int, level: str) -> Iterator[HistoryProgress | None]:
    """The progress row, locked until the transaction ends; None when another worker holds it."""
    HistoryProgress.objects.bulk_create([HistoryProgress(cluster_id=cluster_id, level=level)], ignore_conflicts=True)
    yield HistoryProgress.objects.select_for_update(skip_locked=True).filter(cluster_id=cluster_id, level=level).first()


def now() -> datetime:
    """The database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found
