"""One cluster in the words of each exporter: the same health, and unknown for what an exporter does not say.

The pages are real scrapes (`scrapes/README.md`) and go through a real Prometheus.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters.gateways.prometheus import Prometheus
from clusters.health import metrics
from clusters.health.judge import Judged, Reading, judge
from clusters.health.metrics import Known
from clusters.health.names import METRICS
from clusters.health.performance import BROKER_QUERIES, CLUSTER_QUERIES, TOPIC_QUERIES, broker_figures, performance_of
from clusters.health.states import Health
from clusters.promql import Dialect, Target, detection, dialect_of, filled
from clusters.signals import BY_ID
from ops_portal.lib.resilience import Deadline
from tests.clusters.health.dialects import (
    OWN_RULES,
    RULES,
    Scrape,
    have_prometheus,
    recorded,
    rendered,
    served,
    written,
)

SCRAPED = ("jmx-own", "jmx-official", "strimzi")
STATES = ("healthy", "broker-3-down")
RENDERED = {"beans-own": OWN_RULES, "beans-confluent": RULES / "confluent.yml", "beans-bitnami": RULES / "bitnami.yml"}
DIALECTS = {
    "jmx-own": Dialect.JMX, "jmx-official": Dialect.JMX, "strimzi": Dialect.REPORTER, "beans-own": Dialect.JMX,
    "beans-confluent": Dialect.CONFLUENT, "beans-bitnami": Dialect.BITNAMI,
}  # fmt: skip
PLACES = [*((kind, state) for kind in SCRAPED for state in STATES), *((kind, "healthy") for kind in RENDERED)]
BROKERS = {1: "127.0.0.1", 2: "127.0.0.1", 3: "127.0.0.1"}

if not have_prometheus() and not os.environ.get("CI"):
    pytest.skip("prometheus and promtool are not installed", allow_module_level=True)


def pages(kind: str, state: str) -> dict[int, Scrape]:
    return {1: rendered(RENDERED[kind])} if kind in RENDERED else recorded(kind, state)


@pytest.fixture(scope="module")
def at() -> float:
    return time.time() // 60 * 60 - 120  # a block may not reach into the future


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, at: float) -> Iterator[str]:
    def samples() -> Iterator[tuple[str, str, float, float]]:
        for kind, state in PLACES:
            by_instance = {f"127.0.0.1:1707{broker}": page for broker, page in pages(kind, state).items()}
            yield from written(by_instance, f"{kind}/{state}", at)

    with served(samples(), tmp_path_factory.mktemp("prometheus")) as found:
        yield found


class Seen:
    """A cluster as the poll of Prometheus would read it at the time of the scrapes."""

    def __init__(self, url: str, kind: str, state: str, at: float) -> None:
        target = Target(DIALECTS[kind], {"cluster": f"{kind}/{state}"})
        self.asked = metrics.asked(target, BROKER_QUERIES | CLUSTER_QUERIES | TOPIC_QUERIES)
        down = frozenset({3}) if state == "broker-3-down" else frozenset()
        self.known = Known({1: "127.0.0.1"} if kind in RENDERED else BROKERS, down)
        with Prometheus(url, Deadline.after(100)) as prometheus:
            self.samples = {name: prometheus.query(query, at=at) for name, query in self.asked.queries.items()}
        self.instances = metrics.instances_of(self.samples["states"], self.samples.get("ids", ()), self.known)
        self.judged = {name: judge(BY_ID[name], reading, {}, at) for name, reading in self._readings().items()}

    def _readings(self) -> dict[str, Reading]:
        found = {}
        for name, signal in BY_ID.items():
            if name in self.asked.missing:
                found[name] = Reading(missing=self.asked.missing[name])
            elif name == "exporters_missing":
                found[name] = metrics.exporters_missing(self.samples[name], "", self.known)
            elif name in self.asked.queries:
                found[name] = metrics.reading(signal, "", self.samples[name], self.instances, self.known)
        return found

    def figures(self) -> dict[int, dict[str, object]]:
        return broker_figures(self.samples, self.instances, self.known)

    def performance(self) -> dict[str, object]:
        return performance_of(self.samples, self.instances, [], {}, 0.0)


@pytest.fixture(scope="module")
def seen(url: str, at: float) -> dict[tuple[str, str], Seen]:
    return {(kind, state): Seen(url, kind, state, at) for kind, state in PLACES}


@pytest.mark.parametrize("kind", DIALECTS)
def test_the_dialect_is_found_out_by_one_query(url: str, at: float, kind: str) -> None:
    with Prometheus(url, Deadline.after(30)) as prometheus:
        found = prometheus.query(detection("cluster"), at=at)
    names = {one.labels["__name__"]: one.value or 0.0 for one in found if one.labels["cluster"] == f"{kind}/healthy"}

    assert dialect_of(names) is DIALECTS[kind]


def same(first: Judged, second: Judged, *, values: bool) -> bool:
    return first.state is second.state and (
        not values or first.value == pytest.approx(second.value, rel=1e-6, abs=1e-9)
    )


@pytest.mark.parametrize("kind", ["beans-confluent", "beans-bitnami"])
def test_the_same_beans_in_other_words_give_the_same_health(seen: dict[tuple[str, str], Seen], kind: str) -> None:
    mine, theirs = seen["beans-own", "healthy"].judged, seen[kind, "healthy"].judged
    different = {
        name: (mine[name].value, theirs[name].value, theirs[name].reason)
        for name in theirs
        if theirs[name].state is not Health.UNKNOWN and not same(mine[name], theirs[name], values=True)
    }
    assert different == {}
    told = [name for name, found in theirs.items() if found.state is not Health.UNKNOWN]
    assert len(told) >= (28 if kind == "beans-confluent" else 20), told
    for name in theirs.keys() & seen[kind, "healthy"].asked.missing.keys():
        assert theirs[name].state is Health.UNKNOWN
        assert "does not export" in theirs[name].reason


LOAD = {"denials", "auth_failures", "server_errors", "produce_failures", "fetch_failures", "handler_idle"}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", ["jmx-official", "strimzi"])
def test_real_scrapes_of_other_exporters_agree_wherever_they_tell(
    seen: dict[tuple[str, str], Seen], kind: str, state: str
) -> None:
    mine, theirs = seen["jmx-own", state].judged, seen[kind, state].judged
    different = {
        name: (mine[name].state.value, theirs[name].state.value, theirs[name].reason)
        for name in theirs
        if Health.UNKNOWN not in {mine[name].state, theirs[name].state}
        and not same(mine[name], theirs[name], values=False)
        and name not in LOAD
    }
    assert different == {}


@pytest.mark.parametrize("kind", SCRAPED)
def test_a_killed_broker_is_seen_in_every_dialect(seen: dict[tuple[str, str], Seen], kind: str) -> None:
    well, ill = seen[kind, "healthy"].judged, seen[kind, "broker-3-down"].judged

    assert (well["fenced_brokers"].state, ill["fenced_brokers"].state) == (Health.OK, Health.CRITICAL)
    assert (well["under_replicated"].state, ill["under_replicated"].state) == (Health.OK, Health.CRITICAL)
    assert (well["active_controller"].value, ill["active_controller"].value) == (1.0, 1.0)
    assert (well["offline_partitions"].value, ill["offline_partitions"].value) == (0.0, 0.0)
    assert ill["exporters_missing"].value == 0.0


@pytest.mark.parametrize("kind", ["jmx-own", "strimzi"])
def test_scrape_targets_are_told_apart_by_what_they_say(seen: dict[tuple[str, str], Seen], kind: str) -> None:
    found = seen[kind, "healthy"]

    assert found.instances.of == {"127.0.0.1:17071": 1, "127.0.0.1:17072": 2, "127.0.0.1:17073": 3}
    assert {row["version"] for row in found.figures().values()} == {"4.3.1"}
    assert found.performance()["controller"] in {1, 2, 3}


@pytest.mark.parametrize("kind", SCRAPED)
def test_no_topic_is_counted_twice(seen: dict[tuple[str, str], Seen], kind: str) -> None:
    """Of the bean over all topics there is one series per broker; the topics' own beans are left out."""
    found = seen[kind, "healthy"]

    assert len(found.samples["b_bytes_in"]) == 3
    assert all(not one.labels.get("topic") for one in found.samples["b_bytes_in"])


