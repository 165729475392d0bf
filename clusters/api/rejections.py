"""Rejections over HTTP (interfaces.md 6): the list, and what log shippers and gateways bring."""

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from accounts.guards import operation
from accounts.roles import Right
from clusters import selectors
from clusters.models import Cluster
from clusters.rejections.bodies import BodyRefused, lines_of
from clusters.rejections.types import Kind, Rejected
from clusters.selectors import rejections as selected
from clusters.selectors.rejections import RejectionRow
from clusters.services.rejections import Ingested, Part, Report, lines_ingest, rejections_ingest
from ops_portal.lib import cursor as cursors
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Contract,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    body_of,
    body_schema,
    moment,
    one_of,
    reply,
    reply_list,
    sort_field,
)
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.problems import Problem, invalid

router = Router(tags=["rejections"])

SORTS = {
    "last_at": "last_at", "first_at": "first_at", "count": "count", "kind": "kind", "client": "client__name",
    "principal": "principal", "cluster": "cluster__name", "host": "host",
}  # fmt: skip
MOST_REPORTS = 1000
MOST_BYTES = 2**63 - 1  # of a stream: what its column holds
_LOG_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": "[2026-11-22 14:16:51,050] INFO Principal = ..."},
            "application/x-ndjson": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object", "properties": {"lines": {"type": "array"}}}},
        },
    }
}


class RejectionItem(Contract):
    id: int
    kind: Kind
    client: str | None
    principal: str | None
    cluster: str | None
    topic: str | None
    subject: str | None
    host: str | None
    listener: str | None = Field(description="Name, or the port where the log tells no name.")
    operation: str | None
    rule: str | None = Field(description="What refused it; null where the log does not tell.")
    fix: str | None = Field(description="What would let it through.")
    count: int
    first_at: datetime
    last_at: datetime


class IngestedBody(Contract):
    """What became of a batch."""

    taken: bool = Field(description="False: counted before, or does not begin at `position`.")
    position: int | None = Field(description="Where the stream stands now; send on from here.")
    lines: int
    rejections: int
    passed: int = Field(description="Lines that tell of no refusal.")
    unread: int = Field(description="Lines that should tell of one and cannot be read.")


class ReportItem(Schema):
    """A refusal that somebody reports."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    cluster: str | None = None
    client: str | None = Field(None, max_length=120)
    principal: str | None = Field(None, max_length=1000)
    topic: str | None = Field(None, max_length=1000)
    subject: str | None = Field(None, max_length=500)
    host: str | None = Field(None, max_length=255)
    listener: str | None = Field(None, max_length=255)
    operation: str | None = Field(None, max_length=60)
    rule: str | None = Field(None, max_length=2000, description="What refused it.")
    count: int = Field(1, ge=1, le=1_000_000_000)
    at: datetime | None = Field(None, description="When; now where it is not given.")
    offered_schema: str | None = Field(None, max_length=500_000, description="The schema that was refused.")
    schema_type: str | None = Field(None, max_length=20)


class ReportBody(Schema):
    model_config = ConfigDict(extra="forbid")

    rejections: list[ReportItem] = Field(min_length=1, max_length=MOST_REPORTS)
    batch: str = Field("", max_length=200, description="A UUID of the batch: the same id again is not counted again.")


@router.get(
    "/rejections", response=Listed[RejectionItem], operation_id="rejections", summary="What was refused to whom"
)
@operation(Right.SEE_LAG)
def rejections(
    request: HttpRequest,
    kind: Repeated,
    cluster: Repeated,
    client: Repeated,
    start: Annotated[str, Query(alias="from", description="Refused since: ISO 8601 or relative, such as -6h.")] = "",
    end: Annotated[str, Query(alias="to", description="Refused first before: ISO 8601, relative, or now.")] = "",
    q: Search = "",
    sort: str = "-last_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Series of equal refusals, newest first. `q` looks in client, principal, resource, subject and host."""
    field, descending = sort_field(sort, tuple(SORTS))
    kinds = one_of("kind", kind, Kind)
    now = as_datetime(database_clock().now())
    found = selected.rejections(
        request.user, q=q, kinds=kinds, clusters=cluster, clients=client,
        since=moment("from", start, now) if start else None, until=moment("to", end, now) if end else None,
    )  # fmt: skip
    order = F(SORTS[field])
    rows = found.order_by(order.desc(nulls_last=True) if descending else order.asc(nulls_last=True), "-pk")
    tied_to = ("rejections", q, sort, kinds, cluster, client, start, end)
    try:
        first = cursors.offset(cursor, *tied_to)
    except cursors.CursorRefused as error:
        raise invalid(cursor=str(error)) from error
    total, last = found.count(), first + limit
    items = [rejection_json(row) for row in selected.rejection_rows(rows[first:last])]
    return reply_list(items, cursors.encode(last, *tied_to) if last < total else None, total)


