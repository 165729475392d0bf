"""How long readings of signals are kept, at which fineness, and what a chart of any range costs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from accounts.roles import Role
from clusters.health.states import Health
from clusters.models import Cluster, HealthEvent, PlatformSloCount
from clusters.selectors.health.history import MOST_POINTS, BadRange, SignalHistory, signal_history
from clusters.services.health_history import HOURS, MINUTES, SAMPLES, health_history_keep, samples_store
from clusters.signals import BY_ID
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.partitions import Span, create_partitions, list_partitions
from tests.accounts.factories import make_user

pytestmark = pytest.mark.django_db

LATENCY, IDLE = "produce_p99", "handler_idle"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class World:
    def __init__(self) -> None:
        self.cluster = Cluster.objects.create(name="north", bootstrap="broker-1:9092")
        self.user = make_user(Role.SRE, "sre")
        self.now = as_datetime(database_clock().now())

    def store(self, ago: timedelta, value: float | None, state: Health = Health.OK, signal: str = LATENCY) -> datetime:
        at = self.now - ago
        samples_store(self.cluster.pk, at, [(signal, value, state)])
        return at

    def minutes(self, days: int) -> None:
        """A value for every minute of the last days, the highest of each hour 100 ms."""
        create_partitions(MINUTES, ahead=0, behind=days)
        start = self.now.replace(minute=0, second=0, microsecond=0) - days * DAY
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO clusters_healthminute SELECT %s, %s, at, 1, 1 + extract(minute FROM at) * 99 / 59, 1, 0"
                " FROM generate_series(%s::timestamptz, %s, '1 minute') AS at",
                [self.cluster.pk, LATENCY, start, self.now],
            )

    def history(self, ago: timedelta, until: timedelta = timedelta(), **options: Any) -> SignalHistory:
        found = signal_history(
            self.user, self.cluster, BY_ID[LATENCY], self.now - ago, self.now - until + timedelta(seconds=1), **options
        )
        assert found is not None
        return found


@pytest.fixture
def world() -> World:
    return World()


def hours(world: World) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT signal, at, low, high, state FROM clusters_healthhour WHERE cluster_id = %s ORDER BY at",
            [world.cluster.pk],
        )
        return list(cursor.fetchall())


def known(history: SignalHistory) -> list[tuple[float, float | None, str | None]]:
    return [point for point in history.points if point[2] is not None]


def test_a_closed_hour_keeps_its_extremes_and_its_worst_state(world: World) -> None:
    begin = world.now.replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    for minutes, value, state in ((1, 5.0, Health.OK), (30, 120.0, Health.WARNING), (59, None, Health.UNKNOWN)):
        world.store(world.now - begin - timedelta(minutes=minutes), value, state)

    health_history_keep()
    health_history_keep()

    assert hours(world) == [(LATENCY, begin, 5.0, 120.0, max(Health.WARNING.rank, Health.UNKNOWN.rank))]


def test_an_hour_that_is_not_over_is_not_rolled_up(world: World) -> None:
    world.store(timedelta(), 5.0)
    health_history_keep()

    assert hours(world) == []
    assert [point[1] for point in known(world.history(30 * DAY))] == [5.0]  # and is on the chart even so


def test_a_job_that_was_away_makes_up_for_every_hour(world: World) -> None:
    world.minutes(3)
    health_history_keep()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM clusters_healthhour WHERE at >= %s", [world.now - 2 * DAY])
    health_history_keep()

    found = [at for _, at, *_ in hours(world)]
    assert found == [found[0] + number * HOUR for number in range(len(found))]
    assert len(found) >= 3 * 24 - 1


def test_what_is_past_its_retention_goes_and_the_coarser_level_stays(world: World, settings: Settings) -> None:
    for table, behind, span in ((SAMPLES, 20, Span.DAY), (MINUTES, 20, Span.DAY), (HOURS, 6, Span.MONTH)):
        create_partitions(table, ahead=0, behind=behind, span=span)
    settings.HISTORY_RAW_HOURS, settings.HISTORY_MINUTE_DAYS, settings.HISTORY_HOUR_DAYS = 24, 10, 100
    health_history_keep()

    today = world.now.astimezone(UTC).date()
    oldest = {table: today - list_partitions(table)[0].first for table in (SAMPLES, MINUTES, HOURS)}
    assert DAY <= oldest[SAMPLES] <= 2 * DAY
    assert 10 * DAY <= oldest[MINUTES] <= 11 * DAY
    assert 100 * DAY <= oldest[HOURS] <= 131 * DAY
    assert {
        partition.first > today for table in (SAMPLES, MINUTES, HOURS) for partition in list_partitions(table)[-2:]
    } == {True}


def test_old_events_and_counts_go_too(world: World, settings: Settings) -> None:
    settings.HISTORY_EVENT_DAYS = 30
    for days in (1, 31, 91, 93):
        at = world.now - days * DAY
        HealthEvent.objects.create(cluster=world.cluster, at_earliest=at, at=at, kind="broker_down", text=f"{days}")
        PlatformSloCount.objects.create(cluster=world.cluster, slo="availability", at=at, good=1.0)

    assert health_history_keep().endswith("3 events")
    assert list(HealthEvent.objects.values_list("text", flat=True)) == ["1"]
    assert PlatformSloCount.objects.count() == 3  # targets count over 90 days


@pytest.mark.parametrize(
    ("ago", "step"),
    [(HOUR, 5), (6 * HOUR, 30), (DAY, 120), (7 * DAY, 900), (13 * DAY, 1800), (30 * DAY, 3600), (730 * DAY, 86400)],
    ids=str,
)
def test_no_range_takes_more_than_a_thousand_points_or_two_queries(world: World, ago: timedelta, step: int) -> None:
    world.minutes(15)
    health_history_keep()
    with CaptureQueriesContext(connection) as asked:
        found = world.history(ago)

    assert (found.step_seconds, len(found.points) <= MOST_POINTS) == (step, True)
    assert len(asked) <= 2  # the clock and the figures
    if step >= 60:
        if step >= 3600:
            assert {point[1] for point in known(found)[1:-1]} == {100.0}
        assert len(known(found)) >= min(ago, 15 * DAY) / timedelta(seconds=step) - 1


def test_a_long_chart_reads_hours_and_the_minutes_of_the_last_day_only(world: World) -> None:
    world.minutes(15)
    health_history_keep()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM clusters_healthminute WHERE at < %s", [world.now - DAY])

    assert len(known(world.history(30 * DAY))) >= 15 * 24


def test_a_fine_step_long_ago_is_as_coarse_as_what_is_kept(world: World) -> None:
    assert world.history(20 * DAY, 19 * DAY, step=5).step_seconds == 3600
    assert world.history(5 * DAY, 4 * DAY, step=5).step_seconds == 120
    assert world.history(HOUR, step=60).step_seconds == 60


def test_the_worst_value_of_a_step_is_the_lowest_where_low_is_bad(world: World) -> None:
    for seconds, value in ((10, 0.9), (20, 0.2), (30, 0.8)):
        world.store(timedelta(seconds=seconds), value, signal=IDLE)
    found = signal_history(
        world.user, world.cluster, BY_ID[IDLE], world.now - DAY, world.now + timedelta(seconds=1), step=86400
    )
    assert found is not None
    assert min(point[1] for point in known(found) if point[1] is not None) == 0.2


@pytest.mark.parametrize(("ago", "until", "step"), [(HOUR, 2 * HOUR, None), (HOUR, timedelta(), 0)])
def test_a_range_without_sense_is_refused(world: World, ago: timedelta, until: timedelta, step: float | None) -> None:
    with pytest.raises(BadRange):
        world.history(ago, until, step=step)


def test_nobody_without_the_right_sees_a_history(world: World) -> None:
    viewer = make_user(Role.ACCOUNT_MANAGER, "manager")
    assert signal_history(viewer, world.cluster, BY_ID[LATENCY], world.now - HOUR, world.now) is None
