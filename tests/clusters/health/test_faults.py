"""Real brokers that die: what the health of the cluster says, how soon, and that it returns to green by itself."""

import contextlib
import time
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient

from accounts.roles import Role
from clusters.gateways import kafka_process
from clusters.gateways.connect import kafka_port
from clusters.health.states import Health
from clusters.models import Cluster, HealthEvent, HealthSettings
from clusters.ports import GatewayFailed
from clusters.selectors.health import HealthView, SignalRow, cluster_health
from clusters.selectors.platform_slos import canary_of
from clusters.services import health_brokers
from clusters.services.health_brokers import poll_brokers
from clusters.services.schedule import sources_ensure
from clusters.sources import Poll
from ops_portal.lib.database import database_clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline, DeadlinePassed
from tests.accounts.factories import make_user
from tests.kafka_fixtures import create_topic

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

TOPIC, CANARY = "health-faults", "health-canary"
PERIOD = 5.0
DETECT_SECONDS = 15.0


class World:
    def __init__(self, kafka: KafkaCluster) -> None:
        health_brokers._kept.clear()
        self.kafka = kafka
        self.cluster = Cluster.objects.create(name="faulty", bootstrap=kafka.bootstrap, controllers=kafka.controllers)
        sources_ensure(cluster=self.cluster)
        HealthSettings.objects.create(cluster=self.cluster, canary_topic=CANARY)
        self.user = make_user(Role.SRE, "sre")

    def poll(self) -> HealthView:
        """One run as a worker would do it; that the cluster does not answer is part of what is looked at."""
        run = Poll(self.cluster, "brokers", 1, PERIOD, database_clock(), Deadline.after(10), connect=kafka_port)
        with contextlib.suppress(GatewayFailed, DeadlinePassed):
            poll_brokers(run)
        view = cluster_health(self.user, self.cluster)
        assert view is not None
        return view

    def until(self, name: str, state: Health, seconds: float) -> SignalRow:
        """Poll at the source's period until the signal is in the state."""
        seen: list[SignalRow] = []

        def there() -> bool:
            seen[:] = [row for row in self.poll().signals if row.id == name]
            return seen[0].state is state

        assert wait_until(there, seconds=seconds, step_seconds=PERIOD), (seen[0].state, seen[0].reason)
        return seen[0]

    def green(self, seconds: float = 120) -> None:
        seen: list[HealthView] = []

        def well() -> bool:
            seen[:] = [self.poll()]
            return seen[0].verdict is Health.OK

        assert wait_until(well, seconds=seconds, step_seconds=1), seen[0].reasons


@pytest.fixture
def world(kafka_cluster3: KafkaCluster) -> Iterator[World]:
    admin = AdminClient({"bootstrap.servers": kafka_cluster3.bootstrap})
    assert wait_until(lambda: len(admin.list_topics(timeout=10).brokers) == 3, seconds=60)
    for name in (TOPIC, CANARY):
        if name not in admin.list_topics(timeout=10).topics:
            create_topic(admin, name, 6 if name == TOPIC else 1, 3, {"min.insync.replicas": "2"})
    made = World(kafka_cluster3)
    made.green()
    yield made
    kafka_process.end_children(made.cluster.pk)
    assert wait_until(lambda: all(child.lost for child in kafka_process._ending), seconds=30)


def test_a_killed_broker_is_named_within_fifteen_seconds_and_its_return_is_seen(world: World) -> None:
    killed_at = time.monotonic()
    world.kafka.kill(2)
    down = world.until("brokers_down", Health.CRITICAL, DETECT_SECONDS)

    assert time.monotonic() - killed_at < DETECT_SECONDS + 1
    assert "Broker 2" in down.reason
    under = world.until("under_replicated", Health.CRITICAL, 30)
    assert "Broker 2 (down) lags in" in under.reason

    world.kafka.restart(2)
    world.green()
    kinds = list(HealthEvent.objects.order_by("pk").values_list("kind", flat=True))
    assert {"broker_down", "leaders_moved", "isr_shrunk", "broker_up", "isr_expanded"} <= set(kinds)


def test_the_loss_of_the_quorum_is_unknown_not_zero(world: World) -> None:
    world.kafka.kill(2)
    world.kafka.kill(3)
    row = world.until("offline_partitions", Health.UNKNOWN, DETECT_SECONDS)

    assert row.value is None
    view = world.poll()
    assert view.verdict is Health.CRITICAL
    assert next(one for one in view.signals if one.id == "brokers_down").value == 2.0
    canary = canary_of(world.user, world.cluster)
    assert canary is not None
    assert canary.seconds is None
    assert canary.error
    world.kafka.restart(2)
    world.kafka.restart(3)
    world.green()


def test_a_broker_that_hangs_is_seen_by_its_replicas(world: World) -> None:
    world.kafka.pause(3)
    try:
        row = world.until("under_replicated", Health.CRITICAL, 60)
        assert "Broker 3" in row.reason
    finally:
        world.kafka.resume(3)
    world.green()