@router.post(
    "/ingest/authorizer-log",
    response=IngestedBody,
    operation_id="ingest_authorizer_log",
    summary="Lines of an authorizer's, broker's or registry's log",
    openapi_extra=_LOG_BODY,
)
@operation(Right.INGEST)
def ingest_authorizer_log(
    request: HttpRequest,
    cluster: Annotated[str, Query(max_length=63, description="Needed.")] = "",
    time_zone: Annotated[str, Query(max_length=64, description="Of times without an offset.")] = "UTC",
    batch: Annotated[str, Query(max_length=200, description="A UUID: the same id again is not counted again.")] = "",
    stream: Annotated[
        str, Query(max_length=200, description="The content of a file, for senders with positions.")
    ] = "",
    start: Annotated[int, Query(ge=0, le=MOST_BYTES, description="Byte where the batch begins in the stream.")] = 0,
    end: Annotated[int, Query(ge=0, le=MOST_BYTES, description="Byte after its last line.")] = 0,
    label: Annotated[str, Query(max_length=400, description="Host and file, for people.")] = "",
    sent_at: Annotated[float | None, Query(description="The sender's clock, seconds since the epoch.")] = None,
) -> HttpResponse:
    """The body is text, JSON lines, or JSON with `lines`. Lines of other loggers are passed over."""
    if stream and end < start:
        raise invalid(end="lies before start")
    place = _cluster(request, cluster)
    try:
        lines = lines_of(request.body, request.headers.get("Content-Type", ""))
    except BodyRefused as error:
        raise Problem("bad_request", str(error)) from error
    part = Part(stream, start, end, label) if stream else None
    done = lines_ingest(
        cluster=place, lines=lines, zone=_zone(time_zone), part=part, batch=batch, sent_at=sent_at
    )  # fmt: skip
    return reply(_ingested(done))


@router.post(
    "/ingest/rejections",
    response=IngestedBody,
    operation_id="ingest_rejections",
    summary="Refusals that a gateway or a client counts itself",
    openapi_extra=body_schema(ReportBody),
)
@operation(Right.INGEST)
def ingest_rejections(request: HttpRequest) -> HttpResponse:
    """For schema checks of producers and gateways: who, what, why, how often, and the schema that was offered."""
    body = body_of(request, ReportBody)
    names = {item.cluster for item in body.rejections if item.cluster}
    places = {name: _cluster(request, name) for name in sorted(names)}
    reports = [_report(item, places.get(item.cluster or "")) for item in body.rejections]
    return reply(_ingested(rejections_ingest(reports=reports, batch=body.batch)))


def rejection_json(row: RejectionRow) -> dict[str, Any]:
    """The item of the contract."""
    return {
        "id": row.id,
        "kind": row.kind.value,
        "client": row.client,
        "principal": row.principal,
        "cluster": row.cluster,
        "topic": row.topic,
        "subject": row.subject,
        "host": row.host,
        "listener": row.listener,
        "operation": row.operation,
        "rule": row.rule,
        "fix": row.fix,
        "count": row.count,
        "first_at": row.first_at,
        "last_at": row.last_at,
    }


def _report(item: ReportItem, cluster: Cluster | None) -> Report:
    rejected = Rejected(
        kind=item.kind,
        at=_seconds(item.at),
        principal=item.principal or "",
        resource_type="topic" if item.topic else "",
        resource=item.topic or "",
        subject=item.subject or "",
        host=item.host or "",
        listener=item.listener or "",
        operation=item.operation or "",
        rule=item.rule or "",
        client=item.client or "",
        times=item.count,
    )
    return Report(cluster, rejected, item.offered_schema or "", item.schema_type or "")


def _ingested(done: Ingested) -> dict[str, Any]:
    return {
        "taken": done.taken,
        "position": done.position,
        "lines": done.lines,
        "rejections": done.rejections,
        "passed": done.passed,
        "unread": done.unread,
    }


def _cluster(request: HttpRequest, name: str) -> Cluster:
    found = selectors.cluster_named(request.user, name)
    if found is None:
        raise invalid(cluster=f"there is no cluster named {name!r}")
    return found


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(time_zone=f"{name!r} is not a time zone such as Europe/Berlin") from None


def _seconds(at: datetime | None) -> float | None:
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
