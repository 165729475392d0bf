"""The lag board, its exports and its sparklines."""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC
from typing import Any, NamedTuple

import orjson
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.request import QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.policies import Person, scope_of
from accounts.roles import Right
from accounts.selectors import clients_visible
from clusters.models import Cluster
from clusters.ports import GroupState
from lag import selectors
from lag.rows import BoardPage, BoardQuery, GroupSummary
from lag.selectors.board import MOST_ROWS
from lag.selectors.freshness import freshness_of
from lag.selectors.news import cluster_sparkline
from lag.sentences import board_sentence
from lag.verdicts import Tone, Verdict

SPARK_SECONDS = 60
FIRST_ROWS = 60  # rows in the first byte; the page loads the others by itself
EXPORT_FIELDS = tuple(name for name in GroupSummary.__dataclass_fields__ if name != "muted_until")


class Column(NamedTuple):
    key: str
    label: str
    help: str
    sort: str = ""
    end: bool = False
    best_first: str = ""  # "-" where a click should sort descending first


COLUMNS = (
    Column("verdict", "Verdict", "Worst first", "severity"),
    Column("group", "Group", "Consumer group", "group"),
    Column("client", "Client", "Whose group it is", "client"),
    Column("state", "State", "What the group coordinator says"),
    Column("members", "Members", "Consumers in the group", "members", True, "-"),
    Column("worst_topic", "Worst topic", "The topic with the worst lag"),
    Column("lag_records", "Records", "Unread records over all partitions", "lag_records", True, "-"),
    Column("lag_seconds", "Behind", "Age of the oldest unread record of the worst partition", "lag_seconds", True, "-"),
    Column("produce_rate", "In", "Records written per second", "produce_rate", True, "-"),
    Column("consume_rate", "Out", "Records committed per second", "consume_rate", True, "-"),
    Column("spark", "15 min", "Unread records over the last 15 minutes"),
    Column("catch_up_seconds", "Catch-up", "Time until the group is within its target, at the present rates", "catch_up_seconds", True),
)  # fmt: skip


@require_safe
@requires(Right.SEE_LAG)
def board(request: HttpRequest) -> HttpResponse:
    """The board of the first cluster; filters in the address go along."""
    clusters = selectors.clusters_visible(request.user)
    if not clusters:
        return render(request, "lag/no_clusters.html")
    wanted = request.GET.get("cluster")
    cluster = next((cluster for cluster in clusters if cluster.name == wanted), clusters[0])
    query = request.GET.copy()
    query.pop("cluster", None)
    address = reverse("lag:group-board", args=[cluster.name])
    return redirect(f"{address}?{query.urlencode()}" if query else address)


@require_safe
@requires(Right.SEE_LAG)
def group_board(request: HttpRequest, cluster: str) -> HttpResponse:
    """The board of one cluster: the first rows with the page, the others and all news over the socket."""
    found = cluster_or_404(request.user, cluster)
    query = board_query(request.GET)
    page = _page(request.user, found, query)
    summary = next(item for item in selectors.cluster_summaries(request.user) if item.id == found.pk)
    counts = {verdict.value: page.verdict_counts.get(verdict.value, 0) for verdict in Verdict}
    context = {
        "cluster": found.name,
        "clusters": [other.name for other in selectors.clusters_visible(request.user)],
        "query": query,
        "filtered": bool(query.q or query.verdict or query.client or query.state),
        "rows": page.items,
        "total": page.total,
        "next_cursor": page.next_cursor,
        "columns": [_head(column, query.sort) for column in COLUMNS],
        "verdict_chips": [_chip(verdict, counts, query, request.GET) for verdict in Verdict],
        "client_names": [client.name for client in clients_visible(request.user)],
        "states": [state.value for state in GroupState],
        "sentence": board_sentence(summary.verdicts, worst_of(request.user, found)),
        "red": sum(count for word, count in summary.verdicts.items() if Verdict(word).tone is Tone.CRITICAL),
        "observed_at": summary.observed_at,
        "period_seconds": period_of(found),
        "live_rows": MOST_ROWS,
        "group_url": reverse("lag:group-detail", args=[found.name, "GROUP"]),
        "clear_url": reverse("lag:group-board", args=[found.name]),
        "empty_text": "No group has committed or joined on this cluster. The board fills by itself.",
    }
    return render(request, "lag/group_board.html", context)


@require_safe
@requires(Right.SEE_LAG)
def board_export(request: HttpRequest, cluster: str, form: str) -> StreamingHttpResponse:
    """All rows of the filtered board, exact values, as CSV or JSON; with `id` those of these groups alone."""
    found = cluster_or_404(request.user, cluster)
    query = replace(board_query(request.GET), limit=500)
    chosen = {int(text) for text in request.GET.getlist("id") if text.isascii() and text.isdigit() and len(text) < 19}
    _page(request.user, found, replace(query, limit=1))  # a bad filter fails here, before the first byte
    rows = (row for row in all_rows(request.user, found, query) if not chosen or row.id in chosen)
    if form == "csv":
        response = StreamingHttpResponse(_csv(rows), content_type="text/csv; charset=utf-8")
    else:
        response = StreamingHttpResponse(_json(rows), content_type="application/json")
    stamp = timezone.now().strftime("%Y%m%dT%H%M%SZ")
    response["Content-Disposition"] = f'attachment; filename="lag-{found.name}-{stamp}.{form}"'
    return response


