"""Health of clusters over HTTP (interfaces.md 6)."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router

from accounts.guards import operation
from accounts.roles import Right
from clusters.health.states import Health, HealthEventKind, Scope, Source
from clusters.models import Cluster, HealthEvent
from clusters.selectors import health as selectors
from clusters.selectors import platform_slos as platform
from clusters.selectors.health import BrokerRow, HealthView, SignalRow
from clusters.selectors.health import history as health_history
from clusters.selectors.health.topics import TopicView, topic_view
from clusters.signals import BY_ID
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Contract,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    fields_of,
    moment,
    one_of,
    reply,
    reply_page,
    reply_sorted,
)
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.problems import Problem, invalid

router = Router(tags=["health"])

BROKER_SORTS = (
    "id", "host", "rack", "leaders", "replicas", "in_sync", "leader_skew", "replica_skew", "idle", "cpu_cores",
    "memory_bytes", "bytes_in_rate", "bytes_out_rate", "log_bytes", "disk_free_ratio", "disk_hours",
)  # fmt: skip


class PartItem(Contract):
    entity: str = Field(description="`broker 2`, a listener, a disk; empty = the cluster.")
    state: Health
    value: float | None


class SignalItem(Contract):
    signal: str
    scope: Scope
    state: Health
    reason: str
    value: float | None = Field(description="Of the worst `entity`.")
    unit: str
    warn: float | None
    critical: float | None
    query: str = Field(description="PromQL, or what is read through Kafka's admin API.")
    source: str = Field(description="brokers | prometheus | both, joined by +")
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool
    runbook: str
    title: str
    area: str
    entity: str
    since: datetime | None
    parts: list[PartItem]


class HealthBody(Contract):
    verdict: Health
    reasons: list[str]
    signals: list[SignalItem]


class BrokerItem(Contract):
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
    version: str | None
    started_at: datetime | None
    idle: float | None
    cpu_cores: float | None
    memory_bytes: float | None
    heap_bytes: float | None
    bytes_in_rate: float | None
    bytes_out_rate: float | None
    records_in_rate: float | None
    received_rate: float | None
    sent_rate: float | None
    log_bytes: float | None
    disk_mount: str | None
    disk_bytes: float | None
    disk_free_bytes: float | None
    disk_free_ratio: float | None
    disk_hours: float | None
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool


class ReplicaSetItem(Contract):
    partition: int
    leader: int | None
    replicas: list[int]
    in_sync: list[int]
    start: int | None
    end: int | None


class TopicBody(Contract):
    topic: str
    state: Health
    partitions: list[ReplicaSetItem]
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
    settings: dict[str, str | None]
    observed_at: datetime | None


class ClusterEventItem(Contract):
    id: int
    at: datetime
    at_earliest: datetime
    kind: HealthEventKind
    broker: int | None
    topic: str | None
    count: int
    text: str


class SignalHistoryBody(Contract):
    step_seconds: int
    columns: list[str]
    points: list[list[Any]]


class PlatformSloItem(Contract):
    slo: str
    title: str
    value: float | None
    met: bool | None
    limit: float | None
    unit: str
    objective: float
    attained: float | None
    good_seconds: float
    bad_seconds: float
    unknown_seconds: float
    budget_seconds: float
    budget_left: float | None
    burn_hour: float | None
    burn_day: float | None
    window_days: int
    reason: str


@router.get(
    "/clusters/{cluster}/health", response=HealthBody, operation_id="cluster_health", summary="Verdict and every signal"
)
@operation(Right.SEE_CLUSTERS)
def cluster_health(request: HttpRequest, cluster: str, state: Repeated) -> HttpResponse:
    """The verdict with its reasons, worst first, and the signals; `state` keeps those of these states."""
    states = one_of("state", state, Health)
    view = _view(request, cluster)
    signals = [signal_json(row) for row in view.signals if not states or row.state in states]
    return reply({"verdict": view.verdict.value, "reasons": list(view.reasons), "signals": signals})


@router.get(
    "/clusters/{cluster}/health/{signal}/history",
    response=SignalHistoryBody,
    operation_id="signal_history",
    summary="A signal over time",
)
@operation(Right.SEE_CLUSTERS)
def signal_history(
    request: HttpRequest,
    cluster: str,
    signal: str,
    start: Annotated[str, Query(alias="from", description="ISO 8601 or relative, such as -6h.")] = "-6h",
    end: Annotated[str, Query(alias="to", description="ISO 8601, relative, or now.")] = "now",
    step: Annotated[float | None, Query(ge=1, le=86_400, description="Widened to keep to 1,000 points.")] = None,
) -> HttpResponse:
    """The worst value and state within each step; null where nothing was read."""
    place = _cluster(request, cluster)
    found = BY_ID.get(signal)
    if found is None:
        raise Problem("not_found")
    now = as_datetime(database_clock().now())
    try:
        points = health_history.signal_history(
            request.user, place, found, moment("from", start, now), moment("to", end, now), step=step
        )
    except health_history.BadRange as error:
        raise invalid(**{"from": str(error)}) from error
    if points is None:
        raise Problem("not_found")
    rows = [[as_datetime(at), value, state] for at, value, state in points.points]
    return reply({"step_seconds": points.step_seconds, "columns": list(points.columns), "points": rows})


@router.get("/clusters/{cluster}/brokers", response=Listed[BrokerItem], operation_id="brokers", summary="Brokers")
@operation(Right.SEE_CLUSTERS)
def brokers(
    request: HttpRequest,
    cluster: str,
    q: Search = "",
    sort: str = "id",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Every broker that is known, also those that are down. `q` looks in host and rack."""
    view = _view(request, cluster)
    age = next(one for one in view.sources if one.source is Source.BROKERS)
    times = {"observed_at": age.observed_at, "age_seconds": age.age_seconds, "stale": age.stale}

    def shown(row: BrokerRow) -> dict[str, Any]:
        return {name: getattr(row, name) for name in BrokerItem.model_fields if name not in times} | times

    found = (row for row in view.brokers if q.lower() in f"{row.host} {row.rack or ''}".lower())
    return reply_sorted(
        found, shown, lambda row: row.id, "brokers", view.cluster_id, q,
        sort=sort, allowed=BROKER_SORTS, limit=limit, cursor=cursor,
    )  # fmt: skip


