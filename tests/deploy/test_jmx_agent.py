"""The real JMX exporter agent with deploy/jmx/kafka.yml: over the recorded beans, and in a live broker."""

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from ops_portal.demo.monitoring import RULES, AgentUnavailable, agent_jar
from ops_portal.lib.kafka_runner import KafkaCluster, free_ports, kafka_home
from ops_portal.lib.processes import wait_until
from tests.deploy.expected_series import expected
from tests.deploy.jmx_replay import Series, readings, scraped
from tests.kafka_fixtures import KAFKA_VAR, unavailable

HERE = Path(__file__).parent
OF_THIS_JVM = ("jvm_", "jmx_", "process_", "java_lang_")


@pytest.fixture(scope="module")
def agent(kafka: KafkaCluster) -> Path:
    """The agent's jar; `kafka` makes sure that there are a Java and Kafka's jars."""
    try:
        return agent_jar(KAFKA_VAR, java=kafka.home.java, say=lambda _: None)
    except AgentUnavailable as reason:
        unavailable(str(reason))
        raise


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


@pytest.fixture
def recorded(kafka: KafkaCluster, agent: Path) -> Iterator[int]:
    """A JVM that shows the recorded beans through the agent; the port."""
    port = free_ports(1)[0]
    command: list[str | Path] = [
        kafka.home.java,
        f"-javaagent:{agent}=127.0.0.1:{port}:{RULES}",
        HERE / "BeanServer.java",
        HERE / "beans.tsv",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        first = process.stdout.readline()
        assert first.startswith(b"showing "), process.stderr.read().decode()
        yield port
        process.stdin.close()


def test_recorded_beans_come_out_with_their_right_names_and_labels(recorded: int) -> None:
    wanted = {series for series in map(expected, readings(HERE / "beans.tsv")) if series is not None}
    wanted = {series for series in wanted if not series.name.startswith(OF_THIS_JVM)}
    for attempt in ("first", "cached"):
        shown = {series for series in scraped(scrape(recorded)) if not series.name.startswith(OF_THIS_JVM)}
        assert shown == wanted, f"{attempt} scrape: {_differences(shown, wanted)}"


def _differences(shown: set[Series], wanted: set[Series]) -> str:
    more, less = sorted(map(str, shown - wanted)), sorted(map(str, wanted - shown))
    return f"{len(more)} too many {more[:10]}, {len(less)} missing {less[:10]}"


def test_a_live_broker_exports_what_is_promised_and_nothing_ambiguous(agent: Path, tmp_path: Path) -> None:
    broker, controller, port = free_ports(3)
    options = (f"-javaagent:{agent}=127.0.0.1:{port}:{RULES}",)
    cluster = KafkaCluster(kafka_home(KAFKA_VAR), tmp_path, ((broker, controller),), jvm_options=options)
    try:
        cluster.start()
        cluster.tool("TopicCommand", "--create", "--topic", "trades", "--partitions", "2")
        producer = Producer({"bootstrap.servers": cluster.bootstrap})
        for _ in range(50):
            producer.produce("trades", value=b"record")
        assert producer.flush(20) == 0
        assert wait_until(lambda: Series.of("kafka_log_log_size", topic="trades", partition="1") in scraped(scrape(port)),
                          seconds=20)  # fmt: skip
        found = scraped(scrape(port))
    finally:
        cluster.stop_all()

    assert not [str(series) for series in found if "_objectname" in dict(series.labels)]
    names = {series.name for series in found}
    recorded_names = {series.name for series in map(expected, readings(HERE / "beans.tsv")) if series is not None}
    unknown = {name for name in names - recorded_names if not name.startswith(OF_THIS_JVM)}
    assert not unknown
    assert Series.of("kafka_server_raft_metrics_current_state", state="leader") in found
    assert Series.of("kafka_server_app_version", id="1", version="4.3.1") in found
    assert Series.of("kafka_server_brokertopicmetrics_messagesin_total") in found
    assert Series.of("kafka_server_brokertopicmetrics_messagesin_total", topic="trades") in found
    assert Series.of("kafka_network_requestmetrics_totaltimems", request="Produce", quantile="0.999") in found
