"""The demo's traffic on a real cluster: groups do what their habit says, and commands act on them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from ops_portal.demo import control, ground
from ops_portal.demo.topology import GROUPS, TOPICS, Habit, group, topic
from ops_portal.lib.embedded import runtime_directory
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import ROOT

RATE = 400.0  # a quiet day: the test machine has other things to do

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def traffic(kafka_cluster3: KafkaCluster, var: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The traffic process with everyone at work; started for the test, so that no test inherits another's scenario."""
    ground.lay(kafka_cluster3.bootstrap, RATE)
    runtime_directory(var).mkdir(parents=True, exist_ok=True)
    arguments = [
        "--bootstrap",
        kafka_cluster3.bootstrap,
        "--rate",
        str(RATE),
        "--socket",
        str(control.socket_path(var)),
    ]
    process = subprocess.Popen([sys.executable, "-m", "ops_portal.demo.traffic", *arguments], cwd=ROOT)
    try:
        assert wait_until(lambda: control.everyone_begun(var), seconds=90, step_seconds=0.3)
        yield process
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def committed(kafka_cluster3: KafkaCluster) -> Callable[[str], dict[int, int]]:
    """Committed offsets of a demo group by partition."""

    def read(name: str) -> dict[int, int]:
        spec = group(name)
        assert spec is not None
        consumer = Consumer({"bootstrap.servers": kafka_cluster3.bootstrap, "group.id": name})
        try:
            places = [TopicPartition(spec.topic, number) for number in range(topic(spec.topic).partitions)]
            found = consumer.committed(places, timeout=10)
            return {place.partition: place.offset for place in found if place.offset >= 0}
        finally:
            consumer.close()

    return read


@pytest.fixture
def member_count(kafka_cluster3: KafkaCluster) -> Callable[[str], int]:
    admin = AdminClient({"bootstrap.servers": kafka_cluster3.bootstrap})

    def count(name: str) -> int:
        admin.list_topics(timeout=10)
        return len(admin.describe_consumer_groups([name])[name].result(timeout=10).members)

    return count


def children(process: subprocess.Popen[bytes]) -> set[int]:
    return {int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}


def test_ground_is_laid_once(kafka_cluster3: KafkaCluster, committed: Callable[[str], dict[int, int]]) -> None:
    ground.lay(kafka_cluster3.bootstrap, RATE)
    before = {spec.name: committed(spec.name) for spec in GROUPS if spec.start_behind_seconds is not None}

    ground.lay(kafka_cluster3.bootstrap, RATE)

    admin = AdminClient({"bootstrap.servers": kafka_cluster3.bootstrap})
    found = admin.list_topics(timeout=10).topics
    assert {spec.name: spec.partitions for spec in TOPICS}.items() <= {
        name: len(one.partitions) for name, one in found.items()
    }.items()
    stopped = next(spec.name for spec in GROUPS if spec.habit is Habit.STOPPED)
    assert before[stopped]
    assert committed(stopped) == before[stopped]


def test_groups_keep_their_habits(
    traffic: subprocess.Popen[bytes], committed: Callable[[str], dict[int, int]], member_count: Callable[[str], int]
) -> None:
    first = {name: committed(name) for name in ("risk-engine", "meridianvale-valuation", "harbourline-archive")}

    assert member_count("risk-engine") == 3
    assert member_count("stonebridge-signals") == 2
    assert member_count("harbourline-archive") == 0
    assert member_count("meridianvale-valuation") == 1
    assert wait_until(lambda: sum(committed("risk-engine").values()) > sum(first["risk-engine"].values()), seconds=30)
    assert committed("meridianvale-valuation") == first["meridianvale-valuation"]
    assert committed("harbourline-archive") == first["harbourline-archive"]


def test_crashed_member_is_missed_and_comes_back_with_restore(
    traffic: subprocess.Popen[bytes], var: Path, member_count: Callable[[str], int]
) -> None:
    before = children(traffic)

    answer = control.ask(var, "crash", group="risk-engine")

    assert "SIGKILL" in answer
    assert wait_until(lambda: len(before - children(traffic)) == 1, seconds=10)
    assert wait_until(lambda: member_count("risk-engine") == 2, seconds=30, step_seconds=0.5)
    assert "risk-engine-1" in control.ask(var, "restore")
    assert wait_until(lambda: member_count("risk-engine") == 3, seconds=30, step_seconds=0.5)


