"""A topic on all brokers and one on each alone, with a group on each, watched by a running portal."""

import time
import uuid
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient, NewTopic

from clusters.selectors import SourceRow, sources
from ops_portal.lib.kafka_runner import KafkaCluster
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import create_topic
from tests.proof.clients import commit, produce
from tests.proof.site import Site

if TYPE_CHECKING:
    from tests.proof.view import View


class World:
    """A topic on all brokers and one on each alone, with a group on each; names are this test's own."""

    def __init__(self, site: Site, kafka: KafkaCluster, *, period: int = 1) -> None:
        self.site, self.kafka = site, kafka
        self.prefix = f"fault-{uuid.uuid4().hex[:8]}"
        self.spread = f"{self.prefix}-spread"
        self.alone = {node: f"{self.prefix}-alone-{node}" for node in kafka.node_ids}
        self.admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        assert wait_until(lambda: len(self.admin.list_topics(timeout=10).brokers) == 3, seconds=60)
        create_topic(self.admin, self.spread, 3, 3, {})
        new = [
            NewTopic(name, num_partitions=1, replica_assignment=[[node]], config={"min.insync.replicas": "1"})
            for node, name in self.alone.items()
        ]
        for future in self.admin.create_topics(new, operation_timeout=20).values():
            future.result(30)
        self.produced = 10
        self.begun = time.time()
        produce(kafka.bootstrap, self.places(10))
        self.filled = time.time()
        for name in self.groups():
            partitions = 3 if name == self.spread else 1
            commit(kafka.bootstrap, name, {(name, number): 4 for number in range(partitions)})
        self.view: View = site.watch(kafka.bootstrap, self.prefix, period=period)
        self.all_well()

    def groups(self) -> list[str]:
        """A group has the name of the topic that it reads."""
        return [self.spread, *self.alone.values()]

    def places(self, count: int) -> dict[tuple[str, int], int]:
        return {(self.spread, number): count for number in range(3)} | {
            (name, 0): count for name in self.alone.values()
        }

    def lags(self) -> dict[str, int | None]:
        return {name: row.lag_records for name, row in self.view.board().items()}

    def true_lags(self) -> dict[str, int | None]:
        each = self.produced - 4
        return {self.spread: 3 * each, **dict.fromkeys(self.alone.values(), each)}

    def all_well(self) -> None:
        """Wait until every figure is the true one, fresh and without an error."""

        def well() -> bool:
            source = self.source()
            return (
                self.lags() == self.true_lags()
                and not any(row.stale for row in self.view.board().values())
                and source.error is None
                and source.entity_errors == ()
            )

        assert self.site.eventually(well, seconds=120), (self.lags(), self.source(), self.site.log("worker-poll"))

    def source(self) -> SourceRow:
        return next(row for row in sources(self.view.user, self.view.cluster.name) if row.kind == "lag")

    def assert_seconds(self) -> None:
        """Every group's first unread record came between `begun` and `filled`; the reported lag says so within its bound."""
        for name, row in self.view.board().items():
            assert row.observed_at is not None
            assert row.lag_seconds is not None, name
            least, most = row.observed_at.timestamp() - self.filled, row.observed_at.timestamp() - self.begun
            allowed = max(1.0, 0.05 * most)
            assert least - allowed <= row.lag_seconds <= most + allowed, (name, least, row.lag_seconds, most)
