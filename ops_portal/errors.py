"""What people and programs get when a request fails: programs the contract's JSON, people a designed page."""

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from ops_portal import pages
from ops_portal.lib import problems
from ops_portal.lib.problems import Problem


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, and 413 for a form that is too large."""
    if problems.wants_problem(request):
        return problems.answer(Problem("body_too_large" if isinstance(exception, RequestDataTooBig) else "bad_request"))
    return pages.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if problems.wants_problem(request):
        return problems.answer(Problem("forbidden", str(exception)))
    return pages.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if problems.wants_problem(request):
        return problems.answer(Problem("not_found"))
    return pages.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; 503 while the database does not answer."""
    problem = problems.current_exception_problem()
    if problems.wants_problem(request):
        return problems.answer(problem)
    response = pages.server_error(request)
    if problem.code == "unavailable":
        response.status_code = 503
        response["Retry-After"] = str(problems.RETRY_SECONDS)
    return response


def csrf_failure(request: HttpRequest, reason: str = "", **more: Any) -> HttpResponse:
    """A form without its token: mostly a page left open over a sign-out."""
    return permission_denied(
        request, PermissionDenied("This page was open for too long or in another session. Load it again and repeat.")
    )
