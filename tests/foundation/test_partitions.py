"""Day and month partitions of history tables."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from ops_portal.lib import partitions
from ops_portal.lib.partitions import Span

PARENT = "probe_history"


@pytest.fixture
def parent(db: None) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {PARENT} (key int, at timestamptz NOT NULL, UNIQUE (key, at)) PARTITION BY RANGE (at)"
        )
    return PARENT


def insert(at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {PARENT} VALUES (1, %s)", [at])


def test_makes_the_current_partition_and_those_ahead_once(parent: str) -> None:
    assert len(partitions.missing_partitions(parent, ahead=2)) == 3
    made = partitions.create_partitions(parent, ahead=2)
    assert made == [f"{parent}_{partitions.today() + timedelta(days=n):%Y%m%d}" for n in range(3)]
    assert partitions.create_partitions(parent, ahead=2) == []
    assert partitions.missing_partitions(parent, ahead=2) == []


def test_rows_land_in_their_day_and_keep_the_parent_s_constraints(parent: str) -> None:
    partitions.create_partitions(parent, ahead=0, behind=1)
    midnight = datetime.combine(partitions.today(), datetime.min.time(), UTC)
    insert(midnight)
    insert(midnight - timedelta(microseconds=1))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {PARENT} ORDER BY at")
        assert [row[0] for row in cursor.fetchall()] == [found.name for found in partitions.list_partitions(parent)]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(midnight)


def test_a_row_without_a_partition_is_refused(parent: str) -> None:
    partitions.create_partitions(parent, ahead=0)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(datetime.now(UTC) + timedelta(days=3))


def test_drops_only_partitions_that_are_wholly_over(parent: str) -> None:
    partitions.create_partitions(parent, ahead=1, behind=3)
    midnight = datetime.combine(partitions.today(), datetime.min.time(), UTC)
    dropped = partitions.drop_partitions(parent, before=midnight - timedelta(hours=12))
    assert dropped == [f"{parent}_{partitions.today() - timedelta(days=n):%Y%m%d}" for n in (3, 2)]
    assert partitions.list_partitions(parent)[0].first == partitions.today() - timedelta(days=1)


def test_months_follow_each_other_over_the_end_of_the_year() -> None:
    assert Span.MONTH.first(date(2026, 12, 31)) == date(2026, 12, 1)
    assert Span.MONTH.after(date(2026, 12, 1)) == date(2027, 1, 1)
    assert Span.MONTH.after(date(2028, 2, 1)) == date(2028, 3, 1)


def test_month_partitions_are_made_and_listed(parent: str) -> None:
    made = partitions.create_partitions(parent, ahead=1, behind=1, span=Span.MONTH)
    found = partitions.list_partitions(parent)
    assert [partition.name for partition in found] == made
    assert [partition.end for partition in found[:-1]] == [partition.first for partition in found[1:]]
    assert all(partition.bytes >= 0 for partition in found)
