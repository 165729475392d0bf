"""Partitions of a history table, one per UTC day or month: make them ahead, drop them when their time is over.

The parent is `PARTITION BY RANGE (<a timestamptz column>)`. Partitions are named `<parent>_YYYYMMDD` or `<parent>_YYYYMM`.
Times are those of PostgreSQL. All functions may run at the same time in several processes and any number of times.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from django.db import connection, transaction
from psycopg import sql

# Dropping needs the parent for itself; rather give up and try in the next run than hold up the writers behind us.
LOCK_TIMEOUT = "2s"


class Span(StrEnum):
    """How much time one partition holds."""

    DAY = "day"
    MONTH = "month"

    def first(self, day: date) -> date:
        """First day of the partition that holds `day`."""
        return day if self is Span.DAY else day.replace(day=1)

    def after(self, first: date) -> date:
        """First day of the next partition."""
        if self is Span.DAY:
            return first + timedelta(days=1)
        return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: holds rows from `first` (00:00 UTC) up to but not including `end`. `bytes` counts its indexes too."""

    name: str
    first: date
    end: date
    bytes: int


def today() -> date:
    """The UTC day on PostgreSQL's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
        row = cursor.fetchone()
    day: date = row[0]
    return day


def partition_name(parent: str, first: date, span: Span = Span.DAY) -> str:
    return f"{parent}_{first:%Y%m%d}" if span is Span.DAY else f"{parent}_{first:%Y%m}"


def list_partitions(parent: str) -> list[Partition]:
    """Every partition of `parent`, oldest first; partitions under other names are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname, pg_total_relation_size(child.oid) FROM pg_inherits"
            " JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = to_regclass(%s)",
            [parent],
        )
        rows = cursor.fetchall()
    found = [_parse(parent, name, size) for name, size in rows]
    return sorted((partition for partition in found if partition is not None), key=lambda partition: partition.first)


def missing_partitions(parent: str, *, ahead: int, span: Span = Span.DAY) -> list[str]:
    """Names of partitions that should be there, the current one and `ahead` more, and are not: a row would be refused."""
    present = {partition.name for partition in list_partitions(parent)}
    wanted = (partition_name(parent, first, span) for first in _firsts(today(), ahead, span))
    return [name for name in wanted if name not in present]


def create_partitions(parent: str, *, ahead: int, behind: int = 0, span: Span = Span.DAY) -> list[str]:
    """Make the current partition, `ahead` later and `behind` earlier ones where they lack; returns the names made."""
    firsts = _firsts(_back(today(), behind, span), ahead + behind, span)
    return [partition_name(parent, first, span) for first in firsts if _create(parent, first, span)]


def drop_partitions(parent: str, *, before: datetime) -> list[str]:
    """Drop partitions all of whose rows are older than `before` (aware); returns the names dropped, oldest first.

    A lock that does not come within two seconds raises OperationalError; what was dropped until then stays dropped.
    """
    limit = before.astimezone(UTC)
    dropped = []
    for partition in list_partitions(parent):
        if datetime.combine(partition.end, datetime.min.time(), UTC) > limit:
            break
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(partition.name)))
        dropped.append(partition.name)
    return dropped


def _create(parent: str, first: date, span: Span) -> bool:
    name = partition_name(parent, first, span)
    with transaction.atomic(), connection.cursor() as cursor:
        # Two processes may both find the table missing: the second waits here and then sees it.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('partitions'), hashtext(%s))", [name])
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if cursor.fetchone()[0]:
            return False
        # CREATE ... PARTITION OF would lock every reader and writer out; ATTACH lets them go on.
        table, of = sql.Identifier(name), sql.Identifier(parent)
        cursor.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(table, of))
        cursor.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                of, table, _bound(first), _bound(span.after(first))
            )
        )
    return True


def _bound(day: date) -> sql.Literal:
    return sql.Literal(f"{day:%Y-%m-%d} 00:00:00+00")


def _firsts(start: date, count: int, span: Span) -> list[date]:
    firsts = [span.first(start)]
    for _ in range(count):
        firsts.append(span.after(firsts[-1]))
    return firsts


def _back(day: date, steps: int, span: Span) -> date:
    for _ in range(steps):
        day = span.first(span.first(day) - timedelta(days=1))
    return day


def _parse(parent: str, name: str, size: int) -> Partition | None:
    stamp = name.removeprefix(f"{parent}_")
    if not stamp.isdecimal() or len(stamp) not in {6, 8}:
        return None
    span, text = (Span.DAY, stamp) if len(stamp) == 8 else (Span.MONTH, f"{stamp}01")
    first = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    return Partition(name=name, first=first, end=span.after(first), bytes=size)
