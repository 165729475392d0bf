"""Sources over HTTP (interfaces.md 3)."""

from datetime import datetime
from functools import partial

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router

from accounts.guards import operation
from accounts.roles import Right
from clusters import selectors
from clusters.states import SourceState
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Contract,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    fields_of,
    one_of,
    reply_sorted,
)

router = Router()

SOURCE_SORTS = ("cluster", "kind", "state", "age_seconds", "last_success_at")


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
    states = one_of("state", state, SourceState)
    rows = (
        row
        for row in selectors.sources(request.user)
        if q.lower() in f"{row.cluster} {row.kind}".lower()
        and (not cluster or row.cluster in cluster)
        and (not kind or row.kind in kind)
        and (not states or row.state in states)
    )
    return reply_sorted(
        rows, partial(fields_of, SourceItem), lambda row: (row.cluster, row.kind), "sources", q, cluster, kind, states,
        sort=sort, allowed=SOURCE_SORTS, limit=limit, cursor=cursor,
    )  # fmt: skip
