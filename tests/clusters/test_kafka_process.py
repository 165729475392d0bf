"""The Kafka client in a process of its own: the same answers, and whatever happens to it costs one read."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from clusters.gateways import kafka_process
from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_client import KafkaClient
from clusters.gateways.kafka_frames import Settings
from clusters.gateways.kafka_process import IsolatedKafka, KafkaChild, Place, child_of, end_children
from clusters.models import Cluster, PollRun
from clusters.ports import FoundOffset, GatewayFailed, OffsetSpec
from clusters.services.runs import source_run
from clusters.sources import Outcome, Poll
from ops_portal.lib.clock import Clock
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.clusters.conftest import Probe
from tests.clusters.kafka_helpers import commit
from tests.kafka_fixtures import TopicFactory

ROOT = Path(__file__).resolve().parents[2]
APlace = Callable[..., Place]
_ids = count(1_000_000)


@pytest.fixture
def a_place() -> Iterator[APlace]:
    """Makes places of clusters of their own: `a_place(bootstrap, properties)`; their processes end with the test."""
    children: list[int] = []

    def make(bootstrap: str, properties: dict[str, str] | None = None) -> Place:
        children.append(next(_ids))
        return Place(children[-1], 1, Settings(bootstrap, properties or {}))

    yield make
    for cluster_id in children:
        end_children(cluster_id)
    assert wait_until(lambda: all(child.lost for child in kafka_process._ending), seconds=30)


@pytest.fixture
def place(kafka: KafkaCluster, a_place: APlace) -> Place:
    return a_place(kafka.bootstrap)


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def deadline() -> Deadline:
    return Deadline.after(60)


def test_the_process_answers_what_the_client_in_this_process_answers(
    place: Place, kafka: KafkaCluster, kafka_topic: TopicFactory, deadline: Deadline
) -> None:
    topic, group = kafka_topic(partitions=2), f"isolated-{os.getpid()}"
    commit(kafka.bootstrap, group, topic, 0)
    clock = Clock(1_000_000.0)
    near, far = ConfluentKafka(KafkaClient(kafka.bootstrap, {}), clock), IsolatedKafka(place, clock)
    places = [(topic, 0), (topic, 1), (topic, 9)]

    here, there = near.metadata(deadline), far.metadata(deadline)
    assert (there.brokers, there.cluster_id, there.topics[topic]) == (here.brokers, here.cluster_id, here.topics[topic])
    assert far.seen == there
    assert far.topic_identities([topic], deadline) == near.topic_identities([topic], deadline)
    assert far.list_groups(deadline).groups[group] == near.list_groups(deadline).groups[group]
    assert far.unmeasured_groups({group}, deadline) >= frozenset()
    assert near.unmeasured_groups({group}, deadline) >= frozenset()
    committed = far.committed([group], deadline)[group]
    assert committed.offsets == near.committed([group], deadline)[group].offsets == {(topic, 0): 0}
    assert 1_000_000.0 < committed.read_at <= clock.now()
    for spec in OffsetSpec:
        here_found, there_found = near.offsets(places, spec, deadline), far.offsets(places, spec, deadline)
        assert (there_found.offsets, there_found.errors) == (here_found.offsets, here_found.errors)
    assert far.offsets_at({(topic, 0): 1.0}, deadline).offsets == {(topic, 0): FoundOffset(-1)}
    assert near.offsets_at({(topic, 0): 1.0}, deadline).offsets == {(topic, 0): FoundOffset(-1)}
    assert far.describe_groups([group], deadline) == near.describe_groups([group], deadline)
    assert far.requests == near.requests


def test_a_process_that_was_killed_is_replaced_by_the_next_call(place: Place, deadline: Deadline) -> None:
    port = IsolatedKafka(place, Clock(0.0))
    before = port.metadata(deadline)
    first = child_of(place)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert port.metadata(deadline).brokers == before.brokers
    assert child_of(place) is not first


def test_a_read_whose_process_dies_is_made_again_by_a_new_one(
    place: Place, kafka_topic: TopicFactory, deadline: Deadline
) -> None:
    topic = kafka_topic()
    port = IsolatedKafka(place, Clock(0.0))
    port.metadata(deadline)
    first = child_of(place)
    os.kill(first.process.pid, signal.SIGSTOP)  # so that the call is under way when it dies
    threading.Timer(0.3, first.process.kill).start()
    assert port.offsets([(topic, 0)], OffsetSpec.END, deadline).offsets == {(topic, 0): FoundOffset(0)}
    assert first.lost
    assert child_of(place) is not first


def test_a_read_that_kills_two_processes_fails_with_a_sentence(
    place: Place, deadline: Deadline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[KafkaChild] = []

    def dying(place: Place) -> KafkaChild:
        child = child_of(place)
        started.append(child)
        os.kill(child.process.pid, signal.SIGSEGV)
        return child

    monkeypatch.setattr(kafka_process, "child_of", dying)
    with pytest.raises(GatewayFailed) as failure:
        IsolatedKafka(place, Clock(0.0)).metadata(deadline)
    assert failure.value.code == "client_failed"
    assert "SIGSEGV" in failure.value.message
    assert len(started) == 2
    assert "call=metadata how=SIGSEGV" in caplog.text


def test_a_process_that_hangs_is_killed_at_the_deadline(
    place: Place, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_process, "GRACE_SECONDS", 0.2)
    port = IsolatedKafka(place, Clock(0.0))
    port.metadata(deadline)
    # More names than the socket holds: neither sending nor waiting may go on without end.
    groups = [f"group-{number}-{'x' * 200}" for number in range(5000)]
    for names in (groups, []):
        hung = child_of(place)
        os.kill(hung.process.pid, signal.SIGSTOP)
        with pytest.raises(GatewayFailed) as failure:
            port.committed(names, Deadline.after(0.3))
        assert failure.value.code == "timeout"
        assert hung.lost
    assert port.metadata(deadline).brokers


def test_a_cluster_out_of_reach_fails_as_it_does_in_this_process(a_place: APlace) -> None:
    place = a_place("127.0.0.1:1")
    port = IsolatedKafka(place, Clock(0.0))
    with pytest.raises(GatewayFailed) as far:
        port.metadata(Deadline.after(3))
    with pytest.raises(GatewayFailed) as near:
        ConfluentKafka(KafkaClient("127.0.0.1:1", {}), Clock(0.0)).metadata(Deadline.after(3))
    assert far.value.code == near.value.code
    assert not child_of(place).lost


def test_settings_that_are_refused_fail_each_call(a_place: APlace, deadline: Deadline) -> None:
    place = a_place("127.0.0.1:1", {"security.protocol": "nonsense"})
    for _ in range(2):
        with pytest.raises(GatewayFailed) as failure:
            IsolatedKafka(place, Clock(0.0)).metadata(deadline)
        assert failure.value.code == "configuration"


def test_a_new_configuration_ends_the_process_of_the_old_one(place: Place, deadline: Deadline) -> None:
    IsolatedKafka(place, Clock(0.0)).metadata(deadline)
    old = child_of(place)
    newer = Place(place.cluster_id, 2, place.settings)
    IsolatedKafka(newer, Clock(0.0)).metadata(deadline)
    assert wait_until(lambda: old.lost, seconds=20)
    new = child_of(newer)
    end_children(place.cluster_id)
    assert wait_until(lambda: new.lost, seconds=20)


def test_the_process_dies_with_the_worker(kafka: KafkaCluster) -> None:
    code = f"""
