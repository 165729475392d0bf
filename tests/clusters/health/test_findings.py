"""Findings of health: after how long they open, when they close, and that nothing leaves one behind."""

from collections.abc import Mapping

import pytest
from django.db import transaction

from clusters.health.judge import CLUSTER, Reading
from clusters.health.states import Health
from clusters.health.states import Source as Kind
from clusters.models import Cluster, Finding, Source
from clusters.services.clusters import cluster_remove
from clusters.services.health_store import health_locked, signals_store
from clusters.services.schedule import sources_ensure
from clusters.signals import BY_ID
from clusters.sources import RunDropped
from ops_portal.lib.database import database_clock

pytestmark = pytest.mark.django_db

PERIOD = 15.0
BROKERS, PROMETHEUS = Kind.BROKERS, Kind.PROMETHEUS


class World:
    """A cluster of which two sources say what they are told to, at the same times. A value of None is missing."""

    def __init__(self) -> None:
        self.cluster = Cluster.objects.create(
            name="north", bootstrap="broker-1:9092", prometheus_url="http://127.0.0.1:9"
        )
        sources_ensure(cluster=self.cluster)
        Source.objects.filter(cluster=self.cluster).update(period_seconds=PERIOD)
        self.now = database_clock().now()
        self.states: dict[str, Health] = {}

    @transaction.atomic
    def say(self, source: Kind, values: Mapping[str, float | None]) -> None:
        readings = {
            name: Reading(missing="It is missing.") if value is None else Reading({CLUSTER: value})
            for name, value in values.items()
        }
        health = health_locked(self.cluster)
        stored = signals_store(cluster=self.cluster, health=health, source=source, readings=readings, at=self.now)
        health.save()
        self.states = {name: one.state for name, one in stored.signals.items()}

    def latency(self, value: float | None) -> None:
        """The next reading of a signal that has a hold of a minute, warns from 10 ms and is critical from 100 ms."""
        self.now += PERIOD + 0.001  # never a whole multiple: the database keeps microseconds
        self.say(PROMETHEUS, {"produce_p95": value})

    def under_replicated(self, *, brokers: float | None, prometheus: float | None) -> None:
        self.now += PERIOD + 0.001
        if brokers is not None:
            self.say(BROKERS, {"under_replicated": brokers, "quorum_reachable": 1.0})
        if prometheus is not None:
            self.say(PROMETHEUS, {"under_replicated": prometheus})

    def open(self) -> set[str]:
        """Signals that have an open finding."""
        keys = Finding.objects.filter(cluster=self.cluster, closed_at__isnull=True)
        return {key.rpartition(":")[2] for key in keys.values_list("dedupe_key", flat=True)}


@pytest.fixture
def world() -> World:
    return World()


def test_latency_opens_a_finding_after_its_hold_and_closes_it_by_itself(world: World) -> None:
    assert BY_ID["produce_p95"].hold == 60
    for value, opened in ((50.0, False), (50.0, False), (50.0, False), (50.0, False), (50.0, True), (50.0, True)):
        world.latency(value)
        assert ("produce_p95" in world.open()) is opened
    for value, opened in ((8.0, True), (8.0, True), (8.0, False), (8.0, False)):
        world.latency(value)
        assert ("produce_p95" in world.open()) is opened
    assert Finding.objects.count() == 1


def test_a_slow_start_that_is_over_within_the_hold_opens_nothing(world: World) -> None:
    for value in (900.0, 400.0, 120.0, 11.0, 8.0, 700.0, 11.0, 8.0):
        world.latency(value)
        assert world.states["produce_p95"] is Health.OK
    assert not Finding.objects.exists()


def test_a_value_that_sways_around_its_threshold_keeps_one_finding(world: World) -> None:
    for value in (11.0,) * 6 + (9.5, 11.0) * 8:
        world.latency(value)
    assert Finding.objects.get().closed_at is None


def test_what_is_worse_for_its_hold_raises_the_finding_and_what_is_better_lowers_it(world: World) -> None:
    severities = []
    for value in (50.0,) * 6 + (500.0,) * 6 + (50.0,) * 2:
        world.latency(value)
        severities.append("".join(Finding.objects.values_list("severity", flat=True)))

    assert severities == [""] * 4 + ["warning"] * 6 + ["critical"] * 2 + ["warning"] * 2


def test_a_source_that_knows_nothing_closes_nothing(world: World) -> None:
    for value in (50.0,) * 6 + (None,) * 10:
        world.latency(value)

    assert world.states["produce_p95"] is Health.UNKNOWN
    assert "produce_p95" in world.open()


def test_what_one_source_missed_stays_until_the_other_has_been_well_for_a_while(world: World) -> None:
    for brokers, opened in ((0.0, False), (6.0, True), (0.0, True), (0.0, True), (0.0, False)):
        world.under_replicated(brokers=brokers, prometheus=0.0)
        assert ("under_replicated" in world.open()) is opened


def test_a_source_that_falls_silent_is_not_overruled_by_the_other(world: World) -> None:
    world.under_replicated(brokers=6.0, prometheus=0.0)
    for _ in range(6):
        world.under_replicated(brokers=None, prometheus=0.0)

    assert world.states["under_replicated"] is Health.OK  # as Prometheus says
    assert "under_replicated" in world.open()


def test_without_its_source_a_finding_closes_for_nobody_else_would_close_it(world: World) -> None:
    for _ in range(6):
        world.latency(50.0)
    assert "produce_p95" in world.open()
    world.cluster.prometheus_url = ""
    world.under_replicated(brokers=0.0, prometheus=None)

    assert world.open() == set()


def test_the_removal_of_a_cluster_closes_its_findings_and_a_run_under_way_opens_none(world: World) -> None:
    world.under_replicated(brokers=6.0, prometheus=6.0)
    assert world.open() == {"under_replicated"}
    cluster_remove(cluster=world.cluster, acting_user=None)
    assert world.open() == set()

    with pytest.raises(RunDropped, match="removed"):
        world.under_replicated(brokers=6.0, prometheus=None)
    assert world.open() == set()
