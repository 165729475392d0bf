"""Reads of clusters, sources and their runs. All take the user and show nothing beyond that user's rights and scope."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, Func, QuerySet

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.models import Cluster, PollRun, Source
from clusters.states import SourceState
from ops_portal.lib.units import is_stale


class DatabaseTime(Func):
    """PostgreSQL's clock at this moment, also inside a long transaction."""

    function = "clock_timestamp"
    output_field = DateTimeField()


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source (interfaces.md 3). `entity_errors`: {"entity", "code", "message", "since"}; `requests`: API -> count of the newest run."""

    id: int
    cluster: str
    kind: str
    period_seconds: int
    state: SourceState
    last_success_at: datetime | None
    age_seconds: float | None
    stale: bool
    error: str | None
    entity_errors: tuple[dict[str, Any], ...]
    requests: dict[str, int]
    breaker: str  # closed | open | half_open
    error_code: str | None = None  # the rest is for pages, not part of the contract
    failing_since: datetime | None = None
    next_probe_at: datetime | None = None  # while the breaker is open
    enabled: bool = True


def clusters_visible(user: Person) -> QuerySet[Cluster]:
    """Clusters by name, for whoever may see lag at all; addresses and brokers are for holders of SEE_CLUSTERS."""
    rows = Cluster.objects.filter(removed_at__isnull=True).order_by("name")
    return rows if may(user, Right.SEE_LAG) else rows.none()


def cluster_named(user: Person, name: str) -> Cluster | None:
    """The cluster of that name; None when there is none that the user may see."""
    return clusters_visible(user).filter(name=name).first() if "\0" not in name else None


def sources(user: Person, cluster: str | None = None) -> list[SourceRow]:
    """Every source by cluster and kind, or those of one cluster; nothing without the right to see sources."""
    return source_rows(cluster) if may(user, Right.SEE_SOURCES) else []


def source_rows(cluster: str | None = None) -> list[SourceRow]:
    """As `sources`, for callers that have checked the right."""
    rows = Source.objects.filter(cluster__removed_at__isnull=True).select_related("cluster")
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    return [_source_row(row) for row in rows.annotate(now=DatabaseTime()).order_by("cluster__name", "kind")]


def source_named(user: Person, cluster: str, kind: str) -> SourceRow | None:
    """One source; None when there is none that the user may see."""
    return next((row for row in sources(user, cluster) if row.kind == kind), None)


def source_of(cluster: Cluster, kind: str) -> Source | None:
    """The stored source, for whoever has found the cluster."""
    return Source.objects.filter(cluster=cluster, kind=kind).first()


def source_runs(user: Person, source_id: int, limit: int = 50) -> list[PollRun]:
    """The newest runs of a source, newest first; nothing without the right to see sources."""
    if not may(user, Right.SEE_SOURCES):
        return []
    rows = PollRun.objects.filter(source_id=source_id, source__cluster__removed_at__isnull=True)
    return list(rows.order_by("-slot")[: max(1, min(limit, 500))])


def _source_row(row: Source) -> SourceRow:
    now: datetime = row.now  # type: ignore[attr-defined]  # annotated
    age = None if row.last_success_at is None else max(0.0, (now - row.last_success_at).total_seconds())
    stale = is_stale(age, row.period_seconds)
    return SourceRow(
        id=row.pk,
        cluster=row.cluster.name,
        kind=row.kind,
        period_seconds=row.period_seconds,
        state=_state(row, stale=stale),
        last_success_at=row.last_success_at,
        age_seconds=age,
        stale=stale,
        error=row.last_error or None,
        entity_errors=tuple(row.entity_errors),
        requests=row.requests,
        breaker=row.breaker_state,
        error_code=row.last_error_code or None,
        failing_since=row.failing_since,
        next_probe_at=row.breaker_probe_at if row.breaker_state == "open" else None,
        enabled=row.enabled,
    )


def _state(row: Source, *, stale: bool) -> SourceState:
    if not row.enabled:
        return SourceState.DISABLED
    if row.last_error:
        return SourceState.FAILED
    if row.last_success_at is None:
        return SourceState.WAITING
    if stale:
        return SourceState.STALE
    return SourceState.PARTIAL if row.entity_errors else SourceState.OK
