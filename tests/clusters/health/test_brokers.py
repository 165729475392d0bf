"""The poll of brokers: what the metadata and TCP tell becomes states, events, findings and targets."""

from collections.abc import Callable, Collection
from typing import Any

import pytest
from django.db import connection

from accounts.roles import Role
from clusters.admin_ports import Configs
from clusters.health.states import Health
from clusters.models import Cluster, ClusterHealth, Finding, HealthEvent, HealthSettings, PlatformSloCount, TopicHealth
from clusters.ports import EntityError, GatewayFailed
from clusters.selectors.health import HealthView, SignalRow, cluster_health
from clusters.selectors.health.topics import topic_rows, topic_view
from clusters.selectors.platform_slos import platform_slos
from clusters.services import health_brokers
from clusters.services.health_brokers import poll_brokers
from clusters.services.schedule import sources_ensure
from ops_portal.lib.database import database_clock
from ops_portal.lib.resilience import Deadline
from tests.accounts.factories import make_user
from tests.clusters.health.fakes import FakeBrokers, poll_of
from tests.fake_kafka import StandingClock

pytestmark = pytest.mark.django_db


class World:
    """A cluster polled at will; `pass_time` moves its clock, which began at the database's now minus a minute."""

    def __init__(self) -> None:
        self.cluster = Cluster.objects.create(name="north", bootstrap="broker-1:9092")
        sources_ensure(cluster=self.cluster)
        self.clock = StandingClock(database_clock().now())
        self.kafka = FakeBrokers(self.clock)
        self.kafka.topic("orders")
        self.kafka.topic("payments")
        self.user = make_user(Role.SRE, "sre")

    def poll(self, seconds: float = 5.0) -> None:
        self.clock.pass_time(seconds)
        poll_brokers(poll_of(self.cluster, "brokers", self.clock, self.kafka))

    def view(self) -> HealthView:
        view = cluster_health(self.user, self.cluster)
        assert view is not None
        return view

    def signal(self, name: str) -> SignalRow:
        return next(row for row in self.view().signals if row.id == name)

    def events(self) -> list[str]:
        return list(HealthEvent.objects.order_by("pk").values_list("kind", flat=True))


@pytest.fixture
def world() -> World:
    health_brokers._kept.clear()
    return World()


def test_a_healthy_cluster_is_ok_as_far_as_the_admin_api_tells(world: World) -> None:
    world.poll()

    view = world.view()
    assert (view.verdict, view.reasons) == (Health.OK, ())
    assert {
        row.id: row.state for row in view.signals if row.sources == row.signal.sources and row.signal.admin
    } == dict.fromkeys(("brokers_down", "at_min_isr", "leader_skew", "quorum_reachable"), Health.OK)
    assert world.signal("under_replicated").state is Health.OK
    assert [(row.id, row.rack, row.leaders, row.replicas, row.in_sync, row.leader_skew) for row in view.brokers] == [
        (n, f"rack-{n}", 4, 12, 12, 0.0) for n in (1, 2, 3)
    ]
    assert view.figures["partitions"] == 12


def test_a_lost_broker_is_named_with_what_it_held(world: World) -> None:
    world.poll()
    world.kafka.lose(2)
    world.poll()

    view = world.view()
    assert view.verdict is Health.CRITICAL
    down, under = world.signal("brokers_down"), world.signal("under_replicated")
    assert (down.state, down.value) == (Health.CRITICAL, 1.0)
    assert "2 (broker-2:9092)" in down.reason
    assert (under.state, under.value) == (Health.CRITICAL, 12.0)
    assert "Broker 2 (down) lags in 12" in under.reason
    assert world.signal("at_min_isr").state is Health.OK  # it has not held for a minute yet
    assert [row.state for row in view.brokers] == [Health.OK, Health.CRITICAL, Health.OK]
    assert {"broker_down", "leaders_moved", "isr_shrunk", "verdict_changed"} <= set(world.events())


def test_a_broker_that_refuses_tcp_is_down_before_the_metadata_knows(world: World) -> None:
    world.poll()
    world.kafka.lose(3, named=True)
    world.poll()

    assert world.signal("brokers_down").state is Health.CRITICAL
    assert "broker-3:9092" in world.signal("brokers_down").reason
    assert world.signal("quorum_reachable").state is Health.WARNING
    assert world.signal("under_replicated").state is Health.OK


def test_two_of_three_lost_is_unknown_not_zero(world: World) -> None:
    world.poll()
    world.kafka.lose(2, named=True)
    world.kafka.lose(3, named=True)
    world.poll()

    view = world.view()
    assert view.verdict is Health.CRITICAL
    assert world.signal("brokers_down").value == 2.0
    for name in ("under_replicated", "offline_partitions", "under_min_isr"):
        row = world.signal(name)
        assert (row.state, row.value) == (Health.UNKNOWN, None)
        assert "stands still" in row.reason
    assert any("cannot be told" in reason for reason in view.reasons)


