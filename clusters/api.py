"""Sources and findings over HTTP (interfaces.md 3 and 6)."""

from datetime import datetime
from typing import Any

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router

from accounts.guards import operation
from accounts.roles import Right
from clusters import selectors
from clusters.selectors import FindingRow, SourceRow
from clusters.states import SourceState
from ops_portal.lib import cursor as cursors
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Contract,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    one_of,
    reply_list,
    reply_page,
    sort_field,
    sorted_rows,
)
from ops_portal.lib.problems import invalid

router = Router()

SOURCE_SORTS = ("cluster", "kind", "state", "age_seconds", "last_success_at")
FINDING_SORTS = {  # field of the contract -> field of the row
    "opened_at": "opened_at",
    "last_seen_at": "last_seen_at",
    "closed_at": "closed_at",
    "kind": "kind",
    "severity": "severity",
    "cluster": "cluster__name",
    "client": "client__name",
}
SEVERITIES = ("warning", "critical")
FINDING_STATES = ("open", "closed")


class EntityErrorItem(Contract):
    entity: str
    code: str
    message: str
    since: datetime | None


class SourceItem(Contract):
    cluster: str
    kind: str
    period_seconds: int
    state: SourceState
    last_success_at: datetime | None
    age_seconds: float | None
    stale: bool
    error: str | None
    entity_errors: list[EntityErrorItem] = Field(description="What failed while the rest went on.")
    requests: dict[str, int] = Field(description="Requests of the newest run by API name.")
    breaker: str = Field(description="closed | open | half_open")


class FindingItem(Contract):
    dedupe_key: str = Field(description="Unique while the finding is open.")
    kind: str
    severity: str = Field(description="warning | critical")
    cluster: str | None
    client: str | None
    entity: str
    title: str
    reason: str
    inputs: dict[str, Any]
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None


@router.get(
    "/sources", response=Listed[SourceItem], tags=["operations"], operation_id="sources", summary="What is polled"
)
@operation(Right.SEE_SOURCES)
def sources(
    request: HttpRequest,
    cluster: Repeated,
    kind: Repeated,
    state: Repeated,
    q: Search = "",
    sort: str = "cluster",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Every source with its age, error and breaker. `q` looks in cluster and kind."""
    field, descending = sort_field(sort, SOURCE_SORTS)
    states = one_of("state", state, SourceState)
    found = (
        row
        for row in selectors.sources(request.user)
        if q.lower() in f"{row.cluster} {row.kind}".lower()
        and (not cluster or row.cluster in cluster)
        and (not kind or row.kind in kind)
        and (not states or row.state in states)
    )
    rows = sorted_rows(
        found, lambda row: getattr(row, field), lambda row: (row.cluster, row.kind), descending=descending
    )
    return reply_page([_source(row) for row in rows], limit, cursor, "sources", q, sort, cluster, kind, states)


@router.get(
    "/findings", response=Listed[FindingItem], tags=["operations"], operation_id="findings", summary="What was found"
)
@operation(Right.SEE_FINDINGS)
def findings(
    request: HttpRequest,
    state: Repeated,
    kind: Repeated,
    severity: Repeated,
    cluster: Repeated,
    client: Repeated,
    q: Search = "",
    sort: str = "-opened_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Open and closed findings, newest first; `state` is open or closed. `q` looks in entity and title."""
    field, descending = sort_field(sort, tuple(FINDING_SORTS))
    severities, states = one_of("severity", severity, SEVERITIES), one_of("state", state, FINDING_STATES)
    found = selectors.findings(
        request.user, still_open=states[0] == "open" if len(states) == 1 else None, q=q, kinds=kind,
        severities=severities, clusters=cluster, clients=client,
    )  # fmt: skip
    order = F(FINDING_SORTS[field])
    rows = found.order_by(order.desc(nulls_last=True) if descending else order.asc(nulls_last=True), "title", "pk")
    tied_to = ("findings", q, sort, states, kind, severities, cluster, client)
    try:
        start = cursors.offset(cursor, *tied_to)
    except cursors.CursorRefused as error:
        raise invalid(cursor=str(error)) from error
    total, end = found.count(), start + limit
    items = [_finding(row) for row in selectors.finding_rows(rows[start:end])]
    return reply_list(items, cursors.encode(end, *tied_to) if end < total else None, total)


def _source(row: SourceRow) -> dict[str, Any]:
    return {
        "cluster": row.cluster,
        "kind": row.kind,
        "period_seconds": row.period_seconds,
        "state": row.state.value,
        "last_success_at": row.last_success_at,
        "age_seconds": row.age_seconds,
        "stale": row.stale,
        "error": row.error,
        "entity_errors": row.entity_errors,
        "requests": row.requests,
        "breaker": row.breaker,
    }


def _finding(row: FindingRow) -> dict[str, Any]:
    return {
        "dedupe_key": row.dedupe_key,
        "kind": row.kind,
        "severity": row.severity,
        "cluster": row.cluster,
        "client": row.client,
        "entity": row.entity,
        "title": row.title,
        "reason": row.reason,
        "inputs": row.inputs,
        "opened_at": row.opened_at,
        "last_seen_at": row.last_seen_at,
        "closed_at": row.closed_at,
    }