@router.get(
    "/clusters/{cluster}/topics/{topic}",
    response=TopicBody,
    operation_id="topic",
    summary="One topic with its partitions",
)
@operation(Right.SEE_CLUSTERS)
def topic(request: HttpRequest, cluster: str, topic: str) -> HttpResponse:
    """Partitions, leaders, in-sync replicas, size, growth, settings and rate of a topic."""
    found = topic_view(request.user, _cluster(request, cluster), topic)
    if found is None:
        raise Problem("not_found")
    return reply(topic_json(found))


@router.get(
    "/clusters/{cluster}/events",
    response=Listed[ClusterEventItem],
    operation_id="cluster_events",
    summary="What happened to a cluster, newest first",
)
@operation(Right.SEE_CLUSTERS)
def cluster_events(
    request: HttpRequest, cluster: str, kind: Repeated, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> HttpResponse:
    """The newest thousand. An event happened between `at_earliest` and `at`: never finer than the poll."""
    kinds = one_of("kind", kind, HealthEventKind)
    found = selectors.health_events(request.user, _cluster(request, cluster), kinds=kinds, limit=1000)
    return reply_page([event_json(event) for event in found], limit, cursor, "cluster-events", cluster, kinds)


@router.get(
    "/clusters/{cluster}/platform-slos",
    response=Listed[PlatformSloItem],
    operation_id="platform_slos",
    summary="Targets of the platform, their error budget and burn",
)
@operation(Right.SEE_CLUSTERS)
def platform_slos(
    request: HttpRequest, cluster: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> HttpResponse:
    """Latency, replication lag and availability."""
    rows = platform.platform_slos(request.user, _cluster(request, cluster))
    return reply_page([slo_json(row) for row in rows], limit, cursor, "platform-slos", cluster)


def signal_json(row: SignalRow) -> dict[str, Any]:
    signal = row.signal
    return {
        "signal": signal.id, "scope": signal.scope.value, "state": row.state.value, "reason": row.reason,
        "value": row.value, "unit": signal.unit, "warn": signal.warn, "critical": signal.critical, "query": row.query,
        "source": "+".join(source.value for source in row.sources), "observed_at": row.observed_at,
        "age_seconds": row.age_seconds, "stale": row.stale, "runbook": row.runbook, "title": signal.title,
        "area": signal.area.value, "entity": row.entity, "since": row.since,
        "parts": [{"entity": part.entity, "state": part.state.value, "value": part.value} for part in row.parts],
    }  # fmt: skip


def topic_json(found: TopicView) -> dict[str, Any]:
    partitions = [fields_of(ReplicaSetItem, one) for one in found.partitions]
    row = {name: getattr(found.row, name) for name in TopicBody.model_fields if name not in {"partitions", "settings"}}
    return row | {"partitions": partitions, "settings": dict(found.settings)}


def event_json(event: HealthEvent) -> dict[str, Any]:
    return {
        "id": event.pk, "at": event.at, "at_earliest": event.at_earliest, "kind": event.kind, "broker": event.broker,
        "topic": event.topic or None, "count": event.count, "text": event.text,
    }  # fmt: skip


def slo_json(row: platform.PlatformSloRow) -> dict[str, Any]:
    return {
        "slo": row.slo.id, "title": row.slo.title, "value": row.value, "met": row.met, "limit": row.slo.limit,
        "unit": row.slo.unit, "objective": row.slo.objective, "attained": row.budget.attained,
        "good_seconds": row.count.good, "bad_seconds": row.count.bad, "unknown_seconds": row.count.unknown,
        "budget_seconds": row.budget.budget_seconds, "budget_left": row.budget.left, "burn_hour": row.budget.burn_hour,
        "burn_day": row.budget.burn_day, "window_days": row.window_days, "reason": row.reason,
    }  # fmt: skip


def _cluster(request: HttpRequest, name: str) -> Cluster:
    found = selectors.health_cluster(request.user, name)
    if found is None:
        raise Problem("not_found")
    return found


def _view(request: HttpRequest, name: str) -> HealthView:
    view = selectors.cluster_health(request.user, _cluster(request, name))
    if view is None:
        raise Problem("not_found")
    return view
