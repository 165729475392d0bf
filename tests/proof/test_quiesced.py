"""On a cluster where nothing moves the portal says what Kafka's own tool says, of every group and partition."""

from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from lag.rows import PartitionRow
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import create_topic
from tests.proof.clients import commit, produce
from tests.proof.kafka_tool import Told, described
from tests.proof.view import Collector, Place, View

pytestmark = [pytest.mark.django_db, pytest.mark.fault, pytest.mark.xdist_group("fault"), pytest.mark.timeout(300)]

PLAIN, DOTTED, LONG, CUT = "proof-plain", "proof.dotted-name.v1", "proof-" + "x" * 243, "proof-cut"
TOPICS: Mapping[str, tuple[int, ...]] = {  # records per partition
    PLAIN: (50, 7, 0, 1),
    DOTTED: (12, 0, 30),
    LONG: (5,),
    CUT: (40, 40),
}
ODD = (
    "proof group with spaces",
    "proof/slash?query=1&x#y",
    "proof-gr\u00fc\u00dfe-\u6771\u4eac",
    "proof'quote\"%s",
    "p" * 249,
)
NUMBERS_ALIKE = "proof looks like 3 10 20 10"


@pytest.fixture
def filled(kafka_cluster3: KafkaCluster) -> AdminClient:
    """Topics with records, and groups that committed here and there."""
    bootstrap = kafka_cluster3.bootstrap
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for topic, counts in TOPICS.items():
        create_topic(admin, topic, len(counts), 3, {})
    produce(bootstrap, {(topic, number): n for topic, counts in TOPICS.items() for number, n in enumerate(counts)})
    for number, group in enumerate((*ODD, NUMBERS_ALIKE)):
        commit(bootstrap, group, {(PLAIN, 0): 7 * number, (DOTTED, 2): 30 - number})
    # Of an empty partition: a lag of 0, not "no commit".
    commit(bootstrap, "proof-caught-up", {(PLAIN, 0): 50, (PLAIN, 2): 0, (LONG, 0): 5})
    commit(bootstrap, "proof-beyond", {(LONG, 0): 9})
    commit(bootstrap, "proof-cut", {(CUT, 0): 10, (CUT, 1): 30})
    cut = [TopicPartition(CUT, 0, 25), TopicPartition(CUT, 1, 25)]
    for future in admin.delete_records(cut, operation_timeout=20).values():
        future.result(30)
    return admin


def holds_all(consumer: Consumer) -> bool:
    consumer.poll(0.2)
    return len(consumer.assignment()) == len(TOPICS[PLAIN]) + len(TOPICS[DOTTED])


@pytest.fixture
def readers(kafka_cluster3: KafkaCluster, filled: AdminClient) -> Iterator[list[Consumer]]:
    """A group of each protocol with members that hold partitions and committed on some of them only."""
    made = []
    for protocol in ("classic", "consumer"):
        consumer = Consumer(
            {
                "bootstrap.servers": kafka_cluster3.bootstrap,
                "group.id": f"proof-{protocol}-reader",
                "group.protocol": protocol,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.subscribe([PLAIN, DOTTED])
        made.append(consumer)
    for consumer in made:
        assert wait_until(lambda one=consumer: holds_all(one), seconds=90), "no assignment"  # type: ignore[misc]
        consumer.commit(offsets=[TopicPartition(PLAIN, 0, 20), TopicPartition(DOTTED, 1, 0)], asynchronous=False)
    yield made
    for consumer in made:
        consumer.close()


def test_every_group_and_partition_equals_kafkas_own_tool(
    kafka_cluster3: KafkaCluster, filled: AdminClient, readers: list[Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View.of(kafka_cluster3.bootstrap)
    collector = Collector(view)
    assert list(collector.poll().errors) == []
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dsun.stdout.encoding=UTF-8 -Dstdout.encoding=UTF-8")
    told, shown = described(kafka_cluster3), view.places()
    assert {group for group, _, _ in told} >= {*ODD, NUMBERS_ALIKE, "proof-caught-up", "proof-beyond", "proof-cut"}
    assert shown.keys() == told.keys()
    assert {place: (row.committed, row.high_watermark, row.member) for place, row in shown.items()} == {
        place: (row.committed, row.end, row.member) for place, row in told.items()
    }
    # Records that are gone cannot be read any more; Kafka's tool counts them, the portal tells them apart.
    cut, beyond = ("proof-cut", CUT, 0), ("proof-beyond", LONG, 0)
    same = told.keys() - {cut, beyond}
    assert {place: shown[place].lag_records for place in same} == {place: told[place].lag for place in same}
    assert told[cut] == Told(10, 40, 30, None)
    assert (shown[cut].start, shown[cut].lag_records) == (25, 15)
    assert (told[beyond].committed, told[beyond].end) == (9, 5)
    assert shown[beyond].lag_records is None
    assert "beyond_end" in shown[beyond].flags
    assert {row.lag_records for place, row in told_nothing(told, shown).items()} == {None}
    assert_sums(view)
    collector.poll()  # a loss is told when a second reading of the commit confirms it
    assert view.board()["proof-cut"].verdict == "truncated"


def told_nothing(told: dict[Place, Told], shown: dict[Place, PartitionRow]) -> dict[Place, PartitionRow]:
    """Partitions that members hold without a commit; the test has some."""
    found = {place: shown[place] for place, row in told.items() if row.committed is None}
    assert len(found) >= 10
    return found


def assert_sums(view: View) -> None:
    """The board's figures are the sums of its partitions, the cluster's those of the board."""
    board = view.board()
    for group, summary in board.items():
        lags = [row.lag_records for row in view.partitions(group).values() if row.lag_records is not None]
        assert summary.lag_records == (sum(lags) if lags else None), group
        assert summary.lag_records_max == max(lags, default=None), group
    assert {board[f"proof-{name}-reader"].members for name in ("classic", "consumer")} == {1}
    assert view.summary().lag_records == sum(one.lag_records or 0 for one in board.values())
