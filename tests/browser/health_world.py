"""The health of the world's cluster: three brokers that fall and return, and figures as Prometheus would give them."""

from django.db import transaction

from clusters.health.judge import Reading
from clusters.health.states import Source as Kind
from clusters.models import Cluster, ClusterHealth, SignalState, Source
from clusters.services.health_brokers import poll_brokers
from clusters.services.health_store import health_locked, signals_store
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from tests.clusters.health.fakes import FakeBrokers, poll_of
from tests.fake_kafka import StandingClock

PERIOD = 60


class HealthWorld:
    """`read` polls once; a broker that is lost stays lost until it is restored."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        for kind in Kind:
            Source.objects.create(cluster=cluster, kind=kind.value, period_seconds=PERIOD)
        Cluster.objects.filter(pk=cluster.pk).update(prometheus_url="http://127.0.0.1:9090")
        cluster.refresh_from_db()
        self.clock = StandingClock(database_clock().now())
        self.kafka = FakeBrokers(self.clock)
        for name in (
            "trades.execution",
            "risk.alerts",
            "a.topic.whose.name.is.as.long.as.topics.of.a.large.company.get.to.be",
        ):
            self.kafka.topic(name)
        self.read()

    def read(self) -> None:
        self.clock.pass_time(max(0.001, database_clock().now() - self.clock.now()))
        poll_brokers(poll_of(self.cluster, "brokers", self.clock, self.kafka, PERIOD))
        self._figures()

    @transaction.atomic
    def _figures(self) -> None:
        at = self.clock.now()
        health = health_locked(self.cluster)
        readings = {
            "produce_p95": Reading(
                {f"broker {n}": 4.0 + n for n in (1, 2, 3)},
                query='max by (instance) (kafka_produce_total_ms{quantile="0.95"})',
            ),
            "disk_free": Reading({f"broker {n} /data": 0.2 * n for n in (1, 2, 3)}, query="disk"),
            "handler_idle": Reading(missing="This exporter does not export handler_idle."),
            "metadata_lag": Reading({f"broker {n}": 300.0 for n in (1, 2, 3)}, query="max(lag)"),
            "active_controller": Reading({"": 1.0}, query="sum(active)"),
            "exporters_missing": Reading({"": 0.0}, query="count(up)"),
        }
        signals_store(cluster=self.cluster, health=health, source=Kind.PROMETHEUS, readings=readings, at=at)
        health.prometheus_at = as_datetime(at)
        health.dialect = "jmx"
        health.broker_figures = {
            str(n): {
                "version": "4.1.0", "started_at": at - 86_400 * n, "idle": 0.9 - 0.3 * n, "cpu_cores": 0.5 * n,
                "memory_bytes": 2.1e9, "bytes_in_rate": 1.2e6 * n, "bytes_out_rate": 3.4e6, "log_bytes": 8e9 * n,
                "disk_mount": "/data", "disk_bytes": 1e11, "disk_free_bytes": 2e10 * n, "disk_free_ratio": 0.2 * n,
                "disk_growth_per_hour": 4e8, "disk_hours": 50.0 * n, "isr_shrink_rate": 0.0, "isr_expand_rate": 0.0,
            }
            for n in (1, 2, 3)
        }  # fmt: skip
        health.performance = {
            "throughput": {"records_in_rate": 81_234.0, "bytes_in_rate": 7.2e6, "bytes_out_rate": 1e7, "produce_rate": 900.0},
            "latency": {"produce": {"p50": 1.2, "p95": 7.0, "p99": 21.0, "p999": 80.0}, "fetch": {"p50": 5.0, "p95": 500.0}},
            "phases": {"requestqueue": 0.4, "local": 6.0, "remote": 14.0, "throttle": 0.0, "responsequeue": 0.1},
            "isr": {"shrink_rate": 0.0, "expand_rate": 0.0},
            "quorum": {"leader": 1, "epoch": 12, "end_offset": 48_211},
            "controller": 1,
            "rest": [
                {"name": "p95", "title": "Latency, 95 of 100", "unit": "ms", "query": "histogram_quantile(0.95, x)", "warn": 300, "critical": 1000, "value": 84.0},
                {"name": "errors", "title": "Errors", "unit": "ratio", "query": "errors / requests", "warn": 0.01, "critical": 0.05, "value": None},
            ],
        }  # fmt: skip
        health.save()

    def age(self) -> None:
        """Everything was read an hour ago."""
        old = as_datetime(database_clock().now() - 3600)
        SignalState.objects.filter(cluster=self.cluster).update(observed_at=old)
        ClusterHealth.objects.filter(cluster=self.cluster).update(brokers_at=old, prometheus_at=old)
