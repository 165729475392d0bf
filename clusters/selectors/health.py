"""Health of clusters for pages, API and live views: verdict, signals, brokers, topics, events, history, targets.

Everything here needs the right to see clusters: brokers and other clients' topics are not for everybody. A selector returns
None, or nothing, for who has it not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.health.join import Joined, Verdict, joined, verdict_of
from clusters.health.states import Health, Source
from clusters.models import Cluster, ClusterHealth, HealthEvent
from clusters.models import Source as SourceRow
from clusters.promql import Dialect
from clusters.selectors.health_states import configured_of, seen_rows
from clusters.signals import Signal
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.units import is_stale

RUNBOOK = "/docs/health#{signal}"


@dataclass(frozen=True, slots=True)
class PartRow:
    """One entity of a signal: `broker 2`, a listener, a disk."""

    entity: str
    state: Health
    value: float | None


@dataclass(frozen=True, slots=True)
class OneSource:
    """What one of a signal's sources says by itself."""

    source: Source
    state: Health
    reason: str
    value: float | None
    query: str
    observed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal as it stands. `value` is of the worst `entity` ('' = the cluster); `since` = in this state."""

    cluster: str
    signal: Signal
    state: Health
    reason: str
    value: float | None
    entity: str
    query: str  # PromQL, or what is read through the admin API
    sources: tuple[Source, ...]
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool
    since: datetime | None
    runbook: str
    parts: tuple[PartRow, ...] = ()
    seen: tuple[OneSource, ...] = ()

    @property
    def id(self) -> str:
        return self.signal.id


@dataclass(frozen=True, slots=True)
class BrokerRow:
    """A broker. Figures of Prometheus are None where it is not set, stale, or does not tell which broker they are of.

    Rates are per second; `cpu_cores` = processors in use; `idle` = share of time that request handlers are idle; skews are
    shares of the mean; `disk_*` of the fullest disk that holds its logs, `disk_hours` None = does not grow or not known.
    """

    id: int
    host: str
    port: int
    rack: str | None
    state: Health
    why_down: str
    down_since: datetime | None
    controller: bool
    leaders: int
    replicas: int
    in_sync: int
    leader_skew: float | None
    replica_skew: float | None
    version: str | None = None
    started_at: datetime | None = None
    idle: float | None = None
    cpu_cores: float | None = None
    memory_bytes: float | None = None
    heap_bytes: float | None = None
    bytes_in_rate: float | None = None
    bytes_out_rate: float | None = None
    records_in_rate: float | None = None
    received_rate: float | None = None
    sent_rate: float | None = None
    log_bytes: float | None = None
    disk_mount: str | None = None
    disk_bytes: float | None = None
    disk_free_bytes: float | None = None
    disk_free_ratio: float | None = None
    disk_growth_per_hour: float | None = None
    disk_hours: float | None = None
    isr_shrink_rate: float | None = None
    isr_expand_rate: float | None = None
    log_dirs: tuple[str, ...] = ()

    @property
    def out_of_sync(self) -> int:
        return self.replicas - self.in_sync


@dataclass(frozen=True, slots=True)
class SourceAge:
    """How fresh one source of the cluster's health is. `configured` is '' or why it has nothing to say."""

    source: Source
    configured: str
    observed_at: datetime | None
    age_seconds: float | None
    period_seconds: float
    stale: bool
    error: str


@dataclass(frozen=True, slots=True)
class HealthView:
    """The health of one cluster. The dictionaries are those of `clusters.health.performance.performance_of`;
    they are empty while Prometheus is stale or not set."""

    cluster: str
    cluster_id: int
    verdict: Health
    verdict_since: datetime | None
    reasons: tuple[str, ...]
    counts: Mapping[Health, int]
    signals: tuple[SignalRow, ...]
    brokers: tuple[BrokerRow, ...]
    figures: Mapping[str, Any]  # topics, partitions, replicas, in_sync, brokers, brokers_up, reassigning, cluster_id
    sources: tuple[SourceAge, ...]
    exporter: str  # dialect in words, '' while it is not known
    controller: int | None
    controllers: tuple[str, ...]  # addresses of the inventory
    throughput: Mapping[str, float | None] = field(default_factory=dict)
    latency: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    phases: Mapping[str, float | None] = field(default_factory=dict)
    isr: Mapping[str, float | None] = field(default_factory=dict)
    quorum: Mapping[str, int | None] = field(default_factory=dict)
    rest: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def bad(self) -> tuple[SignalRow, ...]:
        """Critical, then warning, then unknown signals."""
        worst_first = sorted(self.signals, key=lambda row: -row.state.rank)
        return tuple(row for row in worst_first if row.state is not Health.OK)


