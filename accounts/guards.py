"""What stands before every view: which right it asks for, or why it asks for none. A test walks all routes and wants one."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts import sessions
from accounts.policies import may, role_of
from accounts.roles import Right

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)
V = TypeVar("V", bound=Callable[..., Any])
View = Callable[..., HttpResponseBase]


def requires(*rights: Right) -> Callable[[View], View]:
    """A page for people with all of these rights. Others get the designed 403; nobody signed in is sent to sign in."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if role_of(request.user) is None:
                return _sign_in_first(request)
            _refuse_without(request, rights)
            sessions.touch(request)
            return view(request, *args, **kwargs)

        return mark(guarded, ", ".join(rights))

    return guard


def signed_in(reason: str) -> Callable[[View], View]:
    """A page for everybody who is signed in; `reason` says why no right is needed."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if role_of(request.user) is None:
                return _sign_in_first(request)
            sessions.touch(request)
            return view(request, *args, **kwargs)

        return mark(guarded, f"signed in: {reason}")

    return guard


def public(reason: str) -> Callable[[View], View]:
    """A page for anybody, signed in or not; `reason` says why that is right."""

    def guard(view: View) -> View:
        @wraps(view)
        def open_view(*args: Any, **kwargs: Any) -> HttpResponseBase:
            return view(*args, **kwargs)

        return mark(open_view, f"public: {reason}")

    return guard


def operation(*rights: Right) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """An API operation for callers with all of these rights; who the caller is has been settled before."""

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            _refuse_without(cast("HttpRequest", args[0]), (Right.USE_API, *rights))
            return view(*args, **kwargs)

        return mark(guarded, ", ".join((Right.USE_API, *rights)))

    return guard


def mark(view: V, access: str) -> V:
    """Note on the view what it asks for; the meta-test and the isolation matrix read it."""
    view.portal_access = access  # type: ignore[attr-defined]  # functions take attributes
    return view


def _refuse_without(request: HttpRequest, rights: tuple[Right, ...]) -> None:
    for right in rights:
        if not may(request.user, right):
            raise PermissionDenied(f"Your role lacks the right to {right.value.replace('_', ' ')}.")


def _sign_in_first(request: HttpRequest) -> HttpResponseBase:
    """Send a browser to the sign-in page; htmx and fetch get 401, which the page turns into the same."""
    if request.headers.get("HX-Request") or "application/json" in request.headers.get("Accept", ""):
        return HttpResponse(status=401)
    return redirect_to_login(request.get_full_path())
