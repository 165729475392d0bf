"""What can be done to the demo's brokers, on real ones: each scenario does what it says, and all of it can be undone."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import ConfigResource, ResourceType

from ops_portal.demo import disks, scenarios, slowness
from ops_portal.demo.scenarios import KEYSTORE, UNCLEAN_TOPIC, Broker, Refused
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import create_topic
from tests.secured_kafka import TRADES, SecuredKafka

pytestmark = pytest.mark.timeout(300)


def brokers_of(cluster: KafkaCluster) -> dict[int, Broker]:
    return {
        number: Broker(number, 0, cluster.pid(number), cluster.directory / f"node{number}" / "data")
        for number in cluster.node_ids
    }


# --- Certificates -----------------------------------------------------------------------------------------------------


def test_a_broker_shows_its_new_certificate_without_a_restart_time_and_again(secured_kafka: SecuredKafka) -> None:
    pid = secured_kafka.cluster.pid(1)
    broker = Broker(1, secured_kafka.secure_port, pid, Path())
    outcome: list[object] = []
    producer = Producer(secured_kafka.identity("writer") | {"message.timeout.ms": 20_000})

    def write() -> None:
        producer.produce(TRADES, value=b"x", on_delivery=lambda error, _: outcome.append(error))
        assert producer.flush(20) == 0

    write()
    seen = {scenarios.served_serial(secured_kafka.authority, secured_kafka.secure_port)}
    for _ in range(2):
        told: list[str] = []
        scenarios.rotate_certificates(secured_kafka.admin, secured_kafka.authority, [broker], told.append)
        write()
        now = scenarios.served_serial(secured_kafka.authority, secured_kafka.secure_port)
        assert now == secured_kafka.authority.certificate("broker-1").serial_number
        assert now not in seen
        assert f"{now:x}" in told[0]
        seen.add(now)
    assert outcome == [None, None, None]
    assert secured_kafka.cluster.pid(1) == pid
    resource = ConfigResource(ResourceType.BROKER, "1")
    entry = secured_kafka.admin.describe_configs([resource])[resource].result(20)[KEYSTORE]
    assert "DYNAMIC" not in str(entry.source)  # nothing is left that would outlive a move of the files


def test_a_broker_that_is_down_is_not_given_a_certificate(secured_kafka: SecuredKafka) -> None:
    serial = secured_kafka.authority.certificate("broker-1").serial_number
    down = Broker(1, secured_kafka.secure_port, None, Path())
    with pytest.raises(Refused, match="Broker 1 is down"):
        scenarios.rotate_certificates(secured_kafka.admin, secured_kafka.authority, [down], print)
    assert secured_kafka.authority.certificate("broker-1").serial_number == serial


# --- Disks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(tmp_path)],
            capture_output=True,
            timeout=20,
            check=False,
        ).returncode
    ):
        pytest.skip("file systems cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], timeout=20, check=False)


def test_a_disk_is_filled_up_to_a_part_and_given_back(disk: Path) -> None:
    broker = Broker(2, 0, None, disk)
    assert "90 %" in scenarios.fill_disk(broker, 90)
    usage = shutil.disk_usage(disk)
    assert 0.88 < usage.used / usage.total < 0.92
    with pytest.raises(Refused, match="used already"):
        scenarios.fill_disk(broker, 50)
    assert scenarios.empty_disks([broker]) == [2]
    assert shutil.disk_usage(disk).used == 0
    assert scenarios.empty_disks([broker]) == []


def test_a_full_disk_takes_no_more(disk: Path) -> None:
    scenarios.fill_disk(Broker(2, 0, None, disk), 100)
    with pytest.raises(OSError, match="No space"):
        (disk / "segment").write_bytes(b"x" * 65_536)


def test_a_directory_gets_a_file_system_that_keeps_its_content(tmp_path: Path) -> None:
    directory, image = tmp_path / "data", tmp_path / "disks" / "broker-1.img"
    for attempt in (1, 2):
        with disks.disks() as made:
            made.mount({directory: image})
            if not made.mounted:
                pytest.skip("file systems cannot be mounted here")
            assert os.path.ismount(directory)
            assert disks.LEAST_BYTES // 2 < shutil.disk_usage(directory).total <= disks.MOST_BYTES
            if attempt == 1:
                assert list(directory.iterdir()) == []  # Kafka takes every directory for a partition
                (directory / "kept").write_text("x")
            assert (directory / "kept").read_text() == "x"
        assert not os.path.ismount(directory)


def test_a_directory_with_files_of_its_own_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").touch()
    with disks.disks() as made:
        made.mount({tmp_path / "data": tmp_path / "broker-1.img"})
        assert made.mounted == []
    assert (tmp_path / "data" / "meta.properties").exists()


# --- Controllers and replicas -----------------------------------------------------------------------------------------


def test_another_node_becomes_the_active_controller(kafka_cluster3: KafkaCluster) -> None:
    def status() -> str:
        return kafka_cluster3.tool("MetadataQuorumCommand", "describe", "--status")

    before = scenarios.active_controller(status())
    assert f"was node {before} and is node" in scenarios.move_controller(status, brokers_of(kafka_cluster3))
    assert scenarios.active_controller(status()) != before


def test_a_quorum_without_a_leader_is_told() -> None:
    with pytest.raises(Refused, match="names no leader"):
        scenarios.active_controller("ClusterId: abc\nLeaderId: -1\n")


class Holder:
    """Holds the replica fetchers of a broker, as the demo's traffic process does, from a thread of its own."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster, self.on = cluster, True
        self.threads: list[threading.Thread] = []

    def running(self) -> bool:
        return self.on

    def begun(self) -> None:
        """Nobody waits for it."""

    def hold(self, number: int) -> None:
        pid = self.cluster.pid(number)
        assert pid is not None
        self.on = True
        self.threads.append(threading.Thread(target=slowness.hold_replication, args=(pid, self)))
        self.threads[-1].start()

    def release(self, number: int = 0) -> None:
        self.on = False
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def holder(kafka_cluster3: KafkaCluster) -> Iterator[Holder]:
    if not slowness.may_hold():
        pytest.skip("this system does not let one process stop the threads of another")
    made = Holder(kafka_cluster3)
    yield made
    made.release()