@dataclass(frozen=True, slots=True)
class ClusterVerdict:
    """One line of the list of clusters."""

    cluster: str
    cluster_id: int
    verdict: Health
    verdict_since: datetime | None
    reasons: tuple[str, ...]
    counts: Mapping[Health, int]
    brokers: int | None
    brokers_up: int | None
    partitions: int | None
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool
    under_replicated: float | None = None  # partitions; None while that cannot be told


def health_clusters(user: Person) -> list[Cluster]:
    """Clusters whose health the user may see, by name."""
    if not may(user, Right.SEE_CLUSTERS):
        return []
    return list(Cluster.objects.filter(removed_at__isnull=True).order_by("name"))


def health_cluster(user: Person, name: str) -> Cluster | None:
    """The cluster of that name, where the user may see its health."""
    return next((cluster for cluster in health_clusters(user) if cluster.name == name), None)


def cluster_verdicts(user: Person) -> tuple[ClusterVerdict, ...]:
    """Every cluster with its verdict, worst first."""
    clusters = health_clusters(user)
    rows = [_line(view) for view in _views(clusters)]
    return tuple(sorted(rows, key=lambda row: (-row.verdict.rank, row.cluster)))


def cluster_health(user: Person, cluster: Cluster) -> HealthView | None:
    """Everything the page of a cluster shows; None for who may not see it."""
    return _views([cluster])[0] if may(user, Right.SEE_CLUSTERS) else None


def signals_now(
    cluster_ids: Iterable[int] | None = None,
) -> list[tuple[Cluster, Verdict, tuple[SignalRow, ...], datetime | None]]:
    """Verdict and signals of clusters (default all), for live views and metrics, whose callers have checked the right."""
    clusters = Cluster.objects.filter(removed_at__isnull=True).order_by("name")
    if cluster_ids is not None:
        clusters = clusters.filter(pk__in=list(cluster_ids))
    now = database_clock().now()
    found = list(clusters)
    seen = seen_rows([cluster.pk for cluster in found], now=now)
    rows = []
    for cluster in found:
        configured = configured_of(cluster)
        signals = joined(seen.get(cluster.pk, {}), configured)
        rows.append(
            (
                cluster,
                verdict_of(signals, configured),
                tuple(_signal(cluster.name, one, now) for one in signals),
                _newest(signals),
            )
        )
    return rows


def health_events(
    user: Person,
    cluster: Cluster | None = None,
    *,
    kinds: Sequence[str] = (),
    topic: str = "",
    broker: int | None = None,
    limit: int = 100,
) -> tuple[HealthEvent, ...]:
    """What happened lately, newest first."""
    if not may(user, Right.SEE_CLUSTERS):
        return ()
    events = HealthEvent.objects.select_related("cluster").filter(cluster__removed_at__isnull=True)
    if cluster is not None:
        events = events.filter(cluster=cluster)
    if kinds:
        events = events.filter(kind__in=kinds)
    if topic:
        events = events.filter(topic=topic)
    if broker is not None:
        events = events.filter(broker=broker)
    return tuple(events.order_by("-at", "-pk")[:limit])


# --- building ------------------------------------------------------------------------------------------------------------
def _views(clusters: Sequence[Cluster]) -> list[HealthView]:
    now = database_clock().now()
    ids = [cluster.pk for cluster in clusters]
    seen = seen_rows(ids, now=now)
    healths = {row.pk: row for row in ClusterHealth.objects.filter(pk__in=ids)}
    sources: dict[int, dict[str, SourceRow]] = {}
    for row in SourceRow.objects.filter(cluster__in=ids, kind__in=[one.value for one in Source]):
        sources.setdefault(row.cluster_id, {})[row.kind] = row
    return [
        _view(cluster, healths.get(cluster.pk), seen.get(cluster.pk, {}), sources.get(cluster.pk, {}), now)
        for cluster in clusters
    ]