def test_rewound_group_commits_an_older_offset(
    traffic: subprocess.Popen[bytes], var: Path, committed: Callable[[str], dict[int, int]]
) -> None:
    for name in ("harbourline-archive", "meridianvale-valuation"):
        before = committed(name)
        assert before
        control.ask(var, "rewind", group=name, records=5)

        def gone_back(name: str = name, before: dict[int, int] = before) -> bool:
            now = committed(name)
            return all(now[number] == max(0, offset - 5) for number, offset in before.items())

        assert wait_until(gone_back, seconds=20, step_seconds=0.3), name


def test_stalled_group_reads_again_after_restore(
    traffic: subprocess.Popen[bytes], var: Path, committed: Callable[[str], dict[int, int]]
) -> None:
    control.ask(var, "slow", group="northgate-positions", pace=0)

    def at_rest() -> bool:
        before = committed("northgate-positions")
        time.sleep(3)  # longer than the commit interval
        return committed("northgate-positions") == before

    assert wait_until(at_rest, seconds=30)
    held = sum(committed("northgate-positions").values())
    control.ask(var, "restore")
    assert wait_until(lambda: sum(committed("northgate-positions").values()) > held, seconds=20, step_seconds=0.3)


def test_slowed_group_goes_on_reading_but_falls_behind(
    traffic: subprocess.Popen[bytes],
    var: Path,
    kafka_cluster3: KafkaCluster,
    committed: Callable[[str], dict[int, int]],
) -> None:
    answer = control.ask(var, "slow", group="northgate-positions", pace=0.2)
    assert "20%" in answer

    def lag() -> int:
        consumer = Consumer({"bootstrap.servers": kafka_cluster3.bootstrap, "group.id": "demo-test"})
        try:
            return sum(
                consumer.get_watermark_offsets(TopicPartition("portfolio.state", number), timeout=10)[1] - offset
                for number, offset in committed("northgate-positions").items()
            )
        finally:
            consumer.close()

    before, behind = sum(committed("northgate-positions").values()), lag()
    assert wait_until(lambda: lag() > behind + 200, seconds=60, step_seconds=0.5)
    middle = sum(committed("northgate-positions").values())
    assert middle > before
    assert wait_until(lambda: sum(committed("northgate-positions").values()) > middle, seconds=20, step_seconds=0.5)


def test_commands_that_make_no_sense_are_refused_with_a_reason(traffic: subprocess.Popen[bytes], var: Path) -> None:
    with pytest.raises(control.CommandRefused, match="There is no group 'nobody'"):
        control.ask(var, "crash", group="nobody")
    with pytest.raises(control.CommandRefused, match="has no running member"):
        control.ask(var, "crash", group="harbourline-archive")
    with pytest.raises(control.CommandRefused, match="share group"):
        control.ask(var, "rewind", group="stonebridge-alert-queue", records=5)
    with pytest.raises(control.CommandRefused, match="not understood"):
        control.ask(var, "slow", group="risk-engine", pace="fast")
    assert traffic.poll() is None


def test_nothing_of_the_traffic_outlives_a_stop_or_a_kill(kafka_cluster3: KafkaCluster, var: Path) -> None:
    ground.lay(kafka_cluster3.bootstrap, RATE)
    arguments = [
        "--bootstrap",
        kafka_cluster3.bootstrap,
        "--rate",
        str(RATE),
        "--socket",
        str(control.socket_path(var)),
    ]
    runtime_directory(var).mkdir(parents=True, exist_ok=True)
    for stop in ("terminate", "kill"):
        process = subprocess.Popen([sys.executable, "-m", "ops_portal.demo.traffic", *arguments], cwd=ROOT)
        assert wait_until(lambda: control.everyone_begun(var), seconds=90, step_seconds=0.3)
        workers = children(process)
        getattr(process, stop)()
        process.wait(10)
        assert len(workers) > 15
        assert wait_until(partial(_all_gone, workers), seconds=15)


def _all_gone(pids: set[int]) -> bool:
    return not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def test_no_demo_running_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(control.DemoNotRunning, match="start it with `make demo`"):
        control.ask(tmp_path, "status")
