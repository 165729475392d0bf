"""Real brokers that die, hang or fall behind: what the health of the cluster says, how soon, and that it returns to green
by itself."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer

from clusters.health.states import Health
from clusters.selectors.platform_slos import canary_of
from ops_portal.lib.processes import wait_until
from tests.clusters.health.faults import BAD, PERIOD, TOPIC, World, signal_of, world  # noqa: F401 - a fixture
from tests.demo.test_scenarios import Holder, holder  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

DETECT_SECONDS = 15.0


def test_a_killed_broker_is_named_within_fifteen_seconds_and_its_return_is_seen(
    world: World,  # noqa: F811
    record_property: Callable[[str, object], None],
) -> None:
    world.poll()
    killed_at = time.monotonic()
    world.kafka.kill(2)
    assert wait_until(lambda: time.monotonic() - killed_at >= PERIOD, seconds=2 * PERIOD)  # the worst moment of all
    down = world.until("brokers_down", Health.CRITICAL, seconds=DETECT_SECONDS, step=PERIOD)

    detected = time.monotonic() - killed_at
    record_property("detected_seconds", round(detected, 2))
    assert detected < DETECT_SECONDS + 1
    assert "Broker 2" in down.reason
    under = world.until("under_replicated", Health.CRITICAL, seconds=30)
    record_property("under_replicated_seconds", round(time.monotonic() - killed_at, 2))
    assert "Broker 2 (down) lags in" in under.reason
    assert "Broker 2 (down) lags in" in world.page()

    world.kafka.restart(2)
    world.green()
    assert {"broker_down", "leaders_moved", "isr_shrunk", "broker_up", "isr_expanded"} <= world.events()


def test_the_loss_of_the_quorum_is_unknown_not_zero(world: World) -> None:  # noqa: F811
    world.kafka.kill(2)
    world.kafka.kill(3)
    row = world.until("offline_partitions", Health.UNKNOWN, seconds=DETECT_SECONDS)

    assert row.value is None
    view = world.poll()
    assert view.verdict is Health.CRITICAL
    assert signal_of(view, "brokers_down").value == 2.0
    canary = canary_of(world.user, world.cluster)
    assert canary is not None
    assert canary.seconds is None
    assert canary.error
    world.kafka.restart(2)
    world.kafka.restart(3)
    world.green()


def test_a_broker_that_hangs_is_seen_by_its_replicas(world: World) -> None:  # noqa: F811
    world.kafka.pause(3)
    try:
        row = world.until("under_replicated", Health.CRITICAL, seconds=60)
        assert "Broker 3" in row.reason
    finally:
        world.kafka.resume(3)
    world.green()


@contextmanager
def writing(bootstrap: str, topic: str) -> Iterator[None]:
    """A record for every partition, five times a second: a follower that copies nothing is only behind what is written."""
    producer, over = Producer({"bootstrap.servers": bootstrap}), threading.Event()

    def write() -> None:
        while not over.wait(0.2):
            for partition in range(6):
                producer.produce(topic, value=b"x", partition=partition)
            producer.poll(0)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        producer.flush(10)


def test_a_follower_that_falls_behind_is_named_while_every_broker_is_up(
    world: World,  # noqa: F811
    holder: Holder,  # noqa: F811
) -> None:
    with writing(world.kafka.bootstrap, TOPIC):
        holder.hold(2)
        row = world.until("under_replicated", *BAD, seconds=40)
        view = world.poll()
        page = world.page()
        holder.release()

    assert "Broker 2 lags in" in row.reason
    assert view.verdict in BAD
    assert any("Broker 2 lags in" in reason for reason in view.reasons)
    assert signal_of(view, "brokers_down").state is Health.OK
    assert signal_of(view, "offline_partitions").state is Health.OK
    assert "Broker 2 lags in" in page
    world.green()
    assert {"isr_shrunk", "isr_expanded"} <= world.events()
    assert "broker_down" not in world.events()
