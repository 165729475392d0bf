"""The connection test: in a process of its own, which it ends, and a client that dies is an answer like another."""

import os
import signal

import pytest

from clusters.gateways import kafka_process
from clusters.gateways.kafka_probe import probe_connection
from clusters.gateways.kafka_process import KafkaChild, Place, child_of
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[KafkaChild]:
    """The processes that tests of connections start."""
    children: list[KafkaChild] = []

    def noted(place: Place) -> KafkaChild:
        child = child_of(place)
        children.append(child)
        return child

    monkeypatch.setattr(kafka_process, "child_of", noted)
    return children


def test_the_connection_test_asks_in_a_process_of_its_own_and_ends_it(
    kafka: KafkaCluster, started: list[KafkaChild]
) -> None:
    found = probe_connection(kafka.bootstrap, {}, clock=Clock(0.0))
    assert (found.ok, found.code, len(found.brokers)) == (True, "ok", 1)
    assert found.cluster_id
    (child,) = started
    assert child.process.pid != os.getpid()
    assert wait_until(lambda: child.lost, seconds=20)


def test_a_client_that_dies_in_the_connection_test_is_told_in_a_sentence(
    kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(place: Place) -> KafkaChild:
        child = child_of(place)
        os.kill(child.process.pid, signal.SIGSEGV)
        return child

    monkeypatch.setattr(kafka_process, "child_of", dying)
    found = probe_connection(kafka.bootstrap, {}, clock=Clock(0.0))
    assert (found.ok, found.code, found.topics) == (False, "client_failed", None)
    assert "SIGSEGV" in found.message


def test_refused_settings_and_a_cluster_out_of_reach_are_told_apart(started: list[KafkaChild]) -> None:
    refused = probe_connection("127.0.0.1:1", {"security.protocol": "nonsense"}, clock=Clock(0.0))
    assert (refused.ok, refused.code) == (False, "configuration")
    away = probe_connection("127.0.0.1:1", {}, clock=Clock(0.0), seconds=2)
    assert (away.ok, away.code) == (False, "refused")
    assert wait_until(lambda: all(child.lost for child in started), seconds=20)