def test_controllers_of_the_inventory_decide_whether_the_metadata_stands_still(world: World) -> None:
    Cluster.objects.filter(pk=world.cluster.pk).update(controllers="c1:9093,c2:9093,c3:9093")
    world.cluster.refresh_from_db()
    world.kafka.refused = {"c1:9093"}
    world.poll()
    assert world.signal("quorum_reachable").state is Health.WARNING
    assert world.signal("offline_partitions").state is Health.OK

    world.kafka.refused = {"c1:9093", "c2:9093"}
    world.poll()
    assert world.signal("offline_partitions").state is Health.UNKNOWN
    assert "c2:9093" in world.signal("offline_partitions").reason


def test_a_silent_cluster_is_unknown_and_tcp_still_names_who_is_down(world: World) -> None:
    world.poll()
    world.kafka.down = True
    world.kafka.refused = {f"broker-{n}:9092" for n in (1, 2, 3)}

    with pytest.raises(GatewayFailed):
        world.poll()

    assert world.view().verdict is Health.CRITICAL
    assert world.signal("brokers_down").value == 3.0
    assert world.signal("offline_partitions").state is Health.UNKNOWN
    assert [row.state for row in world.view().brokers] == [Health.CRITICAL] * 3


def test_it_returns_to_green_by_itself(world: World) -> None:
    world.poll()
    world.kafka.lose(2)
    world.poll()
    world.kafka.restore(2)
    world.poll()

    assert world.view().verdict is Health.OK
    assert {"broker_up", "isr_expanded"} <= set(world.events())
    assert Finding.objects.filter(kind="health", closed_at__isnull=True).exists()
    for _ in range(7):
        world.poll()
    assert not Finding.objects.filter(kind="health", closed_at__isnull=True).exists()


def test_a_bad_signal_opens_one_finding(world: World, django_capture_on_commit_callbacks: Any) -> None:
    from clusters.news import finding_opened

    heard: list[str] = []

    def hear(finding: Finding, **_: object) -> None:
        heard.append(finding.dedupe_key)

    finding_opened.connect(hear, weak=False, dispatch_uid="test-health")
    try:
        with django_capture_on_commit_callbacks(execute=True):
            world.poll()
            world.kafka.lose(2)
            world.poll()
            world.poll()
    finally:
        finding_opened.disconnect(dispatch_uid="test-health")
    found = Finding.objects.get(dedupe_key=f"health:{world.cluster.pk}:brokers_down")
    assert (found.severity, found.cluster, found.inputs["signal"]) == ("critical", world.cluster, "brokers_down")
    assert heard.count(found.dedupe_key) == 1


def test_a_planned_reassignment_does_not_alarm(world: World) -> None:
    world.kafka.topic("small", partitions=3, replicas=2)
    world.poll()
    world.kafka.topics["small"][0] = (1, (1, 2, 3), (1, 2))
    world.poll()

    assert world.signal("under_replicated").state is Health.OK
    assert "reassignment" in world.signal("under_replicated").reason
    assert "reassignment_started" in world.events()
    assert world.view().figures["reassigning"] == 1

    world.kafka.topics["small"][0] = (2, (2, 3), (2, 3))
    world.poll()
    assert "reassignment_ended" in world.events()


def test_offline_partitions_name_their_topics(world: World) -> None:
    world.poll()
    leader, replicas, _ = world.kafka.topics["payments"][0]
    assert leader is not None
    world.kafka.topics["payments"][0] = (None, replicas, ())
    world.poll()

    row = world.signal("offline_partitions")
    assert (row.state, row.value) == (Health.CRITICAL, 1.0)
    assert "payments (1)" in row.reason


def test_without_the_right_to_read_settings_min_isr_is_unknown(world: World) -> None:
    world.kafka.no_configs = True
    world.poll()

    assert world.signal("under_min_isr").state is Health.UNKNOWN
    assert "may not read" in world.signal("under_min_isr").reason
    assert world.view().verdict is Health.UNKNOWN


def test_brokers_that_refuse_their_settings_are_not_asked_in_every_run(world: World) -> None:
    asked: list[set[int]] = []

    def refuse(ids: Collection[int], deadline: Deadline) -> Configs:
        asked.append(set(ids))
        return Configs({}, tuple(EntityError(f"broker:{broker}", "not_allowed", "Not allowed.") for broker in ids))

    world.kafka.broker_configs = refuse  # type: ignore[method-assign]  # this cluster permits less
    world.poll()
    world.poll()
    assert asked == [{1, 2, 3}]


