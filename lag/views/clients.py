"""What belongs to a client: its groups and topics, as lag sees them, and what its account manager notes."""

from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.models import Client, User
from accounts.policies import Person, may
from accounts.roles import Right
from accounts.selectors import clients_visible, ownerships_by_client
from accounts.services import client_notes_set
from lag import selectors
from lag.forms import NotesForm
from lag.rows import BoardQuery, GroupSummary
from lag.sentences import board_sentence
from lag.verdicts import Verdict


@require_safe
@requires(Right.SEE_CLIENTS)
def client_list(request: HttpRequest) -> HttpResponse:
    """Clients the user may see, with the state of their groups."""
    clients = list(clients_visible(request.user))
    globs = ownerships_by_client(client.pk for client in clients)
    rows: list[dict[str, Any]] = [
        {"client": client, "globs": globs.get(client.pk, [])} | _standing(_groups(request.user, client))
        for client in clients
    ]
    rows.sort(key=lambda row: (row["severity"], row["client"].name))
    return render(request, "lag/client_list.html", {"rows": rows})


@require_safe
@requires(Right.SEE_CLIENTS)
def client_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One client: globs that say what is its own, groups worst first, topics."""
    return _page(request, _client_or_404(request.user, pk))


@require_POST
@requires(Right.SEE_CLIENTS, Right.CHANGE_NOTES)
def client_notes(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep the notes on a client."""
    client, form = _client_or_404(request.user, pk), NotesForm(request.POST)
    if not form.is_valid():
        return _page(request, client, form)
    user = cast("User", request.user)  # the guard lets nobody else in
    client_notes_set(client=client, notes=form.cleaned_data["notes"], acting_user=user)
    messages.success(request, "The notes are kept.")
    return redirect("lag:client-detail", pk)


def _client_or_404(user: Person, pk: int) -> Client:
    client = clients_visible(user).filter(pk=pk).first()
    if client is None:
        raise Http404("no such client")
    return client


def _page(request: HttpRequest, client: Client, notes: NotesForm | None = None) -> HttpResponse:
    groups = _groups(request.user, client)
    topics = [
        topic
        for cluster in selectors.clusters_visible(request.user)
        for topic in selectors.topics(request.user, cluster)
        if topic.client == client.name
    ]
    context: dict[str, Any] = {"client": client, "groups": groups, "topics": topics} | _standing(groups)
    context["globs"] = ownerships_by_client([client.pk]).get(client.pk, [])
    if may(request.user, Right.CHANGE_NOTES):
        context["notes_form"] = notes or NotesForm(initial={"notes": client.notes})
    return render(request, "lag/client_detail.html", context, status=422 if notes else 200)


def _groups(user: Person, client: Client) -> list[GroupSummary]:
    query = BoardQuery(client=(client.name,), limit=500)
    return [
        row for cluster in selectors.clusters_visible(user) for row in selectors.group_board(user, cluster, query).items
    ]


def _standing(groups: list[GroupSummary]) -> dict[str, Any]:
    """Counts and one sentence over the groups of a client."""
    counts = {verdict.value: sum(1 for row in groups if row.verdict is verdict) for verdict in Verdict}
    worst = min((row.verdict for row in groups), key=lambda verdict: verdict.severity, default=None)
    behind = [row for row in groups if row.lag_seconds]
    furthest = max(behind, key=lambda row: row.lag_seconds or 0.0, default=None)
    return {
        "worst": worst,
        "severity": worst.severity if worst else len(Verdict),
        "total": len(groups),
        "sentence": board_sentence(counts, (furthest.group, furthest.lag_seconds) if furthest else None),
    }
