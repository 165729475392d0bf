"""The poll of Prometheus against a server that answers well, badly, late, in part and not at all."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.roles import Role
from clusters.gateways.prometheus import Prometheus, PrometheusFailed
from clusters.health import metrics
from clusters.health.performance import BROKER_QUERIES, CLUSTER_QUERIES, TOPIC_QUERIES
from clusters.health.states import Health
from clusters.models import Cluster, HealthEvent, HealthSettings, PlatformSloCount
from clusters.ports import GatewayFailed
from clusters.promql import Dialect, Target
from clusters.selectors.health import HealthView, SignalRow, cluster_health
from clusters.services import health_brokers
from clusters.services.health_brokers import poll_brokers
from clusters.services.health_prometheus import poll_prometheus
from clusters.services.schedule import sources_ensure
from clusters.signals import SIGNALS
from clusters.sources import RunDropped
from ops_portal.lib.database import database_clock
from ops_portal.lib.resilience import Deadline
from tests.accounts.factories import make_user
from tests.clusters.health.fakes import FakeBrokers, FakePrometheus, poll_of, prometheus, vector
from tests.fake_kafka import StandingClock

pytestmark = pytest.mark.django_db
BYTES_IN = "kafka_server_brokertopicmetrics_bytesin_total"
# Values that leave every signal ok: ratios of what is free or idle are high, everything else is zero.
FINE = {"active_controller": 1.0, "broker_state": 3.0, "exporters_missing": 3.0}
HIGH_IS_FINE = {"handler_idle", "network_idle", "disk_free", "disk_forecast", "host_memory"}


_ASKED = metrics.asked(
    Target(Dialect.JMX, {"cluster": "north"}, {"cluster": "north"}), BROKER_QUERIES | CLUSTER_QUERIES | TOPIC_QUERIES
)
NAMES = {
    query: name for name, query in reversed(list(_ASKED.queries.items()))
}  # a signal's name where both ask the same


def instances() -> list[str]:
    return [f"broker-{n}:7071" for n in (1, 2, 3)]


class World:
    def __init__(self, fake: FakePrometheus) -> None:
        health_brokers._kept.clear()
        self.fake = fake
        self.cluster = Cluster.objects.create(name="north", bootstrap="broker-1:9092", prometheus_url=fake.url)
        sources_ensure(cluster=self.cluster)
        self.clock = StandingClock(database_clock().now())
        self.kafka = FakeBrokers(self.clock)
        self.kafka.topic("orders")
        self.user = make_user(Role.SRE, "sre")
        poll_brokers(poll_of(self.cluster, "brokers", self.clock, self.kafka))
        self.lacking: set[str] = set()
        self.values: dict[str, float | str] = {}
        self.detected = vector(({"__name__": BYTES_IN, "cluster": "north"}, 3.0))
        fake.answer = self.answer

    def answer(self, query: str) -> Any:
        if query.startswith("count by (__name__"):
            return self.detected
        if query.startswith("count by (cluster)"):
            return vector(({"cluster": "north"}, 1.0))
        name = self.name_of(query)
        if name in self.lacking:
            return []
        value = self.values.get(
            name, FINE.get(name, 9000.0 if name == "disk_forecast" else 0.9 if name in HIGH_IS_FINE else 0.0)
        )
        if "by (instance" not in query and name != "states":
            return vector(({}, value))
        return vector(
            *(
                ({"instance": one, "listener": "SASL", "mountpoint": f"/data/{one[7]}", "topic": "orders"}, value)
                for one in instances()
            )
        )

    def name_of(self, query: str) -> str:
        return NAMES.get(query, "")

    def poll(self, seconds: float = 1.0) -> Any:
        self.clock.pass_time(seconds)
        return poll_prometheus(poll_of(self.cluster, "prometheus", self.clock, period=15.0))

    def view(self) -> HealthView:
        view = cluster_health(self.user, self.cluster)
        assert view is not None
        return view

    def signal(self, name: str) -> SignalRow:
        return next(row for row in self.view().signals if row.id == name)


@pytest.fixture
def world() -> Iterator[World]:
    with prometheus(lambda _: []) as fake:
        yield World(fake)


def test_all_is_well_when_every_figure_is(world: World) -> None:
    world.poll()

    view = world.view()
    assert {row.id: row.reason for row in view.signals if row.state is not Health.OK} == {}
    assert view.verdict is Health.OK
    assert view.exporter == "JMX exporter"
    assert set(world.fake.methods) == {"POST"}
    assert all('cluster="north"' in query for query in world.fake.asked if "count by" not in query)


@pytest.mark.parametrize("name", [signal.id for signal in SIGNALS if signal.query])
def test_a_missing_series_is_unknown_and_never_green(world: World, name: str) -> None:
    world.lacking = {name}
    world.poll()

    row = world.signal(name)
    prometheus_says = next(one for one in row.seen if one.source == "prometheus")
    assert prometheus_says.state is Health.UNKNOWN
    if not row.signal.admin:
        assert row.state is Health.UNKNOWN
        assert row.value is None
        assert row.reason


def test_a_figure_that_is_bad_long_enough_counts(world: World) -> None:
    world.values["handler_idle"] = 0.05
    world.poll()
    assert world.signal("handler_idle").state is Health.OK
    assert "critical after 120 s" in world.signal("handler_idle").reason
    world.poll(120)
    world.poll(1)

    row = world.signal("handler_idle")
    assert (row.state, row.value, row.entity) == (Health.CRITICAL, 0.05, "broker 1")
    assert "2 more likewise" in row.reason


def test_nan_is_no_number(world: World) -> None:
    world.values["metadata_lag"] = "NaN"
    world.values["network_idle"] = "+Inf"
    world.poll()

    assert world.signal("metadata_lag").state is Health.UNKNOWN
    assert "NaN" in world.signal("metadata_lag").reason
    assert world.signal("network_idle").state is Health.UNKNOWN


def test_a_broker_without_a_figure_is_named(world: World) -> None:
    whole = world.answer

    def without_two(query: str) -> Any:
        rows = whole(query)
        return rows[:1] + rows[2:] if world.name_of(query) == "network_idle" else rows

    world.fake.answer = without_two
    world.poll()

    assert world.signal("network_idle").state is Health.UNKNOWN
    assert "no figure of broker 2" in world.signal("network_idle").reason


def test_frozen_metadata_makes_partitions_unknown(world: World) -> None:
    world.values["metadata_lag"] = 21_000
    world.poll()

    assert world.signal("metadata_lag").state is Health.CRITICAL
    assert world.signal("under_replicated").state is Health.UNKNOWN
    assert "stands still" in world.signal("offline_partitions").reason


def test_the_worse_of_two_sources_counts(world: World) -> None:
    world.values["under_replicated"] = 7
    world.poll()

    row = world.signal("under_replicated")
    assert (row.state, row.value) == (Health.CRITICAL, 7.0)
    assert "Kafka's metadata says 0" in row.reason


def test_of_two_sources_that_agree_the_one_that_names_brokers_is_heard(world: World) -> None:
    world.poll()
    world.kafka.lose(2)
    poll_brokers(poll_of(world.cluster, "brokers", world.clock, world.kafka))
    world.values["under_replicated"] = 6.0
    world.poll()  # later than the metadata

    row = world.signal("under_replicated")
    assert {one.state for one in row.seen} == {Health.CRITICAL}
    assert "Broker 2 (down) lags in 6" in row.reason


def test_several_clusters_without_a_name_of_ours_are_not_guessed(world: World) -> None:
    world.detected = vector(
        ({"__name__": BYTES_IN, "cluster": "east"}, 3.0), ({"__name__": BYTES_IN, "cluster": "west"}, 3.0)
    )
    world.poll()

    assert world.signal("produce_p99").state is Health.UNKNOWN
    assert "east, west" in world.signal("produce_p99").reason
    HealthSettings.objects.create(cluster=world.cluster, matchers={"cluster": "west"})
    world.fake.asked.clear()
    world.poll()
    asked = [query for query in world.fake.asked if "count by" not in query and "node_" not in query]
    assert asked
    assert all('cluster="west"' in query for query in asked)


def test_no_series_at_all_is_said(world: World) -> None:
    world.detected = []
    world.poll()

    assert "no series of Kafka brokers" in world.signal("produce_p99").reason


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((503, b"not ready"), "unavailable", "not ready"),
        ((429, b"slow down"), "too_many_requests", "too often"),
        ((401, b""), "not_allowed", "sign-in"),
        ((200, b'{"status":"success","data":{"result":[{"metric"'), "malformed", "cut off"),
        ((200, b"<html>a proxy</html>"), "malformed", "not the JSON"),
        ((400, b'{"status":"error","errorType":"bad_data","error":"parse error"}'), "refused_query", "parse error"),
        ((200, b'{"status":"success","data":{"result":[{"metric":{}}]}}'), "protocol", "form"),
    ],
    ids=["503", "429", "401", "truncated", "html", "refused", "odd"],
)
def test_a_server_that_does_not_answer_as_prometheus_fails_the_run(
    world: World, answer: Any, code: str, words: str
) -> None:
    world.fake.answer = lambda _: answer

    with pytest.raises(GatewayFailed, match=words) as failed:
        world.poll()
    assert failed.value.code == code
    assert world.signal("produce_p99").state is Health.UNKNOWN
    assert world.signal("brokers_down").state is Health.OK


def test_one_query_that_fails_costs_no_other_its_answer(world: World) -> None:
    whole = world.answer
    world.fake.answer = lambda query: (422, b"{}") if world.name_of(query) == "gc_time" else whole(query)
    outcome = world.poll()

    assert world.signal("gc_time").state is Health.UNKNOWN
    assert "The query failed" in world.signal("gc_time").reason
    assert world.signal("heap").state is Health.OK
    assert [error.entity for error in outcome.errors] == ["query:gc_time"]


def test_warnings_of_a_partial_answer_are_kept_and_told(world: World) -> None:
    world.fake.warnings = ["store north-2 is not reachable"]
    outcome = world.poll()

    assert any("north-2" in error.message for error in outcome.errors)
    assert world.view().warnings == ("store north-2 is not reachable",)
    assert "answered in part" in world.signal("heap").reason


def test_a_slow_server_ends_at_the_deadline() -> None:
    with (
        prometheus(lambda _: 20.0) as fake,
        Prometheus(fake.url, Deadline.after(0.5)) as client,
        pytest.raises(PrometheusFailed) as failed,
    ):
        client.query("1")
    assert failed.value.code == "timeout"


def test_without_prometheus_its_signals_say_so(world: World) -> None:
    Cluster.objects.filter(pk=world.cluster.pk).update(prometheus_url="")
    world.cluster.refresh_from_db()

    with pytest.raises(RunDropped):
        world.poll()
    assert "No Prometheus is set" in world.signal("produce_p99").reason
    assert world.view().verdict is Health.OK


def test_restarts_and_new_controllers_are_events(world: World) -> None:
    world.values |= {"b_started": 1000.0, "raft_leader": 1.0}
    world.poll()
    world.values |= {"b_started": 2000.0, "raft_leader": 2.0}
    world.poll()

    kinds = list(HealthEvent.objects.values_list("kind", flat=True))
    assert kinds.count("broker_restarted") == 3
    assert kinds.count("controller_moved") == 1
    assert world.view().controller == 2


def test_targets_of_the_platform_are_counted_by_the_slowest_broker(world: World) -> None:
    world.poll()
    world.values |= {"produce_p95": 25.0}
    world.poll(15)

    counts = {
        row.slo: (round(row.good), round(row.bad)) for row in PlatformSloCount.objects.exclude(slo="availability")
    }
    assert counts == {"produce_p95": (0, 15), "produce_p99": (15, 0), "replication_lag": (15, 0)}


def test_the_rest_tier_is_read_by_its_own_queries(world: World) -> None:
    HealthSettings.objects.create(
        cluster=world.cluster, rest_queries=[{"name": "p99", "title": "Latency", "query": "rest_p99", "unit": "ms"}]
    )
    whole = world.answer
    world.fake.answer = lambda query: (
        vector(({"path": "/a"}, 4), ({"path": "/b"}, 9)) if query == "rest_p99" else whole(query)
    )
    world.poll()

    assert [(row["name"], row["value"]) for row in world.view().rest] == [("p99", 9.0)]


def test_the_heavy_client_is_not_loaded_before_its_first_use() -> None:
    words = "import django, os; os.environ['DJANGO_SETTINGS_MODULE']='ops_portal.settings.test'; django.setup(); import sys; print('pandas' in sys.modules, 'prometheus_api_client.prometheus_connect' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "False False", found.stderr
