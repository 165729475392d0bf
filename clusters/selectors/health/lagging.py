"""Partitions that are not in sync, with the brokers to blame."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.health.states import Health
from clusters.models import Cluster, TopicHealth


@dataclass(frozen=True, slots=True)
class LaggingPartition:
    """A partition without a leader or with replicas that are not in sync. `missing` = brokers that hold those."""

    topic: str
    partition: int
    state: Health
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    min_in_sync: int | None

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(broker for broker in self.replicas if broker not in self.in_sync)


def lagging_partitions(user: Person, cluster: Cluster, *, limit: int = 50) -> tuple[tuple[LaggingPartition, ...], int]:
    """(the worst `limit`, how many there are); a partition under planned reassignment is among them."""
    if not may(user, Right.SEE_CLUSTERS):
        return (), 0
    bad = TopicHealth.objects.filter(cluster=cluster).filter(
        Q(under_replicated__gt=0) | Q(offline__gt=0) | Q(under_min__gt=0)
    )
    rows: list[LaggingPartition] = []
    total = 0
    found = bad.order_by("-offline", "-under_min", "-under_replicated", "name")
    for name, least, layout in found.values_list("name", "min_in_sync", "layout").iterator(chunk_size=100):
        for row in _lagging(name, least, layout):
            total += 1
            if len(rows) < limit:
                rows.append(row)
    return tuple(sorted(rows, key=lambda row: (-row.state.rank, row.topic, row.partition))), total


def _lagging(
    name: str, least: int | None, layout: list[tuple[int, int | None, list[int], list[int]]]
) -> Iterator[LaggingPartition]:
    for number, leader, replicas, in_sync in layout:
        if leader is not None and len(in_sync) >= len(replicas):
            continue
        critical = leader is None or (least is not None and len(in_sync) < least)
        state = Health.CRITICAL if critical else Health.WARNING
        yield LaggingPartition(name, number, state, leader, tuple(replicas), tuple(in_sync), least)