from clusters.gateways.kafka_process import IsolatedKafka, Place, child_of
from clusters.gateways.kafka_frames import Settings
from ops_portal.lib.clock import Clock
from ops_portal.lib.resilience import Deadline
place = Place(1, 1, Settings({kafka.bootstrap!r}, {{}}))
IsolatedKafka(place, Clock(0.0)).metadata(Deadline.after(60))
print(child_of(place).process.pid, flush=True)
input()
"""
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        child = int(worker.stdout.readline())
        assert not gone(child)
        os.kill(child, signal.SIGSTOP)  # cannot see that its socket is closed
        worker.kill()
    assert wait_until(lambda: gone(child), seconds=20)


def test_secrets_are_neither_in_the_arguments_nor_the_environment_nor_the_log(
    kafka: KafkaCluster, a_place: APlace, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "northgate-" + "hush"
    properties = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "portal",
        "sasl.password": secret,
    }
    place = a_place(kafka.bootstrap, properties)
    port = IsolatedKafka(place, Clock(0.0))
    with pytest.raises(GatewayFailed) as failure:
        port.metadata(Deadline.after(3))
    child = child_of(place)
    proc = Path(f"/proc/{child.process.pid}")
    assert secret.encode() not in (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    child.process.kill()
    child.process.wait()
    with pytest.raises(GatewayFailed):
        port.metadata(Deadline.after(3))
    said = capfd.readouterr()
    assert secret not in caplog.text + said.out + said.err + failure.value.message + repr(place)


@pytest.mark.django_db(transaction=True)
def test_a_run_of_a_source_reads_through_the_process_and_notes_what_it_sent(probe: Probe, kafka: KafkaCluster) -> None:
    Cluster.objects.filter(pk=probe.source.cluster_id).update(bootstrap=kafka.bootstrap)

    def read(poll: Poll) -> Outcome:
        return Outcome(poll.kafka.list_groups(poll.deadline).errors)

    probe.answer = read
    source_run(source_id=probe.source.pk, slot=probe.slot())
    run = PollRun.objects.get(source=probe.source)
    assert (run.status, run.error) == (PollRun.Status.OK, "")
    assert run.requests["Metadata"] >= 1
    assert run.requests["ListGroups"] >= 1
    assert len(Cluster.objects.get(pk=probe.source.cluster_id).brokers) == 1
    assert [key for key in kafka_process._children if key[1] == probe.source.cluster_id]
    end_children(probe.source.cluster_id)


@pytest.mark.timeout(300)
def test_coordinators_that_are_still_loading_leave_the_worker_alive(
    kafka_cluster3: KafkaCluster, a_place: APlace
) -> None:
    place = a_place(kafka_cluster3.bootstrap)
    port = IsolatedKafka(place, Clock(0.0))
    admin = AdminClient({"bootstrap.servers": kafka_cluster3.bootstrap})
    assert wait_until(lambda: len(admin.list_topics(timeout=10).brokers) == 3, seconds=60)
    groups = [f"loading-{number}" for number in range(20)]
    codes: set[str] = set()

    def answered() -> bool:
        try:
            return all(found.error is None for found in port.committed(groups, Deadline.after(10)).values())
        except GatewayFailed as failure:
            codes.add(failure.code)
            return False

    assert wait_until(answered, seconds=120)
    assert codes <= {"client_failed", "timeout"}
