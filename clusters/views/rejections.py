"""Pages of what was refused: one timeline for all and per client, and one series."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.request import QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.policies import may
from accounts.roles import Right
from accounts.selectors import clients_visible
from clusters.models import Rejection
from clusters.rejections.lines import why_unread
from clusters.rejections.types import Kind
from clusters.selectors.polling import clusters_visible
from clusters.selectors.rejection_history import counted_since, kinds_of, rejection_bars
from clusters.selectors.rejections import (
    RejectionRow,
    newest_at,
    rejection_by_id,
    rejection_feeds,
    rejection_rows,
    rejections,
)
from clusters.selectors.schemas import subject_named
from ops_portal.lib.clock import as_datetime, iso
from ops_portal.lib.database import database_clock

PERIODS = {"1h": ("1 hour", 3600), "6h": ("6 hours", 21_600), "24h": ("24 hours", 86_400), "7d": ("7 days", 604_800)}
DEFAULT_PERIOD = "24h"
ROWS_PER_PAGE = 100
NEW_SECONDS = 900
CSV_CHUNK = 500
CSV_FIELDS = (
    "kind", "client", "principal", "cluster", "topic", "subject", "host", "listener", "operation", "rule", "fix", "count",
    "first_at", "last_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """What an address asks for. What cannot be is left out: an old link must not fail."""

    period: str
    q: str
    kinds: tuple[str, ...]
    client: str
    cluster: str

    @property
    def seconds(self) -> int:
        return PERIODS[self.period][1]

    @property
    def narrowed(self) -> bool:
        return bool(self.q or self.kinds or self.client or self.cluster)


@require_safe
@requires(Right.SEE_LAG)
def rejection_list(request: HttpRequest) -> HttpResponse:
    """The timeline: series of equal refusals that went on in the time, newest first."""
    wanted = _filter(request.GET)
    now = database_clock().now()
    since = as_datetime(now - wanted.seconds)
    rows = _rows(request, wanted, since)
    whole = _rows(request, Filter(wanted.period, wanted.q, (), wanted.client, wanted.cluster), since)
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    shown = rejection_rows(page.object_list)
    counts = counted_since([row.id for row in shown], since)
    found = rejection_bars(rows, now=now, seconds=wanted.seconds)
    of_kind = kinds_of(whole)
    context = {
        "newest_at": newest_at(request.user) or 0.0,
        "wanted": wanted,
        "items": [(row, counts.get(row.id, 0), now - row.first_at.timestamp() < NEW_SECONDS) for row in shown],
        "page": page,
        "bars": found,
        "kinds": [(kind, of_kind.get(kind, 0), kind.value in wanted.kinds) for kind in Kind],
        "periods": [(word, label) for word, (label, _) in PERIODS.items()],
        "period_words": PERIODS[wanted.period][0],
        "clusters": clusters_visible(request.user),
        "client_names": [client.name for client in clients_visible(request.user)],
        "feeds": [(feed, why_unread(feed.unread_line)) for feed in rejection_feeds(request.user)],
        "may_see_feeds": may(request.user, Right.SEE_SOURCES),
        "docs_url": reverse("docs-page", args=["rejections"]),
        "counters": _counters(request, wanted, since),
        "sentence": _sentence(found.total, rows.count(), rows.filter(first_at__gte=since).count(), wanted),
        "red": found.total,
    }
    return render(request, "clusters/rejection_list.html", context)


@require_safe
@requires(Right.SEE_LAG)
def rejection_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Every series of the filter, as CSV."""
    wanted = _filter(request.GET)
    rows = _rows(request, wanted, as_datetime(database_clock().now() - wanted.seconds))
    response = StreamingHttpResponse(_csv(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="rejections.csv"'
    return response


@require_safe
@requires(Right.SEE_LAG)
def rejection_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One series: who, what, the rule, what would fix it, and when."""
    found = rejection_by_id(request.user, pk)
    if found is None:
        raise Http404("no such rejection")
    row = rejection_rows([found])[0]
    series = Rejection.objects.filter(pk=pk)
    period = _filter(request.GET).period
    context = {
        "newest_at": newest_at(request.user) or 0.0,
        "row": row,
        "pattern": found.pattern,
        "period": period,
        "period_words": PERIODS[period][0],
        "periods": [(word, label) for word, (label, _) in PERIODS.items()],
        "bars": rejection_bars(series, now=database_clock().now(), seconds=PERIODS[period][1]),
        "subject": subject_named(request.user, row.cluster, row.subject) if row.subject else None,
    }
    return render(request, "clusters/rejection_detail.html", context)


def _rows(request: HttpRequest, wanted: Filter, since: datetime) -> Any:
    return rejections(
        request.user, q=wanted.q, kinds=wanted.kinds, since=since,
        clients=[wanted.client] if wanted.client else (), clusters=[wanted.cluster] if wanted.cluster else (),
    )  # fmt: skip


def _counters(request: HttpRequest, wanted: Filter, since: datetime) -> list[tuple[RejectionRow, int]]:
    """What the brokers themselves counted in the time: codes and listeners, without who."""
    clusters = [wanted.cluster] if wanted.cluster else ()
    rows = rejection_rows(rejections(request.user, clusters=clusters, since=since, counters=True)[:ROWS_PER_PAGE])
    counts = counted_since([row.id for row in rows], since)
    return [(row, counts.get(row.id, 0)) for row in rows]


def _filter(params: QueryDict) -> Filter:
    period = params.get("period", DEFAULT_PERIOD)
    known = {kind.value for kind in Kind}
    return Filter(
        period=period if period in PERIODS else DEFAULT_PERIOD,
        q=params.get("q", "").strip()[:249].replace("\0", ""),
        kinds=tuple(word for word in params.getlist("kind") if word in known),
        client=params.get("client", "").replace("\0", ""),
        cluster=params.get("cluster", "").replace("\0", ""),
    )


def _sentence(total: int, series: int, new: int, wanted: Filter) -> str:
    when = f"in the last {PERIODS[wanted.period][0].removeprefix('1 ')}"
    if not total:
        return f"Nothing was refused {when}."
    times = "1 refusal" if total == 1 else f"{total:,} refusals".replace(",", "\u202f")
    if total == 1:
        return f"{times} {when}{', for the first time' if new else ''}."
    different = "all alike" if series == 1 else f"{series:,} different ones".replace(",", "\u202f")
    seen = "none" if not new else "all" if new == series else f"{new} of them"
    return f"{times} {when}, {different}, {seen} for the first time."


def _csv(rows: Any) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(CSV_FIELDS)
    found = rows.iterator(chunk_size=CSV_CHUNK)
    while chunk := list(islice(found, CSV_CHUNK)):
        for item in rejection_rows(chunk):
            writer.writerow([_cell(getattr(item, name)) for name in CSV_FIELDS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    """A value a spreadsheet shows as it is: unknown is empty, and no text is taken for a formula."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
