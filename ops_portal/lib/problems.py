"""The one shape of every failure that a program sees (interfaces.md 1), and the exceptions that lead to it.

`{"error": code, "message", "request_id", "retry_after"?: seconds, "fields"?: {name: [text]}}`. Messages name no object, host or
client that the caller did not name.
"""

import math
import sys
import uuid
from collections.abc import Mapping, Sequence

import orjson
import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from psycopg.errors import UniqueViolation
from psycopg_pool import PoolTimeout

# Code -> status. docs/api-errors.md describes each; a test holds both together.
STATUS_OF = {
    "bad_request": 400,
    "not_authenticated": 401,
    "token_expired": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "body_too_large": 413,
    "invalid": 422,
    "rate_limit_exceeded": 429,
    "internal_error": 500,
    "unavailable": 503,
}
DEFAULT_MESSAGES = {
    "bad_request": "The request cannot be understood.",
    "not_authenticated": "Sign in, or send a token as `Authorization: Bearer ...`.",
    "token_expired": "The token has expired; refresh tokens before they do.",
    "forbidden": "Your role does not include this.",
    "not_found": "There is nothing here that you may see.",
    "method_not_allowed": "This address does not answer that method.",
    "conflict": "Somebody else is changing this; try again.",
    "body_too_large": "The request body is too large.",
    "invalid": "Some values are not valid; `fields` says which.",
    "rate_limit_exceeded": "Too many requests; wait as long as `retry_after` says.",
    "internal_error": "Something failed on our side. The request id finds it in our logs.",
    "unavailable": "The portal cannot answer for the moment; try again.",
}
RETRY_SECONDS = 5


class Problem(Exception):
    """Ends a request with an answer of the contract. `retry_after` in seconds."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message or DEFAULT_MESSAGES[code]
        self.fields = fields
        self.retry_after = retry_after


def invalid(**fields: str) -> Problem:
    """A 422 that says per field what is wrong."""
    return Problem("invalid", fields={name: [text] for name, text in fields.items()})


def answer(problem: Problem) -> HttpResponse:
    """The response for a problem."""
    body: dict[str, object] = {"error": problem.code, "message": problem.message, "request_id": request_id()}
    if problem.retry_after is not None:
        body["retry_after"] = problem.retry_after
    if problem.fields is not None:
        body["fields"] = problem.fields
    response = HttpResponse(orjson.dumps(body), content_type="application/json", status=STATUS_OF[problem.code])
    response["Cache-Control"] = "no-store"
    if problem.retry_after is not None:
        response["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    if response.status_code == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def of_status(status: int) -> Problem:
    """The contract's problem for a bare status that Django or a library answered with."""
    code = next((code for code, number in STATUS_OF.items() if number == status), None)
    if code is None:
        code = "internal_error" if status >= 500 else "bad_request"
    return Problem(code, retry_after=RETRY_SECONDS if status in {409, 429, 503} else None)


def of_exception(error: BaseException | None) -> Problem:
    """The problem behind an exception that nobody caught; an unreachable database is `unavailable`."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestDataTooBig):
        return Problem("body_too_large")
    if isinstance(error, IntegrityError) and isinstance(error.__cause__, UniqueViolation):
        # Somebody was faster; the database's text may name others.
        return Problem("conflict", retry_after=RETRY_SECONDS)
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout)):
        return Problem("unavailable", retry_after=RETRY_SECONDS)
    return Problem("internal_error")


def current_exception_problem() -> Problem:
    """The same for the exception being handled, as in Django's handler500."""
    return of_exception(sys.exc_info()[1])


def request_id() -> str:
    """The id of the request being served; a fresh one outside of any."""
    return str(structlog.contextvars.get_contextvars().get("request_id", "")) or uuid.uuid4().hex


def wants_problem(request: HttpRequest) -> bool:
    """Whether a failure of this request is read by a program."""
    return request.path_info.startswith("/api/")
