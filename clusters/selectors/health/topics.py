"""Topics of a cluster as operations see them: layout, settings, sizes, rates. Needs the right to see clusters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.health.states import Health
from clusters.models import Cluster, ClusterHealth, Topic, TopicHealth
from clusters.selectors.health.current import health_events
from ops_portal.lib.names import path_id

FIGURES_STALE = timedelta(seconds=180)  # rates and sizes are read once a minute
TOPIC_SORTS = {  # field -> column
    "topic": "name",
    "partitions": "partitions",
    "size_bytes": "size_bytes",
    "growth_bytes_per_hour": "growth_bytes_per_hour",
    "records_in_rate": "records_in_rate",
    "bytes_in_rate": "bytes_in_rate",
    "bytes_out_rate": "bytes_out_rate",
    "under_replicated": "under_replicated",
    "offline": "offline",
}


@dataclass(frozen=True, slots=True)
class TopicRow:
    """One line of the topics of a cluster. Rates per second; sizes over all replicas; None = not known."""

    cluster: str
    topic: str
    state: Health
    partitions: int
    replication: int
    min_in_sync: int | None
    under_replicated: int
    under_min_isr: int
    offline: int
    reassigning: int
    size_bytes: float | None
    growth_bytes_per_hour: float | None
    records_in_rate: float | None
    bytes_in_rate: float | None
    bytes_out_rate: float | None
    client: str | None
    observed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """One partition. `preferred` = the first replica leads; offsets as of `TopicView.offsets_at`."""

    partition: int
    leader: int | None
    preferred: bool
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    missing: tuple[int, ...]  # replicas that are not in sync
    start: int | None
    end: int | None

    @property
    def records(self) -> int | None:
        """Offsets between start and end: at most so many records (compaction and transactions leave gaps)."""
        return None if self.start is None or self.end is None else self.end - self.start


@dataclass(frozen=True, slots=True)
class TopicView:
    """Everything about a topic that is not lag."""

    row: TopicRow
    partitions: tuple[PartitionRow, ...]
    leaders: Mapping[int, int]  # broker -> partitions it leads
    settings: Mapping[str, str | None]
    layout_at: datetime | None  # when leaders or in-sync replicas changed last
    offsets_at: datetime | None
    events: tuple[Any, ...]


def topic_rows(
    user: Person,
    cluster: Cluster,
    *,
    q: str = "",
    states: Sequence[str] = (),
    sort: str = "topic",
    limit: int | None = None,
    offset: int = 0,
) -> tuple[tuple[TopicRow, ...], int]:
    """(rows, total) of the topics that match; `sort` one of TOPIC_SORTS, `-` in front = descending, nulls last."""
    if not may(user, Right.SEE_CLUSTERS):
        return (), 0
    rows = TopicHealth.objects.filter(cluster=cluster)
    if q:
        rows = rows.filter(name__icontains=q)
    if states:
        rows = rows.filter(_in_states(states))
    column = F(TOPIC_SORTS[sort.removeprefix("-")])
    order = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    total = rows.count()
    found = rows.defer("layout", "offsets", "settings").order_by(order, "name")
    page = list(found[offset:] if limit is None else found[offset : offset + limit])
    owners = _owners(cluster, [row.name for row in page])
    observed = _observed(cluster)
    return tuple(_row(cluster, row, owners.get(row.name), observed) for row in page), total


def topic_name(cluster: Cluster, segment: str) -> str:
    """The topic that a path segment names, `name` or `~<id>`; "" for an id that no topic of the cluster has."""
    pk = path_id(segment)
    if pk is None:
        return segment
    found = Topic.objects.filter(cluster=cluster, pk=pk, vanished_at__isnull=True).values_list("name", flat=True)
    return found.first() or ""


def topic_view(user: Person, cluster: Cluster, segment: str) -> TopicView | None:
    """One topic by its name or `~<id>`; None where there is none or the user may not see it."""
    if not may(user, Right.SEE_CLUSTERS):
        return None
    name = topic_name(cluster, segment)
    row = TopicHealth.objects.filter(cluster=cluster, name=name).first()
    if row is None:
        return None
    partitions = tuple(_partition(one, row.offsets) for one in sorted(row.layout))
    leaders: dict[int, int] = {}
    for one in partitions:
        if one.leader is not None:
            leaders[one.leader] = leaders.get(one.leader, 0) + 1
    return TopicView(
        row=_row(cluster, row, _owners(cluster, [name]).get(name), _observed(cluster)),
        partitions=partitions,
        leaders=dict(sorted(leaders.items())),
        settings=dict(sorted(row.settings.items())),
        layout_at=row.layout_at,
        offsets_at=row.offsets_at,
        events=health_events(user, cluster, topic=name, limit=50),
    )


def largest_topics(user: Person, cluster: Cluster, *, limit: int = 20) -> tuple[TopicRow, ...]:
    """Topics by size, for the storage panel."""
    return topic_rows(user, cluster, sort="-size_bytes", limit=limit)[0]


def _in_states(states: Sequence[str]) -> Q:
    critical = Q(offline__gt=0) | Q(under_min__gt=0)
    warning = Q(under_replicated__gt=0) & ~critical
    wanted = {Health.CRITICAL.value: critical, Health.WARNING.value: warning, Health.OK.value: ~critical & ~warning}
    found = Q(pk__in=[])
    for state in states:
        found |= wanted.get(state, Q(pk__in=[]))
    return found


def _row(
    cluster: Cluster, row: TopicHealth, client: str | None, observed: tuple[datetime | None, datetime | None]
) -> TopicRow:
    brokers_at, prometheus_at = observed
    fresh = bool(prometheus_at and row.figures_at and prometheus_at - row.figures_at < FIGURES_STALE)
    state = Health.CRITICAL if row.offline or row.under_min else Health.WARNING if row.under_replicated else Health.OK
    return TopicRow(
        cluster=cluster.name, topic=row.name, state=state, partitions=row.partitions, replication=row.replication,
        min_in_sync=row.min_in_sync, under_replicated=row.under_replicated, under_min_isr=row.under_min,
        offline=row.offline, reassigning=row.reassigning, size_bytes=row.size_bytes,
        growth_bytes_per_hour=row.growth_bytes_per_hour, records_in_rate=row.records_in_rate if fresh else None,
        bytes_in_rate=row.bytes_in_rate if fresh else None, bytes_out_rate=row.bytes_out_rate if fresh else None,
        client=client, observed_at=brokers_at,
    )  # fmt: skip


def _partition(found: list[Any], offsets: Mapping[str, list[int | None]]) -> PartitionRow:
    number, leader, replicas, in_sync = found
    start, end = offsets.get(str(number), (None, None))
    return PartitionRow(
        number, leader, bool(replicas) and leader == replicas[0], tuple(replicas), tuple(in_sync),
        tuple(one for one in replicas if one not in in_sync), start, end,
    )  # fmt: skip


def _owners(cluster: Cluster, names: Sequence[str]) -> dict[str, str]:
    rows = Topic.objects.filter(cluster=cluster, name__in=names, vanished_at__isnull=True, client__isnull=False)
    return dict(rows.values_list("name", "client__name"))


def _observed(cluster: Cluster) -> tuple[datetime | None, datetime | None]:
    health = ClusterHealth.objects.filter(cluster=cluster).only("brokers_at", "prometheus_at").first()
    return (None, None) if health is None else (health.brokers_at, health.prometheus_at)