def test_our_rules_leave_no_signal_of_brokers_unknown(seen: dict[tuple[str, str], Seen]) -> None:
    unknown = {
        name: found.reason
        for name, found in seen["jmx-own", "healthy"].judged.items()
        if found.state is Health.UNKNOWN and "$host_" not in BY_ID[name].query and "disk" not in name
    }
    assert unknown == {}


WINDOWED = {
    "unclean_elections": "kafka_controller_controllerstats_uncleanleaderelections_total",
    "isr_shrinks": "kafka_server_replicamanager_isrshrinks_total",
    "heartbeat_timeouts": "kafka_controller_kafkacontroller_timedoutbrokerheartbeatcount",
}


def failures(tmp_path: Path, tests: list[dict[str, Any]]) -> str:
    """What promtool finds wrong with expressions against series that are written down; nothing when all hold."""
    (tmp_path / "tests.json").write_text(json.dumps({"evaluation_interval": "15s", "tests": tests}), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "tests.json")], capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr if done.returncode else ""


def mine(name: str) -> str:
    target = Target(Dialect.JMX, {"cluster": "north"}, {"cluster": "north"})
    return filled(BY_ID[name].query, METRICS, target)


def test_what_is_told_of_the_last_ten_minutes_is_over_by_itself_after_them(tmp_path: Path) -> None:
    labels = 'cluster="north", instance="broker-1"'
    # Nothing for five minutes, then one at a time, for ever as many.
    series = [{"series": f"{one}{{{labels}}}", "values": "0x20 1x100"} for one in WINDOWED.values()]
    expected = [
        {
            "expr": mine(name),
            "eval_time": at,
            "exp_samples": [
                {"labels": '{instance="broker-1"}' if "by (instance" in mine(name) else "{}", "value": value}
            ],
        }
        for name in WINDOWED
        for at, value in (("4m", 0), ("6m", 1), ("15m", 1), ("16m", 0), ("20m", 0))
    ]
    assert failures(tmp_path, [{"interval": "15s", "input_series": series, "promql_expr_test": expected}]) == ""


@pytest.mark.parametrize(("size", "hours"), [(1500, "8760"), (8000, "10")], ids=["ample", "filling"])
def test_a_new_disk_that_begins_to_fill_alarms_nobody_before_it_is_half_full(
    tmp_path: Path, size: int, hours: str
) -> None:
    labels = 'cluster="north", instance="host-1", mountpoint="/data", fstype="ext4"'
    series = [  # 100 an hour go, 1,000 are left after one hour
        {"series": f"node_filesystem_avail_bytes{{{labels}}}", "values": "1100000-25000x40"},
        {"series": f"node_filesystem_size_bytes{{{labels}}}", "values": f"{size * 1000}x40"},
    ]
    expected = [
        {
            "expr": f"round({mine('disk_forecast')}, 0.1)",
            "eval_time": "60m",
            "exp_samples": [{"labels": '{instance="host-1", mountpoint="/data"}', "value": float(hours)}],
        }
    ]
    assert failures(tmp_path, [{"interval": "15m", "input_series": series, "promql_expr_test": expected}]) == ""
