"""Clients and tokens over HTTP."""

from datetime import datetime
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from ninja import Router

from accounts import selectors, services
from accounts.callers import ApiRequest, refreshing
from accounts.guards import operation
from accounts.models import Client, Ownership
from accounts.roles import Right
from ops_portal.lib.api import DEFAULT_LIMIT, Contract, Cursor, Limit, Listed, Search, reply, reply_page, sort_field
from ops_portal.lib.problems import Problem

router = Router()


class TokenBody(Contract):
    """A token; `token` is its text, shown this once."""

    token: str
    name: str
    expires_at: datetime


class OwnedGlob(Contract):
    kind: str
    glob: str
    cluster: str | None


class ClientBody(Contract):
    """A client; `owns` are the globs that say which groups, topics, principals and record keys belong to it."""

    id: int
    client: str
    owns: list[OwnedGlob]
    created_at: datetime


@router.post("/token/refresh", auth=refreshing, response=TokenBody, tags=["tokens"], operation_id="token_refresh")
@operation()
def token_refresh(request: HttpRequest) -> HttpResponse:
    """A new token of the same length in place of the one that this request is sent with, which ends at once.

    Sending a token that has been replaced ends every token that came from the same first one.
    """
    token = cast("ApiRequest", request).api_token
    if token is None:
        raise Problem("bad_request", "Send the token to be replaced as `Authorization: Bearer ...`.")
    answer = services.token_refresh(token=token, acting_user=token.user)
    if answer is None:
        raise Problem("not_authenticated", "The token is unknown or has been ended.")
    fresh, text = answer
    return reply({"token": text, "name": fresh.name, "expires_at": fresh.expires_at})


@router.get("/clients", response=Listed[ClientBody], tags=["clients"], operation_id="clients")
@operation(Right.SEE_CLIENTS)
def clients(
    request: HttpRequest, q: Search = "", sort: str = "client", limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> HttpResponse:
    """The clients that the caller may see, with what belongs to them. Sorts by `client` or `created_at`."""
    field, descending = sort_field(sort, ("client", "created_at"))
    order = {"client": "name", "created_at": "created_at"}[field]
    rows = selectors.clients_visible(request.user).order_by(f"-{order}" if descending else order, "name")
    found = list(rows.filter(name__icontains=q) if q else rows)
    owned = selectors.ownerships_by_client(client.pk for client in found)
    items = [_client(client, owned.get(client.pk, [])) for client in found]
    return reply_page(items, limit, cursor, "clients", q, sort)


def _client(client: Client, owned: list[Ownership]) -> dict[str, Any]:
    return {
        "id": client.pk,
        "client": client.name,
        "owns": [{"kind": row.kind, "glob": row.glob, "cluster": row.cluster_name or None} for row in owned],
        "created_at": client.created_at,
    }
