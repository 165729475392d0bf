"""History: what a chart shows is what was read, before and after packing and rolling up, and gaps stay gaps."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Client, Membership, Ownership, User
from clusters.models import Finding
from lag import selectors
from lag.history.blocks import (
    Parts,
    Point,
    Sample,
    cycle_decode,
    cycle_encode,
    cycle_row,
    points_decode,
    points_encode,
    samples_decode,
    samples_encode,
)
from lag.history.keep import keep_history_partitions, partitions_make
from lag.history.pack import pack_history
from lag.history.roll_up import roll_up_history
from lag.models import HistoryCycle, HistoryProgress, HistoryStatus
from lag.rows import HistoryPoints
from lag.tasks import keep_partitions_task, pack_history_task
from lag.verdicts import Verdict
from ops_portal.lib.clock import as_datetime
from tests.lag.test_collector import World

# --- blocks ----------------------------------------------------------------------------------------------------------------
offsets = st.none() | st.integers(0, 2**62)
tenths = st.none() | st.just(0.0) | st.integers(1, 10**7).map(lambda value: 1_700_000_000.0 - value / 10)
rates = st.none() | st.integers(0, 10**9).map(lambda value: value / 100)
verdicts = st.sampled_from(list(Verdict))
parts = st.lists(
    st.tuples(st.integers(0, 10_000), offsets, offsets, tenths, st.just(0) | st.integers(0, 2**40)),
    unique_by=lambda row: row[0],
    max_size=5,
).map(
    lambda rows: (
        Parts(*(tuple(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True))) if rows else None
    )
)
samples = st.builds(Sample, st.just(0.0), offsets, offsets, tenths, rates, rates, offsets, verdicts, parts)


def close(left: Sample, right: Sample) -> bool:
    """Equal but for the tenths in which seconds are kept."""

    def known(sample: Sample) -> tuple[object, ...]:
        by_number = {}
        if sample.parts is not None:
            lost = sample.parts.lost or (0,) * len(sample.parts.numbers)
            by_number = {
                number: (committed, lag, None if since is None else round(since, 1), below)
                for number, committed, lag, since, below in zip(*sample.parts[:4], lost, strict=True)
                if (committed, lag, since, below) != (None, None, None, 0)
            }
        since = None if sample.since is None else round(sample.since, 1)
        return (round(sample.at, 3), *sample[1:3], since, *sample[4:8], by_number)

    return known(left) == known(right)


@settings(deadline=None)
@given(st.lists(samples, min_size=1, max_size=12))
def test_a_raw_block_gives_back_its_samples(found: list[Sample]) -> None:
    start = 1_700_000_000.0
    timed = [sample._replace(at=start + index * 4.999) for index, sample in enumerate(found)]
    back = samples_decode(samples_encode(start, timed), start)
    assert len(back) == len(timed)
    assert all(close(left, right) for left, right in zip(timed, back, strict=True))


@settings(deadline=None)
@given(st.lists(samples, max_size=5))
def test_a_poll_gives_back_its_samples(found: list[Sample]) -> None:
    at = 1_700_000_000.0
    rows = [(index, index * 7, sample._replace(at=at)) for index, sample in enumerate(found)]
    back = list(cycle_decode(cycle_encode(cycle_row(*row) for row in rows), at))
    assert [row[:2] for row in back] == [row[:2] for row in rows]
    assert all(close(left[2], right[2]) for left, right in zip(rows, back, strict=True))


def test_rolled_up_blocks_keep_gaps_and_partitions() -> None:
    point = Point(7, 4, 1.5, 2.25, 3.5, 2, Verdict.STALLED, {0: (4, 1.5), 9: (None, None)})
    assert points_decode(points_encode([None, point, None])) == [None, point, None]


# --- charts ----------------------------------------------------------------------------------------------------------------
pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    """`risk` reads two partitions; history has its partitions."""
    partitions_make()
    made = World()
    made.kafka.topic("trades", 2)
    made.kafka.produce("trades", 10, 0)
    made.kafka.group("risk", "trades")
    made.kafka.commit("risk", "trades", 4, 0)
    made.kafka.commit("risk", "trades", 0, 1)
    return made


@pytest.fixture
def sre() -> User:
    return User.objects.create(username="sre", role="sre")


def chart(world: World, user: User, *, seconds: float | None = None, **more: Any) -> HistoryPoints:
    end = as_datetime(world.start + (seconds or 300))
    found = selectors.group_history(user, world.cluster, world.group("risk"), as_datetime(world.start), end, **more)
    assert found is not None
    return found


def column(found: HistoryPoints, name: str) -> list[object]:
    index = found.columns.index(name)
    return [point[index] for point in found.points]


def test_an_unchanged_value_is_carried_and_an_unpolled_time_is_a_gap(world: World, sre: User) -> None:
    world.poll(12)  # minute 0
    world.clock.pass_time(60)  # minute 1: nobody polls
    world.poll(12)  # minute 2
    found = chart(world, sre, seconds=180, step=60)
    assert column(found, "lag_records") == [6, None, 6]
    assert column(found, "members") == [1, None, 1]
    assert column(found, "at") == [world.start, world.start + 60, world.start + 120]


def test_a_chart_is_the_same_before_and_after_packing(world: World, sre: User) -> None:
    for index in range(30):
        world.kafka.produce("trades", index % 4, index % 2)
        if index % 3 == 0:
            world.kafka.commit("risk", "trades", 4 + index // 5, 0)
        world.poll()
    queries: tuple[dict[str, Any], ...] = (
        {},
        {"step": 5},
        {"step": 60},
        {"topic": "trades"},
        {"topic": "trades", "partition": 1},
    )
    before = [chart(world, sre, **query) for query in queries]
    assert pack_history()["minutes"] == 3
    assert not HistoryCycle.objects.exists()
    after = [chart(world, sre, **query) for query in queries]
    for left, right in zip(before, after, strict=True):
        assert column(left, "lag_records") == column(right, "lag_records")
        assert column(left, "lag_seconds") == pytest.approx(column(right, "lag_seconds"), abs=0.11)
        assert column(left, "verdict") == column(right, "verdict")
    assert any(value for value in column(after[0], "lag_records") if value)
    assert column(after[4], "lag_records") != column(after[3], "lag_records")


def test_seconds_grow_while_nothing_else_changes(world: World, sre: User) -> None:
    world.poll(24)
    pack_history()
    found = column(chart(world, sre, seconds=120, step=60), "lag_seconds")
    assert isinstance(found[0], float)
    assert isinstance(found[1], float)
    assert found[1] - found[0] == pytest.approx(60, abs=0.2)


def test_a_failed_group_leaves_a_gap_and_goes_on_after_it(world: World, sre: User) -> None:
    world.poll(12)
    world.kafka.break_entity("group:risk")
    world.poll(12)
    world.kafka.broken.clear()
    world.poll(12)
    pack_history()
    assert column(chart(world, sre, seconds=180, step=60), "lag_records") == [6, None, 6]


def test_a_vanished_group_has_no_values_after_it_went(world: World, sre: User) -> None:
    world.poll(12)
    group = world.kafka.groups.pop("risk")
    world.poll(12)
    world.kafka.groups["risk"] = group
    world.poll(12)
    pack_history()
    assert column(chart(world, sre, seconds=180, step=60), "lag_records") == [6, None, 6]


def test_packing_twice_changes_nothing(world: World, sre: User) -> None:
    world.poll(13)
    assert pack_history()["minutes"] == 2
    assert pack_history() == {"minutes": 0, "blocks": 0, "bytes": 0}


def test_a_poll_stored_after_its_minute_was_packed_is_added(world: World, sre: User) -> None:
    world.poll(12)
    late = list(HistoryCycle.objects.order_by("at"))[-2:]
    HistoryCycle.objects.filter(pk__in=[row.pk for row in late]).delete()
    pack_history()
    HistoryCycle.objects.bulk_create(late)
    before = column(chart(world, sre, seconds=60, step=5), "lag_records")
    assert pack_history()["minutes"] == 1
    assert column(chart(world, sre, seconds=60, step=5), "lag_records") == before


def test_rolled_up_hours_show_what_the_raw_blocks_show(world: World, sre: User) -> None:
    for index in range(130):
        world.kafka.produce("trades", index % 5, index % 2)
        world.kafka.commit("risk", "trades", 4 + index // 5, 0)
        world.poll(seconds=30)
    pack_history()
    pack_history()
    queries: tuple[dict[str, Any], ...] = (
        {"step": 60},
        {"step": 3600},
        {"step": 60, "topic": "trades", "partition": 1},
    )
    before = [chart(world, sre, seconds=7200, **query) for query in queries]
    assert roll_up_history() == {"minute": 1, "hour": 0}
    progress = HistoryProgress.objects.get(level="minute")
    assert progress.done_until == as_datetime(world.start + 3600)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM lag_historyraw WHERE at < %s", [progress.done_until])
    for query, expected in zip(queries, before, strict=True):
        found = chart(world, sre, seconds=7200, **query)
        assert column(found, "lag_records") == column(expected, "lag_records")
        assert column(found, "lag_seconds") == pytest.approx(column(expected, "lag_seconds"), abs=0.2)
        assert column(found, "produce_rate") == pytest.approx(column(expected, "produce_rate"), abs=0.02)
    assert roll_up_history() == {"minute": 0, "hour": 0}


def test_a_chart_never_has_more_than_a_thousand_points(world: World, sre: User) -> None:
    world.poll()
    for span, step in ((timedelta(hours=1), None), (timedelta(days=2), 5), (timedelta(days=400), None)):
        end = timezone.now()
        found = selectors.group_history(sre, world.cluster, world.group("risk"), end - span, end, step=step)
        assert found is not None
        assert len(found.points) <= 1000
        assert all(point[0] % found.step_seconds == 0 for point in found.points)


def test_senseless_ranges_are_refused(world: World, sre: User) -> None:
    world.poll()
    start = as_datetime(world.start)
    later = start + timedelta(hours=1)
    wrong: list[tuple[datetime, datetime, dict[str, Any]]] = [
        (later, start, {}),
        (start, later, {"step": -1}),
        (start, later, {"partition": 1}),
    ]
    for first, last, more in wrong:
        with pytest.raises(selectors.BadRange):
            selectors.group_history(sre, world.cluster, world.group("risk"), first, last, **more)


def test_a_client_sees_the_history_of_own_groups_only(world: World) -> None:
    north, south = Client.objects.create(name="Northgate Capital"), Client.objects.create(name="Southbank Trading")
    Ownership.objects.create(client=north, kind="group", glob="risk")
    world.poll()
    users = [User.objects.create(username=client.name, role="client") for client in (north, south)]
    for user, client in zip(users, (north, south), strict=True):
        Membership.objects.create(user=user, client=client)
    start, end = as_datetime(world.start), as_datetime(world.start + 60)
    group = world.group("risk")
    assert selectors.group_history(users[0], world.cluster, group, start, end) is not None
    assert selectors.group_history(users[1], world.cluster, group, start, end) is None
    assert selectors.sparklines(users[1], world.cluster, [group.pk]) == {}


def test_sparklines_show_the_last_minutes_of_many_groups(sre: User) -> None:
    partitions_make()
    made = World()
    made.clock.pass_time(timezone.now().timestamp() - made.clock.now() - 400)
    made.kafka.topic("trades")
    made.kafka.produce("trades", 5)
    for name in ("risk", "audit"):
        made.kafka.group(name, "trades")
        made.kafka.commit(name, "trades", 2)
    made.poll(60)
    pack_history()
    found = selectors.sparklines(sre, made.cluster, [made.group("risk").pk, made.group("audit").pk])
    assert len(found) == 2
    for line in found.values():
        assert len(line) == 60
        assert [lag for _, lag in line].count(3) >= 19
        assert line[0][1] is None


# --- partitions --------------------------------------------------------------------------------------------------------------
def test_a_missing_partition_heals_without_loss(world: World, sre: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'lag_historyraw'::regclass")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")
    world.poll(12)
    pack_history_task()
    assert column(chart(world, sre, seconds=60, step=60), "lag_records") == [6]
    assert HistoryStatus.objects.get(job="pack").error == ""


def test_a_failing_job_shows_until_it_succeeds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, int]:
        raise RuntimeError("disk full")

    monkeypatch.setattr("lag.tasks.keep_history_partitions", broken)
    with pytest.raises(RuntimeError):
        keep_partitions_task()
    status = selectors.history_status()[0]
    assert (status.job, status.error, status.failing_since is not None) == (
        "partitions",
        "RuntimeError: disk full",
        True,
    )
    assert Finding.objects.get().reason == "RuntimeError: disk full"
    monkeypatch.undo()
    keep_partitions_task()
    assert selectors.history_status()[0].error == ""
    assert Finding.objects.get().closed_at is not None


def test_old_partitions_are_dropped(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE lag_historyraw_20200101 PARTITION OF lag_historyraw FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
        )
    assert keep_history_partitions()["dropped"] == 1
