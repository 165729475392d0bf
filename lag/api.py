"""Clusters, groups, topics and SLOs over HTTP (interfaces.md 3)."""

from functools import partial
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from accounts.guards import operation
from accounts.roles import Right
from clusters.models import Cluster
from clusters.ports import GroupState
from lag import selectors
from lag.api_schemas import (
    ClusterItem,
    EventItem,
    GroupItem,
    GroupWithTopics,
    HistoryBody,
    SloItem,
    TopicItem,
    group_json,
    history_json,
    topic_json,
)
from lag.history.progress import now as database_now
from lag.models import ConsumerGroup
from lag.rows import BoardQuery
from lag.verdicts import EventKind, Verdict
from ops_portal.lib import cursor as cursors
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    fields_of,
    moment,
    one_of,
    reply,
    reply_list,
    reply_sorted,
    sort_field,
)
from ops_portal.lib.problems import Problem, invalid

router = Router(tags=["lag"])

CLUSTER_SORTS = ("cluster", "groups", "lag_records", "lag_seconds", "observed_at")
TOPIC_SORTS = ("topic", "client", "partitions", "produce_rate", "lag_records")
SLO_SORTS = ("name", "cluster", "client", "groups", "attained", "budget_left")


@router.get("/clusters", response=Listed[ClusterItem], operation_id="clusters", summary="Clusters")
@operation(Right.SEE_LAG)
def clusters(
    request: HttpRequest, q: Search = "", sort: str = "cluster", limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> HttpResponse:
    """The clusters that the caller may see, with counts and sums over the groups that the caller may see."""
    rows = (row for row in selectors.cluster_summaries(request.user) if q.lower() in row.cluster.lower())
    return reply_sorted(
        rows, partial(fields_of, ClusterItem), lambda row: row.cluster, "clusters", q,
        sort=sort, allowed=CLUSTER_SORTS, limit=limit, cursor=cursor,
    )  # fmt: skip


@router.get(
    "/clusters/{cluster}/groups",
    response=Listed[GroupItem],
    operation_id="groups",
    summary="Consumer groups of a cluster",
)
@operation(Right.SEE_LAG)
def groups(
    request: HttpRequest,
    cluster: str,
    verdict: Repeated,
    client: Repeated,
    state: Repeated,
    q: Search = "",
    sort: str = "severity",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """The board: worst first unless sorted otherwise."""
    sort_field(sort, selectors.SORT_FIELDS)
    query = BoardQuery(
        q=q,
        verdict=one_of("verdict", verdict, Verdict),
        client=tuple(client),
        state=one_of("state", state, GroupState),
        sort=sort,
        limit=limit,
        cursor=cursor,
    )
    try:
        page = selectors.group_board(request.user, _cluster(request, cluster), query)
    except selectors.BadCursor as error:
        raise invalid(cursor=str(error)) from error
    return reply_list((fields_of(GroupItem, row) for row in page.items), page.next_cursor, page.total)


@router.get(
    "/clusters/{cluster}/groups/{group}",
    response=GroupWithTopics,
    operation_id="group",
    summary="One group with topics, partitions and members",
)
@operation(Right.SEE_LAG)
def group(request: HttpRequest, cluster: str, group: str) -> HttpResponse:
    """`{group}` is the name, or `~<id>`."""
    place = _cluster(request, cluster)
    found = selectors.group_detail(request.user, place, _group(request, place, group))
    if found is None:
        raise Problem("not_found")
    return reply(group_json(found))


@router.get(
    "/clusters/{cluster}/groups/{group}/history",
    response=HistoryBody,
    operation_id="group_history",
    summary="Lag of a group over time",
)
@operation(Right.SEE_LAG)
def history(
    request: HttpRequest,
    cluster: str,
    group: str,
    start: Annotated[str, Query(alias="from", description="ISO 8601 or relative, such as -6h.")] = "-6h",
    end: Annotated[str, Query(alias="to", description="ISO 8601, relative, or now.")] = "now",
    step: Annotated[
        float | None, Query(ge=1, le=86_400, description="Seconds between points; widened to keep to 1,000.")
    ] = None,
    topic: Annotated[str | None, Query(max_length=249, description="Of this topic only.")] = None,
    partition: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="Of this partition of `topic` only.")
    ] = None,
) -> HttpResponse:
    """At most 1,000 points, aligned to the step; a point without samples is null."""
    place = _cluster(request, cluster)
    found = _group(request, place, group)
    now = database_now()
    first, last = moment("from", start, now), moment("to", end, now)
    try:
        points = selectors.group_history(
            request.user, place, found, first, last, step=step, topic=topic, partition=partition
        )
    except selectors.BadRange as error:
        raise invalid(**{"from": str(error)}) from error
    if points is None:
        raise Problem("not_found")
    return reply(history_json(points))


