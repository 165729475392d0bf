"""Findings over HTTP (interfaces.md 6)."""

from datetime import datetime
from typing import Any

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router

from accounts.guards import operation
from accounts.roles import Right
from clusters import selectors
from ops_portal.lib import cursor as cursors
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
    reply_list,
    sort_field,
)
from ops_portal.lib.problems import invalid

router = Router()

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
    items = [fields_of(FindingItem, row) for row in selectors.finding_rows(rows[start:end])]
    return reply_list(items, cursors.encode(end, *tied_to) if end < total else None, total)
