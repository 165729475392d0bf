"""What happened to the groups somebody may see."""

from dataclasses import replace
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse
from django.http.request import QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.roles import Right
from accounts.selectors import clients_visible
from lag import selectors
from lag.verdicts import EventKind

RANGES = {"1h": ("1 hour", 3600.0), "6h": ("6 hours", 21600.0), "24h": ("24 hours", 86400.0), "7d": ("7 days", 604800.0), "all": ("all kept", None)}  # fmt: skip
DEFAULT_RANGE = "24h"


@require_safe
@requires(Right.SEE_LAG)
def event_list(request: HttpRequest) -> HttpResponse:
    """Events of all groups the user may see: by kind, group, client, cluster and time; the address holds the filter."""
    query = event_query(request.GET)
    try:
        page = selectors.events_visible(request.user, query)
    except selectors.BadCursor:
        page = selectors.events_visible(request.user, replace(query, cursor=None))
    clusters = selectors.clusters_visible(request.user)
    context = {
        "items": page.items,
        "next_cursor": page.next_cursor,
        "first_page": query.cursor is None and query.until is None,
        "query": query,
        "range": _range(request.GET),
        "ranges": [(word, label) for word, (label, _) in RANGES.items()],
        "kinds": [(kind.value, kind.label) for kind in EventKind],
        "clusters": clusters,
        "client_names": [client.name for client in clients_visible(request.user)],
        "until": query.until.strftime("%Y-%m-%dT%H:%M") if query.until else "",
        "filtered": bool(query.q or query.kinds or query.clients or query.cluster or query.until),
        "sentence": _sentence(len(page.items), more=page.next_cursor is not None or query.cursor is not None),
    }
    return render(request, "lag/event_list.html", context)


def event_query(params: QueryDict) -> selectors.EventQuery:
    """Filters out of an address. What cannot be is left out: an old link must not fail."""
    kinds = set(EventKind)
    return selectors.EventQuery(
        q=params.get("q", "").strip()[:249].replace("\0", ""),
        kinds=tuple(word for word in params.getlist("kind") if word in kinds),
        clients=tuple(name for name in params.getlist("client") if name and "\0" not in name),
        cluster=params.get("cluster", "").replace("\0", ""),
        seconds=RANGES[_range(params)][1],
        until=_until(params.get("until", "")),
        cursor=params.get("cursor") or None,
    )


def _range(params: QueryDict) -> str:
    word = params.get("range", DEFAULT_RANGE)
    return word if word in RANGES else DEFAULT_RANGE


def _until(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
        return moment and (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _sentence(count: int, *, more: bool) -> str:
    if more:
        return "Newest first, a hundred a page."
    return f"{count} event{'' if count == 1 else 's'} in this time." if count else "Nothing happened in this time."