@require_safe
@requires(Right.SEE_LAG)
def sparklines(request: HttpRequest, cluster: str) -> JsonResponse:
    """Unread records of some groups over the last 15 minutes: {id: [[epoch seconds, records or null]]}; at most 100 ids."""
    found = cluster_or_404(request.user, cluster)
    ids = [
        int(text) for text in request.GET.getlist("id")[:100] if text.isascii() and text.isdigit() and len(text) < 19
    ]
    tails = selectors.sparklines(request.user, found, ids)
    return JsonResponse({str(pk): points for pk, points in tails.items()})


@require_safe
@requires(Right.SEE_LAG)
def cluster_spark(request: HttpRequest, cluster: str) -> HttpResponse:
    """Unread records of a cluster over the last hour, a part of the overview; read again at most once a minute per scope."""
    found = cluster_or_404(request.user, cluster)
    key = f"lag.cluster_spark:{found.pk}:{scope_of(request.user).key}"
    points = cache.get_or_set(key, lambda: cluster_sparkline(request.user, found), SPARK_SECONDS)
    return render(request, "lag/_cluster_spark.html", {"cluster": found.name, "spark": spark_paths(points or [])})


def spark_paths(points: list[tuple[float, int | None]]) -> dict[str, Any]:
    """SVG paths of a line of 120 x 24 and of the area under it, and the highest value."""
    known = [(at, value) for at, value in points if value is not None]
    if len(known) < 2:
        return {"line": "", "area": "", "top": None}
    start, end, top = known[0][0], known[-1][0], max(value for _, value in known)
    places = [
        (round((at - start) / max(1, end - start) * 120, 1), round(23 - value / max(1, top) * 21, 1))
        for at, value in known
    ]
    line = "M" + "L".join(f"{x} {y}" for x, y in places)
    return {"line": line, "area": f"{line}L120 24L0 24Z", "top": top}


@require_safe
@requires(Right.SEE_SOURCES)
def history_status(request: HttpRequest) -> HttpResponse:
    """The jobs that keep history, a part of the sources page."""
    return render(request, "lag/_history_status.html", {"jobs": selectors.history_status()})


# --- shared with the other pages -----------------------------------------------------------------------------------------
def cluster_or_404(user: Person, name: str) -> Cluster:
    """The cluster if the user may see it; what is hidden and what does not exist look the same."""
    cluster = selectors.cluster_named(user, name)
    if cluster is None:
        raise Http404("no such cluster")
    return cluster


def period_of(cluster: Cluster) -> float:
    """Seconds between two readings of the cluster's lag."""
    return freshness_of([cluster.pk])[cluster.pk].period_seconds


def worst_of(user: Person, cluster: Cluster) -> tuple[str, float | None] | None:
    """Name and seconds of the group that is furthest behind."""
    items = selectors.group_board(user, cluster, BoardQuery(sort="-lag_seconds", limit=1)).items
    return (items[0].group, items[0].lag_seconds) if items else None


def board_query(params: QueryDict) -> BoardQuery:
    """Filters out of an address. What cannot be is left out: an old link must not fail."""
    verdicts, states = set(Verdict), {state.value for state in GroupState}
    sort = params.get("sort", "severity")
    return BoardQuery(
        q=params.get("q", "").strip()[:249].replace("\0", ""),
        verdict=tuple(word for word in params.getlist("verdict") if word in verdicts),
        client=tuple(name for name in params.getlist("client") if name and "\0" not in name),
        state=tuple(word for word in params.getlist("state") if word in states),
        sort=sort if sort.removeprefix("-") in selectors.SORT_FIELDS else "severity",
        limit=FIRST_ROWS,
        cursor=params.get("cursor"),
    )


def _page(user: Person, cluster: Cluster, query: BoardQuery) -> BoardPage:
    try:
        return selectors.group_board(user, cluster, query)
    except selectors.BadCursor:
        return selectors.group_board(user, cluster, replace(query, cursor=None))


def all_rows(user: Person, cluster: Cluster, query: BoardQuery) -> Iterator[GroupSummary]:
    """Every row of the query, page by page."""
    cursor = None
    while True:
        page = selectors.group_board(user, cluster, replace(query, cursor=cursor))
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _head(column: Column, sort: str) -> dict[str, Any]:
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    here = bool(column.sort) and column.sort == name
    turned = column.sort if descending else f"-{column.sort}"
    return column._asdict() | {
        "aria_sort": ("descending" if descending else "ascending") if here else "none",
        "next_sort": turned if here else f"{column.best_first}{column.sort}",
    }


def _chip(verdict: Verdict, counts: dict[str, int], query: BoardQuery, params: QueryDict) -> dict[str, Any]:
    chosen = set(query.verdict) ^ {verdict.value}
    address = params.copy()
    address.pop("cursor", None)
    address.setlist("verdict", [word.value for word in Verdict if word.value in chosen])
    return {
        "value": verdict.value,
        "label": verdict.label,
        "tone": verdict.tone.value,
        "count": counts[verdict.value],
        "pressed": verdict.value in query.verdict,
        "href": f"?{address.urlencode()}",
    }


def _plain(row: GroupSummary) -> dict[str, Any]:
    values = {name: value for name, value in asdict(row).items() if name in EXPORT_FIELDS}
    at = row.observed_at
    values["observed_at"] = (
        None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
    return values


def _json(rows: Iterator[GroupSummary]) -> Iterator[bytes]:
    yield b"["
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"\n") + orjson.dumps(_plain(row))
    yield b"\n]\n"


def _csv(rows: Iterator[GroupSummary]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(EXPORT_FIELDS)
    for row in rows:
        writer.writerow([_cell(value) for value in _plain(row).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    """A value a spreadsheet shows as it is: unknown is empty, and no text is taken for a formula."""
    if isinstance(value, dict | list | tuple):
        return orjson.dumps(value).decode()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
