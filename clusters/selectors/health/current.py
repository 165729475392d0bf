"""Health as it stands: verdicts, signals, brokers and events."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.health.join import Joined, Verdict, joined, verdict_of
from clusters.health.states import Health, Source
from clusters.models import Cluster, ClusterHealth, HealthEvent
from clusters.models import Source as SourceRow
from clusters.promql import Dialect
from clusters.selectors.health.rows import (
    RUNBOOK,
    BrokerRow,
    ClusterVerdict,
    HealthView,
    OneSource,
    PartRow,
    SignalRow,
    SourceAge,
)
from clusters.selectors.health.states import configured_of, seen_rows
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.units import is_stale


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