@router.get(
    "/clusters/{cluster}/groups/{group}/events",
    response=Listed[EventItem],
    operation_id="group_events",
    summary="What happened to a group, newest first",
)
@operation(Right.SEE_LAG)
def events(
    request: HttpRequest, cluster: str, group: str, kind: Repeated, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> HttpResponse:
    """An event happened between `at_earliest` and `at`: never finer than the poll."""
    kinds = one_of("kind", kind, EventKind)
    found = _group(request, _cluster(request, cluster), group)
    tied_to = ("events", found.pk, kinds)
    try:
        inner = None if cursor is None else cursors.decode(cursor, *tied_to)
        page = selectors.group_events(request.user, found, kinds=kinds, limit=limit, cursor=inner)
    except (cursors.CursorRefused, selectors.BadCursor) as error:
        raise invalid(cursor=str(error)) from error
    after = None if page.next_cursor is None else cursors.encode(page.next_cursor, *tied_to)
    return reply_list((fields_of(EventItem, row) for row in page.items), after, page.total)


@router.get(
    "/clusters/{cluster}/topics", response=Listed[TopicItem], operation_id="topics", summary="Topics and who reads them"
)
@operation(Right.SEE_LAG)
def topics(
    request: HttpRequest,
    cluster: str,
    client: Repeated,
    q: Search = "",
    sort: str = "topic",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Topics that the caller may see; of shared ones only what is the caller's own."""
    place = _cluster(request, cluster)
    rows = (row for row in selectors.topics(request.user, place, q=q) if not client or row.client in client)
    return reply_sorted(
        rows, topic_json, lambda row: row.topic, "topics", place.pk, q, client,
        sort=sort, allowed=TOPIC_SORTS, limit=limit, cursor=cursor,
    )  # fmt: skip


@router.get("/slos", response=Listed[SloItem], operation_id="slos", summary="Promises on lag and how they are kept")
@operation(Right.SEE_LAG)
def slos(
    request: HttpRequest,
    cluster: Repeated,
    client: Repeated,
    q: Search = "",
    sort: str = "name",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """The SLOs that the caller may see."""
    rows = (
        row
        for row in selectors.slos(request.user)
        if q.lower() in row.name.lower()
        and (not cluster or row.cluster in cluster)
        and (not client or row.client in client)
    )
    return reply_sorted(
        rows, partial(fields_of, SloItem), lambda row: (row.name, row.cluster), "slos", q, cluster, client,
        sort=sort, allowed=SLO_SORTS, limit=limit, cursor=cursor,
    )  # fmt: skip


def _cluster(request: HttpRequest, name: str) -> Cluster:
    """The cluster if the caller may see it; hidden and absent answer alike."""
    found = selectors.cluster_named(request.user, name)
    if found is None:
        raise Problem("not_found")
    return found


def _group(request: HttpRequest, cluster: Cluster, path: str) -> ConsumerGroup:
    found = selectors.group_by_path(request.user, cluster, path)
    if found is None:
        raise Problem("not_found")
    return found
