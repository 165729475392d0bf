"""The HTTP API: all routers under /api/v1, one way to say who calls, one form of failure (interfaces.md 1)."""

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Field, NinjaAPI
from ninja.errors import HttpError, ValidationError
from psycopg_pool import PoolTimeout

from accounts.api import router as accounts_router
from accounts.callers import ApiRequest, authenticated
from accounts.guards import operation
from accounts.live import watcher_of
from accounts.roles import Right
from clusters.api import routers as clusters_routers
from lag.api import router as lag_router
from ops_portal.lib import problems
from ops_portal.lib.api import Contract, ContractParser, ProblemBody, reply
from ops_portal.lib.live import snapshots, views
from ops_portal.lib.problems import Problem, invalid

logger = logging.getLogger(__name__)
E = TypeVar("E", bound=Exception)

DESCRIPTION = """
Unknown values are `null`, never 0. Times are ISO 8601 UTC with milliseconds and `Z`, durations seconds, rates records per
second. Lists take `limit` (1 to 500, default 100), `cursor`, `sort` (`-` in front = descending) and `q`; a filter may be
given several times. Failures have the form of `ProblemBody`; every code is described in docs/api-errors.md.
"""


api = NinjaAPI(
    title="Ops Portal",
    version="1",
    description=DESCRIPTION.strip(),
    urls_namespace="api",
    openapi_url=None,
    docs_url=None,
    auth=authenticated,
    parser=ContractParser(),
)
for _router in (lag_router, *clusters_routers, accounts_router):
    api.add_router("", _router)


@api.get("/openapi.json", summary="This interface as OpenAPI 3.1", tags=["meta"], operation_id="openapi")
@operation()
def openapi(request: HttpRequest) -> HttpResponse:
    """The document behind the docs page."""
    return reply(openapi_document())


class SnapshotSchema(Contract):
    """Which column is the key, the columns in order, and which of them is a time."""

    key: str
    columns: list[str]
    time: str | None


class SnapshotBody(Contract):
    """A live view's rows now, to be continued on the socket from (`e`, `s`). Rows are `[key, values...]`."""

    view: str
    e: str
    s: int
    ts: float | None
    schema_: SnapshotSchema = Field(alias="schema")
    rows: list[list[Any]]


@api.get(
    "/views/{view}",
    response=SnapshotBody,
    by_alias=True,
    summary="Snapshot of a live view",
    tags=["live"],
    operation_id="view_snapshot",
)
@operation(Right.SEE_LAG)
def view_snapshot(request: HttpRequest, view: str) -> HttpResponse:
    """Parameters are the view's own, as on the socket. The ETag is `epoch:sequence`."""
    try:
        found = snapshots.read_view(view, watcher_of(cast("ApiRequest", request)), _view_params(request))
    except views.UnknownView:
        raise Problem("not_found") from None
    except views.Forbidden:
        raise Problem("not_found") from None
    except ValueError as error:
        raise invalid(params=str(error)) from error
    if found.etag is not None and request.headers.get("If-None-Match") == found.etag:
        return HttpResponse(status=304, headers={"ETag": found.etag})
    response = reply(found.as_json())
    response["Cache-Control"] = "private, no-cache"  # asked again each time, with the ETag
    if found.etag is not None:
        response["ETag"] = found.etag
    return response


def _view_params(request: HttpRequest) -> dict[str, Any]:
    """Query values as the socket would send them: one value as text, several as a list."""
    found: dict[str, Any] = {}
    for name, values in request.GET.lists():
        given = [value for value in values if value]
        if any("\0" in value for value in given):
            raise invalid(**{name: "holds a character that no name can have"})
        if given:
            found[name] = given if len(given) > 1 else given[0]
    return found


@functools.cache
def openapi_document() -> dict[str, Any]:
    """The OpenAPI document: ninja's, plus the ways to sign in and the failures every operation shares."""
    document: dict[str, Any] = dict(api.get_openapi_schema())
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["ProblemBody"] = ProblemBody.model_json_schema()
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "From `manage.py create_token` or the account page.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "ops_session",
            "description": "A browser that is signed in.",
        },
    }
    document["security"] = [{"token": []}, {"session": []}]
    failure = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}}
    for methods in document["paths"].values():
        for method, found in methods.items():
            found.pop("security", None)
            found["responses"] = {str(status): response for status, response in found["responses"].items()}
            for status in (401, 403, 404, 422, 429, 500, 503, *((400, 409, 413) if method == "post" else ())):
                codes = [code for code, number in problems.STATUS_OF.items() if number == status]
                found["responses"].setdefault(str(status), {"description": " or ".join(codes), **failure})
    return document


def _on_validation(error: ValidationError) -> Problem:
    fields: dict[str, list[str]] = {}
    for found in error.errors:
        place = [str(part) for part in found["loc"]]
        fields.setdefault(place[1] if len(place) > 1 else place[0], []).append(str(found["msg"]))
    return Problem("invalid", fields=fields)


def _on_unavailable(error: Exception) -> Problem:
    logger.error("The database does not answer: %s", error)
    return problems.of_exception(error)


def _on_integrity(error: Exception) -> Problem:
    logger.error("The database refused a row.", exc_info=error)
    return problems.of_exception(error)


def _handle(kind: type[E], problem_of: Callable[[E], Problem]) -> None:
    def handler(request: HttpRequest, error: Any) -> HttpResponse:
        return problems.answer(problem_of(error))

    api.add_exception_handler(kind, handler)


_handle(Problem, lambda error: error)
_handle(ValidationError, _on_validation)
_handle(HttpError, lambda error: problems.of_status(error.status_code))
_handle(PermissionDenied, lambda error: Problem("forbidden", str(error)))
_handle(Http404, lambda error: Problem("not_found"))
_handle(IntegrityError, _on_integrity)
_handle(OperationalError, _on_unavailable)
_handle(InterfaceError, _on_unavailable)
_handle(PoolTimeout, _on_unavailable)
