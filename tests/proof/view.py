"""What the portal shows of a cluster, as its selectors tell it to a person who may see everything; and a poll by hand."""

import time

from accounts.models import User
from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_client import KafkaClient
from clusters.models import Cluster
from clusters.ports import GatewayFailed, KafkaPort
from clusters.services.schedule import sources_ensure
from lag import selectors
from lag.collector import PollReport, poll
from lag.rows import BoardQuery, ClusterSummary, GroupDetail, GroupSummary, PartitionRow
from ops_portal.lib.database import database_clock
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline

Place = tuple[str, str, int]  # group, topic, partition


class View:
    """One watched cluster through the selectors."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.user, _ = User.objects.get_or_create(username="sre", role="sre")

    @classmethod
    def of(cls, bootstrap: str, *, period: int = 60, prefix: str = "", name: str = "proof") -> "View":
        """A new cluster row with its sources. `prefix` limits it to the groups and topics of one test."""
        allowed = [f"{prefix}*"] if prefix else []
        cluster = Cluster.objects.create(name=name, bootstrap=bootstrap, group_allow=allowed, topic_allow=allowed)
        sources_ensure(cluster=cluster)
        cluster.sources.update(period_seconds=period)
        return cls(cluster)

    def summary(self) -> ClusterSummary:
        return next(one for one in selectors.cluster_summaries(self.user) if one.id == self.cluster.pk)

    def board(self) -> dict[str, GroupSummary]:
        page = selectors.group_board(self.user, self.cluster, BoardQuery(limit=500))
        assert page.next_cursor is None
        return {item.group: item for item in page.items}

    def detail(self, group: str) -> GroupDetail | None:
        row = selectors.group_by_path(self.user, self.cluster, group)
        return selectors.group_detail(self.user, self.cluster, row) if row is not None else None

    def partitions(self, group: str) -> dict[tuple[str, int], PartitionRow]:
        """Every partition of the group; empty when the group is not on the board."""
        found = self.detail(group)
        topics = found.topics if found is not None else ()
        return {(topic.topic, row.partition): row for topic in topics for row in topic.partitions}

    def places(self) -> dict[Place, PartitionRow]:
        """Every partition of every group."""
        return {
            (group, topic, number): row
            for group in self.board()
            for (topic, number), row in self.partitions(group).items()
        }


class Collector:
    """The real collector on a real client, one poll at a time; `port` may be replaced by one that looks on."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.clock = database_clock()
        self.port: KafkaPort = ConfluentKafka(KafkaClient(view.cluster.bootstrap, {}), self.clock)

    def poll(self, *, seconds: float = 30) -> PollReport:
        """One poll. A coordinator that still loads its groups is asked again."""
        reports: list[PollReport] = []
        trouble: list[str] = []

        def answered() -> bool:
            try:
                report = poll(
                    cluster=self.view.cluster,
                    period=60,
                    port=self.port,
                    clock=self.clock,
                    deadline=Deadline.after(seconds),
                )
            except GatewayFailed as failure:
                trouble.append(failure.message)
                return False
            reports.append(report)
            return True

        assert wait_until(answered, seconds=2 * seconds, step_seconds=0.2), trouble[-1:]
        return reports[0]


def pause(seconds: float) -> None:
    """The pace of the traffic of a test; nothing is waited for."""
    time.sleep(seconds)
