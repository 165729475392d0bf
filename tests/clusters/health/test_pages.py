"""Pages of health: what they say of a cluster that is well, ill, silent, half known, or not theirs to see."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Client as ClientRow
from accounts.roles import Role
from clusters.health.judge import bad_as
from clusters.health.states import Health
from clusters.models import Cluster, ClusterHealth, HealthEvent, SignalState, Source, Topic
from clusters.services import health_brokers
from clusters.signals import BY_ID, SIGNALS
from lag.models import ConsumerGroup
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from tests.accounts.factories import make_user
from tests.clusters.health.test_brokers import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    health_brokers._kept.clear()
    return World()


@pytest.fixture
def sre(client: Client, world: World) -> Client:
    client.force_login(world.user)
    return client


def page(client: Client, path: str = "/clusters/north") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return re.sub(r"[ \n]+", " ", answer.content.decode())


def part(html: str, name: str) -> str:
    """The markup from the element of that id on, up to the next that is refreshed."""
    start = html.index(f'id="{name}"')
    return html[start : html.find("data-refresh", start + len(name) + 60)]


def test_a_cluster_that_was_never_read_says_so_and_shows_nothing_green(sre: Client) -> None:
    html = page(sre)
    assert "Nothing has been read yet" in html
    assert "tone-ok" not in html


def test_a_healthy_cluster_shows_its_verdict_first_and_what_cannot_be_told(sre: Client, world: World) -> None:
    world.poll()
    html = page(sre)
    assert html.index("Healthy") < html.index("Brokers up") < html.index("All signals")
    assert "No Prometheus is set for this cluster." in html
    assert "broker-2:9092" in html
    assert "rack-2" in html
    assert "Every replica of every partition is in sync" in html


def test_every_signal_stands_on_the_page_with_threshold_and_runbook(sre: Client, world: World) -> None:
    world.poll()
    html = page(sre)
    for signal in SIGNALS:
        assert f'id="signal-{signal.id}"' in html
        assert f"/docs/health#{signal.id}" in html
        assert reverse("clusters:health-figure", args=["north", signal.id]) in html


def test_every_runbook_link_leads_to_a_place_in_the_documentation(sre: Client) -> None:
    html = page(sre, "/docs/health")
    assert [signal.id for signal in SIGNALS if f'id="{signal.id}"' not in html] == []


def test_a_signal_without_a_series_is_unknown_and_never_green(sre: Client, world: World) -> None:
    world.poll()
    html = page(sre)
    line = part(html, "s-produce_p95")
    assert "tone-unknown" in line
    assert "tone-ok" not in line
    assert 'class="unknown"' in line


def test_a_lost_broker_is_named_with_reason_query_and_partitions(sre: Client, world: World) -> None:
    world.poll()
    world.kafka.lose(2)
    world.poll()
    html = page(sre)
    verdict = part(html, "verdict")
    assert "Critical" in verdict
    assert "2 (broker-2:9092)" in verdict
    assert "brokers that hold replicas or were seen before" in verdict  # what was read
    lagging = part(html, "lagging")
    assert "orders" in lagging
    assert "broker 2" in lagging
    assert "Broker down" in part(html, "events")
    assert "(" in html[html.index("<title>") : html.index("</title>")]  # the tab counts what is red


def test_stale_metadata_is_unknown_on_the_whole_page(sre: Client, world: World) -> None:
    world.poll()
    old = as_datetime(database_clock().now() - 3600)
    SignalState.objects.update(observed_at=old)
    ClusterHealth.objects.update(brokers_at=old)
    Source.objects.filter(kind="brokers").update(last_error="connection refused by broker-1:9092")
    html = page(sre)
    assert "Cannot be told" in part(html, "verdict")
    assert "connection refused by broker-1:9092" in html
    assert "tone-ok" not in part(html, "brokers")
    assert "Every replica of every partition is in sync" not in html


def test_values_of_prometheus_stand_in_their_units(sre: Client, world: World) -> None:
    world.poll()
    Cluster.objects.update(prometheus_url="http://127.0.0.1:9090")
    now = as_datetime(database_clock().now())
    ClusterHealth.objects.update(
        prometheus_at=now,
        broker_figures={"1": {"memory_bytes": 2.5e9, "idle": 0.05, "disk_free_ratio": 0.5, "cpu_cores": 1.5}},
        performance={
            "throughput": {"records_in_rate": 81_234.0},
            "latency": {"produce": {"p50": 1.0, "p95": 4.25, "p99": 12.0, "p999": 80.0}},
            "phases": {"local": 3.0, "remote": 1.5},
        },
    )
    html = page(sre)
    assert "2.5\u202fGB" in part(html, "brokers")
    assert "meter--critical" in part(html, "brokers")
    assert "4.25\u202fms" in part(html, "latency")
    assert "3\u202fms" in part(html, "phases")


@pytest.mark.parametrize(("skew", "tone"), [(0.09, ""), (0.10, "warning"), (-0.15, "warning"), (0.20, "critical")])
def test_skew_is_amber_from_ten_percent_and_red_from_twenty(skew: float, tone: str) -> None:
    from clusters.templatetags.health_tags import skew as shown

    html = shown(skew)
    assert (f"tone-{tone}" in html) if tone else "tone-" not in html


def test_a_history_is_a_figure_with_thresholds_gaps_and_shaded_trouble(sre: Client, world: World) -> None:
    world.clock.pass_time(-60)
    world.poll()
    world.kafka.lose(2)
    world.poll()
    figure: dict[str, Any] = sre.get("/clusters/north/signals/under_replicated/figure?range=1h").json()
    assert [trace["connectgaps"] for trace in figure["data"]] == [False]
    names = {shape["name"] for shape in figure["layout"]["shapes"]}
    assert {"--status-warn", "--status-crit", "--status-crit-wash"} <= names
    assert None in figure["data"][0]["y"]
    assert sre.get("/clusters/north/signals/produce_p95/figure").json() == {"data": [], "layout": {}}
    assert sre.get("/clusters/north/signals/nothing/figure").status_code == 404
    assert sre.get("/clusters/nowhere/signals/under_replicated/figure").status_code == 404


def test_targets_tell_what_is_met_and_what_cannot_be_told(sre: Client, world: World) -> None:
    world.poll()
    html = page(sre, "/targets")
    assert "Availability" in html
    assert "No canary topic is set" in html
    assert "tone-ok" not in html
    assert "no second has been counted yet" in html
    assert "No Prometheus is set" in html


def test_figures_of_the_rest_tier_have_a_state_only_where_limits_are_set(sre: Client, world: World) -> None:
    world.poll()
    Cluster.objects.update(prometheus_url="http://127.0.0.1:9090")
    rest = [
        {"name": "p95", "title": "Latency", "unit": "ms", "query": "up", "warn": 100, "critical": 500, "value": 120.0},
        {
            "name": "hits",
            "title": "Cache hits",
            "unit": "ratio",
            "query": "up",
            "warn": 0.8,
            "critical": 0.5,
            "value": 0.4,
        },
        {
            "name": "gone",
            "title": "Connections",
            "unit": "count",
            "query": "up",
            "warn": None,
            "critical": None,
            "value": None,
        },
    ]
    ClusterHealth.objects.update(prometheus_at=as_datetime(database_clock().now()), performance={"rest": rest})
    html = part(page(sre, "/targets"), "rr-north")
    assert re.findall(r"pill tone-(\w+)", html) == ["warning", "critical"]
    assert html.count("the query gave no figure") == 1  # unknown in place of the value, and never a zero


def test_one_cluster_is_shown_at_once_and_several_are_listed_worst_first(sre: Client, world: World) -> None:
    world.poll()
    assert sre.get("/clusters").headers["Location"] == "/clusters/north"
    Cluster.objects.create(name="south", bootstrap="127.0.0.1:1")
    html = page(sre, "/clusters")
    assert html.index(">south<") < html.index(">north<")


@pytest.mark.parametrize("role", [Role.CLIENT, Role.ACCOUNT_MANAGER])
def test_clients_and_account_managers_see_no_broker(client: Client, world: World, role: Role) -> None:
    world.poll()
    client.force_login(make_user(role, "somebody"))
    for path in ("/clusters", "/clusters/north", "/clusters/north/signals/brokers_down/figure", "/targets"):
        assert client.get(path).status_code == 403
    home = client.get("/").content.decode()
    assert "Brokers" not in home
    assert "/clusters/north" not in home


def test_an_absent_cluster_is_not_found(sre: Client) -> None:
    assert sre.get("/clusters/nowhere").status_code == 404


def test_events_tell_how_finely_they_are_known(sre: Client, world: World) -> None:
    world.poll()
    now = database_clock().now()
    HealthEvent.objects.create(
        cluster=world.cluster,
        kind="unclean_election",
        at_earliest=as_datetime(now - 5),
        at=as_datetime(now),
        text="Two.",
    )
    html = part(page(sre), "events")
    assert "Unclean election" in html
    assert "tone-text--critical" in html
    assert "within 5\u202fs" in html


def test_the_verdict_is_told_in_words_shape_and_colour(sre: Client, world: World) -> None:
    world.poll()
    line = part(page(sre), "s-offline_partitions")
    assert "tone-ok" in line
    assert "#i-ok" in line
    assert f">{Health.OK.label}<" in line or "</svg>ok<" in line


def test_a_share_that_is_whole_again_is_fine_however_near_to_one_its_threshold_is() -> None:
    assert bad_as(BY_ID["quorum_reachable"], 1.0, was=Health.WARNING) is Health.OK
    assert bad_as(BY_ID["disk_free"], 0.26, was=Health.WARNING) is Health.WARNING  # a tenth beyond the threshold


def test_the_home_page_tells_of_brokers_to_those_who_may_see_them(sre: Client, world: World) -> None:
    world.poll()
    world.kafka.lose(2)
    world.poll()
    html = page(sre, "/")
    line = html[html.index('class="health-line"') :]
    assert "/clusters/north" in line
    assert "tone-critical" in line
    assert "broker-2:9092" in line


def test_the_topic_page_joins_layout_settings_and_readers(sre: Client, client: Client, world: World) -> None:
    world.poll()
    world.kafka.lose(2)
    world.poll()
    topic = Topic.objects.create(cluster=world.cluster, name="orders", partitions=6)
    html = page(sre, "/topics/north/orders")
    assert "Nobody reads this topic" in html
    assert "not in sync" in part(html, "topic-partitions")
    assert "broker 2" in part(html, "topic-partitions")
    assert "Configuration" in html
    topic.client = ClientRow.objects.create(name="Northgate Capital")
    topic.save()
    now = as_datetime(database_clock().now())
    ConsumerGroup.objects.create(
        cluster=world.cluster,
        name="northgate-orders",
        client=topic.client,
        severity=0,
        verdict_since=now,
        observed_at=now,
    )
    viewer = make_user(Role.CLIENT, "viewer", [topic.client])
    client.force_login(viewer)
    html = page(client, "/topics/north/orders")
    assert "Replication and storage" not in html
    assert "broker" not in html.lower().replace("the broker has none", "")