def _view(
    cluster: Cluster,
    health: ClusterHealth | None,
    seen: Mapping[str, Any],
    sources: Mapping[str, SourceRow],
    now: float,
) -> HealthView:
    configured = configured_of(cluster)
    found = joined(seen, configured)
    verdict = verdict_of(found, configured)
    ages = tuple(_age(one, sources.get(one.value), health, configured[one], now) for one in Source)
    fresh = {age.source: not age.stale for age in ages}
    known = health or ClusterHealth(cluster=cluster)
    shown = known.performance if fresh[Source.PROMETHEUS] else {}
    controller = shown.get("controller")
    return HealthView(
        cluster=cluster.name,
        cluster_id=cluster.pk,
        verdict=verdict.state,
        verdict_since=known.verdict_since if known.verdict == verdict.state.value else None,
        reasons=verdict.reasons,
        counts=verdict.counts,
        signals=tuple(_signal(cluster.name, one, now) for one in found),
        brokers=_brokers(known, fresh, controller),
        figures=known.figures if fresh[Source.BROKERS] else {},
        sources=ages,
        exporter=Dialect(known.dialect).label if known.dialect else "",
        controller=controller,
        controllers=tuple(text.strip() for text in cluster.controllers.split(",") if text.strip()),
        throughput=shown.get("throughput", {}),
        latency=shown.get("latency", {}),
        phases=shown.get("phases", {}),
        isr=shown.get("isr", {}),
        quorum=shown.get("quorum", {}),
        rest=tuple(shown.get("rest", ())),
        warnings=tuple(known.warnings),
    )


def _brokers(health: ClusterHealth, fresh: Mapping[Source, bool], controller: int | None) -> tuple[BrokerRow, ...]:
    rows = []
    for row in health.brokers:
        more = dict(health.broker_figures.get(str(row["id"]), {})) if fresh[Source.PROMETHEUS] and row["up"] else {}
        started = more.pop("started_at", None)
        down_since = row.get("down_since")
        rows.append(
            BrokerRow(
                id=row["id"], host=row["host"], port=row["port"], rack=row["rack"],
                state=Health.UNKNOWN if row["up"] and not fresh[Source.BROKERS] else Health.OK if row["up"] else Health.CRITICAL,
                why_down=row["why_down"], down_since=as_datetime(down_since) if down_since else None,
                controller=controller == row["id"], leaders=row["leaders"], replicas=row["replicas"], in_sync=row["in_sync"],
                leader_skew=row["leader_skew"], replica_skew=row["replica_skew"],
                started_at=as_datetime(started) if started else None,
                log_dirs=tuple(health.log_dirs.get(str(row["id"]), ())), **more,
            )
        )  # fmt: skip
    return tuple(rows)


def _signal(cluster: str, one: Joined, now: float) -> SignalRow:
    return SignalRow(
        cluster=cluster,
        signal=one.signal,
        state=one.state,
        reason=one.reason,
        value=one.value,
        entity=one.entity,
        query=one.query or one.signal.admin,
        sources=one.sources,
        observed_at=_moment(one.observed_at),
        age_seconds=None if one.observed_at is None else max(0.0, now - one.observed_at),
        stale=one.stale,
        since=_moment(one.since),
        runbook=RUNBOOK.format(signal=one.signal.id),
        parts=tuple(PartRow(part.entity, part.state, part.value) for part in one.parts),
        seen=tuple(
            OneSource(
                seen.source,
                seen.state,
                seen.reason,
                seen.value,
                seen.query or one.signal.admin,
                _moment(seen.observed_at),
            )
            for seen in one.seen
        ),
    )


def _age(source: Source, row: SourceRow | None, health: ClusterHealth | None, configured: str, now: float) -> SourceAge:
    at = None if health is None else health.brokers_at if source is Source.BROKERS else health.prometheus_at
    age = None if at is None else max(0.0, now - at.timestamp())
    period = float(row.period_seconds) if row is not None else 15.0
    stale = bool(configured) or is_stale(age, period)
    return SourceAge(source, configured, at, age, period, stale, row.last_error if row is not None else "")


def _line(view: HealthView) -> ClusterVerdict:
    brokers = next(age for age in view.sources if age.source is Source.BROKERS)
    under_replicated = next((row.value for row in view.signals if row.id == "under_replicated"), None)
    return ClusterVerdict(
        view.cluster, view.cluster_id, view.verdict, view.verdict_since, view.reasons, view.counts,
        view.figures.get("brokers"), view.figures.get("brokers_up"), view.figures.get("partitions"),
        brokers.observed_at, brokers.age_seconds, brokers.stale, under_replicated,
    )  # fmt: skip


def _newest(signals: Iterable[Joined]) -> datetime | None:
    times = [one.observed_at for one in signals if one.observed_at is not None]
    return as_datetime(max(times)) if times else None


def _moment(at: float | None) -> datetime | None:
    return None if at is None else as_datetime(at)


def brokers_up() -> list[tuple[str, list[tuple[int, bool]]]]:
    """Cluster -> (broker, up) of every cluster whose brokers were read lately; for metrics, whose caller has checked the right."""
    rows = []
    clusters = list(Cluster.objects.filter(removed_at__isnull=True).order_by("name"))
    for view in _views(clusters):
        found = [
            (broker.id, broker.state is Health.OK) for broker in view.brokers if broker.state is not Health.UNKNOWN
        ]
        if found:
            rows.append((view.cluster, found))
    return rows
