"""Faults that take Prometheus to be told whole, on real brokers with our exporter rules: a full disk, a controller that
moves, an election that loses records. The brokers are started once more for all of them, with the exporter's agent."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from clusters.health.states import Health
from clusters.models import Cluster, HealthEvent
from clusters.selectors.health import HealthView, PartRow
from clusters.signals import BY_ID
from ops_portal.demo import scenarios
from ops_portal.demo.monitoring import (
    NODE,
    PROMETHEUS,
    AgentUnavailable,
    Monitoring,
    agent_jar,
    prometheus_settings,
)
from ops_portal.demo.scenarios import UNCLEAN_TOPIC
from ops_portal.lib.kafka_runner import KafkaCluster, free_ports
from ops_portal.lib.processes import end_all, spawn, wait_until
from tests.clusters.health.dialects import _ready
from tests.clusters.health.faults import TOPIC, World, signal_of, world  # noqa: F401 - a fixture
from tests.demo.test_scenarios import Holder, holder  # noqa: F401 - a fixture
from tests.kafka_fixtures import KAFKA_VAR, unavailable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

SCRAPE_SECONDS = 2
SPARE_BYTES = 96 * 2**20  # on the small disk, beside what the broker has already


@pytest.fixture(scope="module")
def prometheus_url(_cluster3: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes the three brokers, and this machine's disks where node_exporter is there."""
    if PROMETHEUS.path is None:
        unavailable("prometheus is not on PATH")
    try:
        agent = agent_jar(KAFKA_VAR, java=_cluster3.home.java, say=print)
    except AgentUnavailable as reason:
        unavailable(str(reason))
        raise
    *brokers, port, node = free_ports(5)
    monitoring = Monitoring(agent, tuple(brokers), port, None, node if NODE.path else None)
    directory = tmp_path_factory.mktemp("prometheus")
    settings = prometheus_settings(monitoring, "http://127.0.0.1:9")
    settings["global"]["scrape_interval"] = f"{SCRAPE_SECONDS}s"
    del settings["rule_files"]
    settings["scrape_configs"] = [job for job in settings["scrape_configs"] if job["job_name"] in {"kafka", "node"}]
    (directory / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")
    _cluster3.stop_all()
    _cluster3.node_options = monitoring.broker_options
    _cluster3.start()
    commands = [
        [
            PROMETHEUS.path, f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ],
        [NODE.path, f"--web.listen-address=127.0.0.1:{node}"],
    ]  # fmt: skip
    started = [spawn([str(word) for word in command]) for command in commands if command[0]]
    try:
        _ready(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        _cluster3.node_options = None  # with the next start of a node
        end_all([(process, signal.SIGTERM) for process in started], grace_seconds=5)


@pytest.fixture
def watched(prometheus_url: str, world: World) -> World:  # noqa: F811
    """The cluster with both sources, all of whose brokers have figures."""
    Cluster.objects.filter(pk=world.cluster.pk).update(prometheus_url=prometheus_url)
    world.cluster.refresh_from_db()
    world.eventually(
        lambda view: (
            view.controller is not None
            and signal_of(view, "exporters_missing").state is Health.OK
            and signal_of(view, "active_controller").state is Health.OK
        ),
        60,
    )
    return world


def test_a_controller_that_hangs_is_followed_by_another_and_the_page_says_which(watched: World) -> None:
    before = watched.poll().controller
    assert before is not None
    watched.kafka.pause(before)
    try:
        view = watched.eventually(lambda view: view.controller not in {None, before}, 40)
    finally:
        watched.kafka.resume(before)
    after = view.controller
    moved = HealthEvent.objects.get(cluster=watched.cluster, kind="controller_moved")
    assert (moved.broker, moved.text) == (after, f"The active controller moved from {before} to {after}.")
    assert moved.text in watched.page()

    view = watched.eventually(lambda view: signal_of(view, "active_controller").value == 1.0, 40)
    assert signal_of(view, "active_controller").state is Health.OK
    assert [row.id for row in view.brokers if row.controller] == [view.controller]
    watched.green()


def test_an_unclean_election_is_told_first_as_offline_and_then_as_records_lost(
    watched: World,
    holder: Holder,  # noqa: F811
) -> None:
    admin = scenarios.admin_client(watched.kafka.bootstrap)
    told: list[str] = []

    def let_go(number: int) -> None:
        """The leader is dead, and the follower that lacks records may not follow it."""
        holder.release(number)
        told.append(watched.until("offline_partitions", Health.CRITICAL, seconds=40).reason)

    hands = scenarios.Hands(holder.hold, let_go, watched.kafka.kill)
    scenarios.unclean_election(admin, watched.kafka.bootstrap, hands, leader=3, follower=1)
    assert f"{UNCLEAN_TOPIC} (1)" in told[0]
    assert "Broker 3 (down) holds 1" in told[0]

    row = watched.until("unclean_elections", Health.CRITICAL, seconds=40)
    assert row.value is not None
    assert row.value >= 1
    watched.until("offline_partitions", Health.OK, seconds=40)  # a leader may come after the count of the election
    view = watched.poll()
    assert view.verdict is Health.CRITICAL
    assert any(reason.startswith("Unclean leader elections") for reason in view.reasons)
    assert "Unclean leader elections" in watched.page()
    assert {"partitions_offline", "unclean_election", "partitions_online"} <= watched.events()

    watched.kafka.restart(3)
    scenarios.forget_election(admin, brokers=3, seconds=20)
    watched.green()


@contextmanager
def small_disk(kafka: KafkaCluster, node: int) -> Iterator[Path]:
    """The node keeps its data in a file system of its own that is little larger; where none can be mounted: skipped."""
    data = kafka.directory / f"node{node}" / "data"
    aside = data.with_name("data.aside")
    kafka.stop(node)
    data.rename(aside)
    data.mkdir()
    used = int(
        subprocess.run(["du", "-s", "-B1", str(aside)], capture_output=True, check=True, timeout=60).stdout.split()[0]
    )
    mounted = os.geteuid() == 0 and not _runs(
        "mount", "-t", "tmpfs", "-o", f"size={used + SPARE_BYTES}", "tmpfs", str(data)
    )
    try:
        if not mounted:
            pytest.skip("file systems cannot be mounted here")
        assert not _runs("cp", "-a", "--sparse=always", f"{aside}/.", str(data))
        kafka.restart(node)
        yield data
    finally:
        if kafka.pid(node) is not None:
            kafka.stop(node)
        if mounted:
            shutil.rmtree(aside)
            assert not _runs("cp", "-a", "--sparse=always", str(data), str(aside))
            assert not _runs("umount", str(data))
        data.rmdir()
        aside.rename(data)
        kafka.restart(node)


def _runs(*command: str) -> int:
    return subprocess.run(command, capture_output=True, timeout=60).returncode


def test_a_disk_that_fills_is_named_before_it_costs_its_broker_and_the_broker_after(watched: World) -> None:
    with small_disk(watched.kafka, 3) as data:
        broker = scenarios.Broker(3, 0, watched.kafka.pid(3), data)
        watched.until("brokers_down", Health.OK, seconds=60)
        scenarios.fill_disk(broker, 93)
        if NODE.path:
            watched.eventually(lambda view: 0 < (disk_of(view, data).value or 0) < 0.1, 40)
            watched.ahead = BY_ID["disk_free"].hold
            watched.eventually(lambda view: disk_of(view, data).state is Health.CRITICAL, 20)
            assert f"Broker 3 {data}" in watched.page()

        scenarios.fill_disk(broker, 100)
        _write_until_it_ends(watched.kafka, 3)
        view = watched.eventually(lambda view: signal_of(view, "under_replicated").state is Health.CRITICAL, 40)
        assert view.verdict is Health.CRITICAL
        assert any("Broker 3 (127.0.0.1" in reason for reason in view.reasons)
        assert any("Broker 3 (down) lags in" in reason for reason in view.reasons)

        assert scenarios.empty_disks([broker]) == [3]
        if NODE.path:
            watched.eventually(lambda view: disk_of(view, data).state is Health.OK, 40)
    watched.green()


def disk_of(view: HealthView, data: Path) -> PartRow:
    parts = signal_of(view, "disk_free").parts
    return next((part for part in parts if part.entity.endswith(str(data))), PartRow("", Health.UNKNOWN, None))


def _write_until_it_ends(kafka: KafkaCluster, node: int) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 0})

    def ended() -> bool:
        for partition in range(6):
            producer.produce(TOPIC, value=os.urandom(200_000), partition=partition)
        producer.flush(1)
        return kafka.pid(node) is None

    assert wait_until(ended, seconds=60, step_seconds=0.2), "the broker goes on with a full disk"