def test_a_broker_leaves_the_in_sync_replicas_and_comes_back(kafka_cluster3: KafkaCluster, holder: Holder) -> None:
    admin = scenarios.admin_client(kafka_cluster3.bootstrap)
    create_topic(admin, "held-back", 3, 3, {"min.insync.replicas": "1"})
    producer = Producer({"bootstrap.servers": kafka_cluster3.bootstrap})

    def out_of_sync() -> int:
        for partition in range(3):
            producer.produce("held-back", value=b"x", partition=partition)
        producer.poll(0)
        found = admin.list_topics("held-back", timeout=20).topics["held-back"].partitions.values()
        return sum(2 not in one.isrs for one in found)

    assert wait_until(lambda: out_of_sync() == 0, seconds=20)
    over = threading.Event()
    traffic = threading.Thread(target=lambda: all(out_of_sync() >= 0 for _ in iter(lambda: over.wait(0.2), True)))
    traffic.start()
    try:
        assert "copies nothing" in scenarios.shrink_isr(admin, 2, lambda: holder.hold(2), "held-back")
        assert len(admin.list_topics(timeout=10).brokers) == 3
        assert wait_until(lambda: out_of_sync() >= 2, seconds=30)  # all that it does not lead
    finally:
        over.set()
        traffic.join()
        holder.release()
    assert wait_until(lambda: out_of_sync() == 0, seconds=60, step_seconds=0.3)


def test_an_unclean_election_loses_records_and_is_undone(kafka_cluster3: KafkaCluster, holder: Holder) -> None:
    admin = scenarios.admin_client(kafka_cluster3.bootstrap)
    hands = scenarios.Hands(holder.hold, holder.release, kafka_cluster3.kill)
    text = scenarios.unclean_election(admin, kafka_cluster3.bootstrap, hands, leader=3, follower=1)
    assert "broker 1, which was behind, leads it" in text
    assert " 0 are lost" not in text
    with pytest.raises(Refused, match="is there already"):
        scenarios.unclean_election(admin, kafka_cluster3.bootstrap, hands, leader=3, follower=1)
    kafka_cluster3.restart(3)
    scenarios.forget_election(admin, brokers=3, seconds=20)
    assert wait_until(lambda: UNCLEAN_TOPIC not in admin.list_topics(timeout=10).topics, seconds=20)


def test_a_process_that_is_slowed_down_runs_freely_afterwards() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        for frozen in (False, True):
            line = Holder.__new__(Holder)
            line.on = True
            thread = threading.Thread(target=slowness.hamper, args=(process.pid, line), kwargs={"frozen": frozen})
            thread.start()
            assert wait_until(lambda: state(process.pid) == "T", seconds=10)
            line.on = False
            thread.join(10)
            assert wait_until(lambda: state(process.pid) == "S", seconds=10)
    finally:
        process.kill()
        process.wait(10)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
