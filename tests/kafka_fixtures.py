"""A real Kafka for tests: one broker per run for all xdist workers, and a three-broker cluster for fault tests.

`kafka` is the shared broker; make topics with `kafka_topic` and put the test's own name into group ids, so that tests do
not meet. `kafka_cluster3` may be broken at will: its nodes are running again before the next test. Tests that use any of
them carry the marker `kafka`; those with a cluster of their own run in the xdist group `fault`. Without Java or Maven
they are skipped, with CI=true they fail.
"""

import fcntl
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops_portal.lib.kafka_runner import KafkaCluster, KafkaUnavailable, free_ports, kafka_home
from ops_portal.lib.processes import wait_until
from tests.programs import lacking

ROOT = Path(__file__).resolve().parents[1]
KAFKA_VAR = ROOT / "var"  # Maven's repository and the jars outlive a run; nothing of a test lies there
START_SECONDS = 300  # the very first start fetches the jars

TopicFactory = Callable[..., str]
_names = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kafka: uses a real Kafka broker")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & {"kafka", "kafka_home_dir", "kafka_cluster3", "secured_kafka"}:
            item.add_marker("kafka")
        if "secured_kafka" in names:
            item.add_marker(pytest.mark.xdist_group("secured"))
        if "kafka_cluster3" in names:
            item.add_marker(pytest.mark.xdist_group("fault"))


def unavailable(reason: str) -> None:
    """Skip, or fail with CI=true."""
    lacking(f"Kafka ({reason})")


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """The run's broker: `.bootstrap`, and `.tool(...)` for Kafka's own tools. Do not stop it."""
    directory = Path(os.environ["PORTAL_TEST_VAR"]) / "kafka"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "users").open("a") as users:
        with _locked(directory / "start"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not (directory / "ports").exists():
                _start_keeper(directory)
        broker, controller = (directory / "ports").read_text(encoding="ascii").split()
        yield KafkaCluster(kafka_home(KAFKA_VAR), directory, ((int(broker), int(controller)),))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _start_keeper(directory: Path) -> None:
    ports, failed = directory / "ports", directory / "failed"
    if not failed.exists():
        with (directory / "keeper.log").open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.kafka_keeper", directory, KAFKA_VAR],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C goes to the tests; the broker follows when they are gone
            )
        wait_until(
            lambda: ports.exists() or failed.exists() or keeper.poll() is not None,
            seconds=START_SECONDS,
            step_seconds=0.05,
        )
        if keeper.poll() is None:
            keeper.returncode = 0  # it ends by itself after this process: Python need not complain that nobody waits
    if failed.exists():
        unavailable(failed.read_text(encoding="utf-8"))
    if not ports.exists():
        pytest.fail(f"The test broker did not start: {(directory / 'keeper.log').read_text(encoding='utf-8')[-2000:]}")


@pytest.fixture
def kafka_topic(kafka: KafkaCluster, request: pytest.FixtureRequest) -> Iterator[TopicFactory]:
    """Makes a topic with a name of its own: `kafka_topic(partitions=3, name="trades", **config) -> name`."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    made: list[str] = []

    def make(partitions: int = 1, name: str = "topic", replication: int = 1, **config: str) -> str:
        topic = f"{name}-{os.getpid()}-{next(_names)}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        create_topic(admin, topic, partitions, replication, settings)
        made.append(topic)
        return topic

    yield make
    if made:
        for future in admin.delete_topics(made, operation_timeout=10).values():
            future.exception(timeout=10)  # a test may have deleted its topic itself


def create_topic(admin: AdminClient, topic: str, partitions: int, replication: int, config: dict[str, str]) -> None:
    """Create a topic and wait until its partitions have leaders."""
    new = NewTopic(topic, num_partitions=partitions, replication_factor=replication, config=config)
    try:
        admin.create_topics([new], operation_timeout=10)[topic].result(timeout=15)
    except KafkaException as refused:
        # A busy broker made it, but answered too late for the client's first try.
        if refused.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise

    def led() -> bool:
        found = admin.list_topics(topic, timeout=10).topics[topic].partitions
        return len(found) == partitions and all(one.leader >= 0 for one in found.values())

    assert wait_until(led, seconds=15), f"{topic} has no leaders"


@pytest.fixture(scope="session")
def _cluster3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    try:
        home = kafka_home(KAFKA_VAR)
        ports = free_ports(6)
        cluster = KafkaCluster(home, tmp_path_factory.mktemp("kafka3"), (ports[:2], ports[2:4], ports[4:]))
        cluster.start()
    except KafkaUnavailable as reason:
        unavailable(str(reason))
        raise
    yield cluster
    cluster.stop_all()


@pytest.fixture
def kafka_cluster3(_cluster3: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three brokers of this worker's own: `kill(n)`, `stop(n)`, `pause(n)`, `resume(n)`, `restart(n)`."""
    yield _cluster3
    for node in _cluster3.node_ids:
        if _cluster3.pid(node) is not None:
            _cluster3.resume(node)
    down = [node for node in _cluster3.node_ids if _cluster3.pid(node) is None]
    if len(down) > 1:  # without a quorum no node gets ready alone
        _cluster3.stop_all()
        _cluster3.start()
    elif down:
        _cluster3.restart(down[0])
