"""The portal's own processes break: the worker, PostgreSQL, Valkey, the clock."""

import os
import re
import signal
import time
from datetime import datetime

import pytest
from django.db import connection

from clusters.models import PollRun
from lag.models import LagState
from ops_portal.lib import portal, processes
from ops_portal.lib.kafka_runner import KafkaCluster
from tests.proof.clients import produce
from tests.proof.site import Site, runs
from tests.proof.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.fault, pytest.mark.xdist_group("fault"), pytest.mark.timeout(300)]


def more(world: World, count: int = 5) -> None:
    """More records everywhere; the figures that are then awaited are others than before."""
    produce(world.kafka.bootstrap, world.places(count))
    world.produced += count


def assert_each_slot_once(world: World) -> None:
    """Every poll that ended well was stored once; a poll whose worker died was stored once or not at all."""
    world.site.hold("beat")
    assert world.site.eventually(lambda: not any(run.status == PollRun.Status.RUNNING for run in runs(world.view)))
    made = runs(world.view)
    assert len({run.slot for run in made}) == len(made)
    stored = [run for run in made if run.status in {PollRun.Status.OK, PollRun.Status.PARTIAL}]
    lost = [run for run in made if run.status == PollRun.Status.FAILED]
    version = LagState.objects.get(cluster=world.view.cluster).version
    assert len(stored) <= version <= len(stored) + len(lost)


def test_a_killed_worker_is_replaced_and_the_next_slot_goes_on(site: Site, kafka_cluster3: KafkaCluster) -> None:
    world = World(site, kafka_cluster3)
    first = site.pid("worker-poll")
    assert first is not None
    kafka_cluster3.pause(1)  # so that it dies in the middle of a poll
    assert site.eventually(lambda: runs(world.view)[-1].status == PollRun.Status.RUNNING)
    os.kill(first, signal.SIGKILL)
    kafka_cluster3.resume(1)
    more(world)
    world.all_well()
    assert site.pid("worker-poll") not in {None, first}
    assert runs(world.view)[-1].worker.endswith(f":{site.pid('worker-poll')}")
    world.assert_seconds()  # from what the first worker has stored
    lost = [run for run in runs(world.view) if run.error_code == "worker_lost"]
    assert all(run.worker.endswith(f":{first}") for run in lost)
    assert_each_slot_once(world)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["restarted", "killed"])
def test_polls_go_on_when_postgres_comes_back(site: Site, kafka_cluster3: KafkaCluster, number: signal.Signals) -> None:
    world = World(site, kafka_cluster3)
    connection.close()
    site.stop("postgres", number)
    more(world)
    site.start("postgres")
    world.all_well()
    world.assert_seconds()
    assert_each_slot_once(world)


def test_polls_go_on_when_a_killed_valkey_comes_back(site: Site, kafka_cluster3: KafkaCluster) -> None:
    world = World(site, kafka_cluster3)
    site.stop("valkey", signal.SIGKILL)
    assert site.eventually(lambda: world.view.summary().state == "stale")
    assert {row.verdict for row in world.view.board().values()} == {"unknown"}
    assert world.lags() == world.true_lags()  # as last read, with its age
    site.start("valkey")
    more(world)
    world.all_well()
    assert_each_slot_once(world)


@pytest.mark.parametrize("off", [600, -600])
def test_a_worker_with_a_wrong_clock_stores_right_times(site: Site, kafka_cluster3: KafkaCluster, off: int) -> None:
    site.hold("worker-poll")
    (child,) = [one for one in portal.portal_children("127.0.0.1", 8000, poll_threads=4) if one.name == "worker-poll"]
    python, _, *module_and_words = child.argv
    worker = site.spawn(f"worker{off}", python, "-m", "tests.proof.off_clock", str(off), *module_and_words)
    try:
        world = World(site, kafka_cluster3)
        assert {run.worker.rpartition(":")[2] for run in runs(world.view)} == {str(worker.pid)}
        assert abs(seconds_off(site.log(f"worker{off}")) - off) < 200
        for row in world.view.board().values():
            assert row.observed_at is not None
            assert abs(row.observed_at.timestamp() - time.time()) < 60
            assert 0 <= (row.age_seconds or 0) < 60
        for run in runs(world.view):
            assert world.begun - 1 <= run.started_at.timestamp() <= time.time() + 1
        world.assert_seconds()
        more(world)
        world.all_well()
        world.assert_seconds()
    finally:
        processes.end_all([(worker, signal.SIGTERM)], grace_seconds=8)


def seconds_off(log: str) -> float:
    """How far the clock of the worker's own lines is off."""
    stamps = re.findall(r"^(\d{4}-\d\d-\d\dT[\d:.]+)Z", log, re.MULTILINE)
    return datetime.fromisoformat(f"{stamps[-1]}+00:00").timestamp() - time.time()
