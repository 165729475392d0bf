"""What every request under /api/ passes: who calls, how often, and that every failure keeps the contract's form."""

from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts import callers
from ops_portal.lib import problems, ratelimit
from ops_portal.lib.problems import Problem

_BUCKET = "api"


class ApiMiddleware:
    """Settles the caller, limits requests per token, else user, else address, and rewrites bare error responses."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not problems.wants_problem(request):
            if "\0" in request.path_info:  # no name holds it, and the database refuses to be asked
                raise Http404
            return self.get_response(request)
        try:
            _limit(callers.identify(request))
            if "\0" in request.path_info:
                raise Problem("not_found")
            response = self.get_response(request)
        except Problem as problem:
            return problems.answer(problem)
        return _kept_to_contract(response)


def _limit(key: str) -> None:
    admission = ratelimit.admit(_BUCKET, key, settings.RATE_LIMIT_PER_MINUTE)
    if not admission.admitted:
        message = f"More than {settings.RATE_LIMIT_PER_MINUTE} requests in a minute."
        raise Problem("rate_limit_exceeded", message, retry_after=admission.retry_after_seconds)


def _kept_to_contract(response: HttpResponseBase) -> HttpResponseBase:
    """The response, or the contract's form of an error that Django or a library wrote in its own."""
    if response.status_code < 400 or response.headers.get("Content-Type", "").startswith("application/json"):
        return response
    rewritten: HttpResponse = problems.answer(problems.of_status(response.status_code))
    if "Allow" in response.headers:
        rewritten["Allow"] = response.headers["Allow"]
    return rewritten