def test_stale_states_are_unknown(world: World) -> None:
    world.poll()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE clusters_signalstate SET observed_at = observed_at - interval '1 minute'")

    row = world.signal("brokers_down")
    assert (row.state, row.stale) == (Health.UNKNOWN, True)
    assert "too old" in row.reason


def test_topics_show_layout_settings_and_offsets(world: World) -> None:
    world.poll()
    rows, total = topic_rows(world.user, world.cluster)
    view = topic_view(world.user, world.cluster, "orders")

    assert ([row.topic for row in rows], total) == (["orders", "payments"], 2)
    assert view is not None
    assert view.partitions[1].replicas == (2, 3, 1)
    assert (view.partitions[0].start, view.partitions[0].end) == (10, 100)
    assert view.settings["retention.ms"] == "604800000"
    assert view.leaders == {1: 2, 2: 2, 3: 2}


def test_a_topic_is_written_only_when_it_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.poll()
    before = {row.name: row.settings_at for row in TopicHealth.objects.all()}
    world.kafka.topics["orders"][0] = (2, *world.kafka.topics["orders"][0][1:])
    world.poll()

    after = {row.name: row.settings_at for row in TopicHealth.objects.all()}
    assert (after["payments"], after["orders"] == before["orders"]) == (before["payments"], False)


def test_a_vanished_topic_is_removed(world: World) -> None:
    world.poll()
    del world.kafka.topics["payments"]
    world.poll()

    assert [row.name for row in TopicHealth.objects.all()] == ["orders"]
    assert "topic_deleted" in world.events()


def test_another_workers_writes_are_noticed(world: World) -> None:
    world.poll()
    first = health_brokers._kept.copy()
    world.kafka.topics["orders"][0] = (2, *world.kafka.topics["orders"][0][1:])
    health_brokers._kept.clear()
    world.poll()
    world.kafka.topics["orders"][0] = (1, *world.kafka.topics["orders"][0][1:])
    health_brokers._kept.update(first)
    world.poll()

    assert TopicHealth.objects.get(name="orders").layout[0][1] == 1


def test_a_new_worker_knows_the_brokers_that_are_down(world: World) -> None:
    world.poll()
    world.kafka.lose(2)
    world.poll()
    health_brokers._kept.clear()
    world.poll()

    assert world.signal("brokers_down").value == 1.0
    assert world.events().count("broker_down") == 1


def test_a_broker_taken_out_of_service_is_forgotten(world: World) -> None:
    world.poll()
    world.kafka.brokers = world.kafka.brokers[:2]
    for layout in world.kafka.topics.values():
        for number in layout:
            layout[number] = (1, (1, 2), (1, 2))
    world.poll()
    assert world.signal("brokers_down").value == 1.0
    world.poll(seconds=700)
    assert world.signal("brokers_down").value == 0.0


Step = Callable[[World], None]


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        (lambda world: None, True),
        (lambda world: world.kafka.canaries.append(None), False),
        (lambda world: world.kafka.topics["orders"].update({0: (None, (1, 2, 3), ())}), False),
    ],
    ids=["well", "refused", "offline"],
)
def test_availability_counts_seconds_with_leaders_and_an_acknowledged_canary(
    world: World, fault: Step, met: bool
) -> None:
    HealthSettings.objects.create(cluster=world.cluster, canary_topic="canary")
    world.poll()
    fault(world)
    world.poll()

    count = PlatformSloCount.objects.get(slo="availability")
    assert (count.good, count.bad) == pytest.approx((5.0, 0.0) if met else (0.0, 5.0), abs=0.01)
    row = next(one for one in platform_slos(world.user, world.cluster) if one.slo.id == "availability")
    assert row.met is met


def test_without_a_canary_availability_cannot_be_told(world: World) -> None:
    world.poll()
    world.poll()

    count = PlatformSloCount.objects.get(slo="availability")
    assert (count.good, count.bad, count.unknown) == pytest.approx((0.0, 0.0, 5.0), abs=0.01)


def test_a_time_nobody_watched_is_not_counted(world: World) -> None:
    HealthSettings.objects.create(cluster=world.cluster, canary_topic="canary")
    world.poll()
    world.poll(seconds=100)

    counts = PlatformSloCount.objects.filter(slo="availability")
    assert sum(count.good for count in counts) == pytest.approx(15, abs=0.01)
    assert sum(count.unknown for count in counts) == pytest.approx(85, abs=0.01)


def test_who_may_not_see_clusters_sees_nothing(world: World) -> None:
    world.poll()
    viewer = make_user(Role.ACCOUNT_MANAGER, "manager")

    assert cluster_health(viewer, world.cluster) is None
    assert topic_rows(viewer, world.cluster) == ((), 0)
    assert platform_slos(viewer, world.cluster) == ()
    assert ClusterHealth.objects.count() == 1
