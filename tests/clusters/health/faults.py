"""A real cluster of three brokers as the portal sees it, for tests that break it."""

import contextlib
import html
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient
from django.test import Client

from accounts.roles import Role
from clusters.gateways import kafka_process
from clusters.gateways.connect import kafka_port
from clusters.health.states import Health
from clusters.models import Cluster, HealthEvent, HealthSettings
from clusters.ports import GatewayFailed
from clusters.selectors.health import HealthView, SignalRow, cluster_health
from clusters.services import health_brokers
from clusters.services.health_brokers import poll_brokers
from clusters.services.health_prometheus import poll_prometheus
from clusters.services.schedule import sources_ensure
from clusters.sources import Poll
from ops_portal.lib.clock import Clock
from ops_portal.lib.database import database_clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline, DeadlinePassed
from tests.accounts.factories import make_user
from tests.kafka_fixtures import create_topic

TOPIC, CANARY = "health-faults", "health-canary"
PERIOD = 5.0  # of the source
BAD = (Health.WARNING, Health.CRITICAL)


class World:
    """The portal's view of the cluster. `ahead`: seconds that its polls are ahead, so that what has to last need not be
    waited for."""

    def __init__(self, kafka: KafkaCluster) -> None:
        health_brokers._kept.clear()
        self.kafka = kafka
        self.ahead = 0.0
        self.cluster = Cluster.objects.create(name="faulty", bootstrap=kafka.bootstrap, controllers=kafka.controllers)
        sources_ensure(cluster=self.cluster)
        HealthSettings.objects.create(cluster=self.cluster, canary_topic=CANARY)
        self.user = make_user(Role.SRE, "sre")

    def poll(self) -> HealthView:
        """A run of each source as a worker would do it; that the cluster does not answer is part of what is looked at."""
        with contextlib.suppress(GatewayFailed, DeadlinePassed):
            poll_brokers(self._run("brokers"))
        if self.cluster.prometheus_url:
            with contextlib.suppress(GatewayFailed, DeadlinePassed):
                poll_prometheus(self._run("prometheus"))
        view = cluster_health(self.user, self.cluster)
        assert view is not None
        return view

    def until(self, name: str, *states: Health, seconds: float, step: float = 1.0) -> SignalRow:
        """Poll every `step` seconds until the signal is in one of the states."""
        view = self.eventually(lambda found: signal_of(found, name).state in states, seconds, step)
        return signal_of(view, name)

    def eventually(self, what: Callable[[HealthView], bool], seconds: float, step: float = 1.0) -> HealthView:
        seen: list[HealthView] = []

        def there() -> bool:
            seen[:] = [self.poll()]
            return what(seen[0])

        assert wait_until(there, seconds=seconds, step_seconds=step), seen[0].reasons
        return seen[0]

    def green(self, seconds: float = 120) -> None:
        """Wait until it is ok by itself, as far as the brokers themselves tell.

        Prometheus' signals of the last ten minutes have a test of their own.
        """
        Cluster.objects.filter(pk=self.cluster.pk).update(prometheus_url="")
        self.cluster.refresh_from_db()
        self.ahead = 0.0
        self.eventually(lambda view: view.verdict is Health.OK, seconds)

    def page(self) -> str:
        """The text of the cluster's page as an SRE is given it."""
        browser = Client()
        browser.force_login(self.user)
        answer = browser.get(f"/clusters/{self.cluster.name}")
        assert answer.status_code == 200
        return html.unescape(answer.content.decode())

    def events(self) -> set[str]:
        return set(HealthEvent.objects.filter(cluster=self.cluster).values_list("kind", flat=True))

    def _run(self, kind: str) -> Poll:
        clock = Clock(database_clock().now() + self.ahead)
        return Poll(self.cluster, kind, 1, PERIOD, clock, Deadline.after(10), connect=kafka_port)


def signal_of(view: HealthView, name: str) -> SignalRow:
    return next(row for row in view.signals if row.id == name)


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
