"""A real Kafka as child processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from ops_portal.lib import kafka_runner
from ops_portal.lib.kafka_runner import KafkaCluster, KafkaUnavailable
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import TopicFactory


def test_broker_takes_records_and_the_tools_see_them(kafka: KafkaCluster, kafka_topic: TopicFactory) -> None:
    topic = kafka_topic(partitions=3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(10):
        producer.produce(topic, value=b"record", partition=number % 3)
    assert producer.flush(10) == 0

    answer = kafka.tool("GetOffsetShell", "--topic", topic)

    ends = sorted(line.rsplit(":", 1)[1] for line in answer.split())
    assert ends == ["3", "3", "4"]


def test_cluster_survives_a_killed_node_and_takes_it_back(kafka_cluster3: KafkaCluster) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_cluster3.bootstrap})

    def brokers() -> int:
        return len(admin.list_topics(timeout=5).brokers)

    assert wait_until(lambda: brokers() == 3, seconds=10)
    kafka_cluster3.kill(2)
    assert wait_until(lambda: brokers() == 2, seconds=30)
    kafka_cluster3.restart(2)
    assert wait_until(lambda: brokers() == 3, seconds=30)


def test_cluster_keeps_its_data_over_a_stop_on_other_ports(kafka_cluster3: KafkaCluster, tmp_path: Path) -> None:
    home = kafka_cluster3.home
    for attempt in (1, 2):
        cluster = KafkaCluster(home, tmp_path, (kafka_runner.free_ports(2),))
        try:
            cluster.start()
            if attempt == 1:
                cluster.tool("TopicCommand", "--create", "--topic", "kept")
            assert "kept" in cluster.tool("TopicCommand", "--list").split()
        finally:
            cluster.stop_all()


def test_nodes_die_with_the_process_that_started_them(kafka_cluster3: KafkaCluster, tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    broker, controller = kafka_runner.free_ports(2)
    script.write_text(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ops_portal.lib.kafka_runner import KafkaCluster, KafkaHome\n"
        f"home = KafkaHome({kafka_cluster3.home.java!r}, Path({str(kafka_cluster3.home.libs)!r}), "
        f"Path({str(kafka_cluster3.home.archive)!r}))\n"
        f"cluster = KafkaCluster(home, Path({str(tmp_path / 'data')!r}), (({broker}, {controller}),))\n"
        "cluster.start()\n"
        "print(cluster.pid(1), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    node = int(answer.stdout)

    assert wait_until(lambda: not Path(f"/proc/{node}").exists(), seconds=10)


def test_taken_port_is_told_in_one_sentence(kafka_cluster3: KafkaCluster, tmp_path: Path) -> None:
    taken = kafka_cluster3.ports[0][0]
    cluster = KafkaCluster(kafka_cluster3.home, tmp_path, ((taken, kafka_runner.free_ports(1)[0]),))
    with pytest.raises(KafkaUnavailable, match=f"Port {taken} is in use"):
        cluster.start()


def test_missing_java_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(KafkaUnavailable, match="Kafka needs Java 17"):
        kafka_runner.kafka_home(tmp_path)


def test_missing_maven_is_told_on_the_first_run(
    kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = Path(kafka.home.java)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(java)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(KafkaUnavailable, match="install the package maven"):
        kafka_runner.kafka_home(tmp_path / "var")


def test_fetched_jars_are_used_without_maven(kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(kafka.home.java).parent))
    assert kafka_runner.kafka_home(kafka.home.libs.parents[1]) == kafka.home
