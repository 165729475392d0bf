"""Who calls the API: a bearer token, or the session of a signed-in browser."""

from typing import cast

from django.http import HttpRequest

from accounts import selectors, services
from accounts.models import ApiToken, User
from accounts.policies import may_sign_in, role_of
from ops_portal.lib import ratelimit
from ops_portal.lib.problems import Problem

_SAFE = {"GET", "HEAD", "OPTIONS"}


class ApiRequest(HttpRequest):
    """A request after `identify`. `api_token` is the live token it came with, `api_dead_token` one that was ended,
    `api_problem` what is wrong with the given token."""

    user: User
    api_token: ApiToken | None
    api_dead_token: ApiToken | None
    api_problem: Problem | None


def identify(request: HttpRequest) -> str:
    """Settle who calls; the key under which the caller's requests are counted. A token outranks a session."""
    call = cast("ApiRequest", request)
    call.api_token = call.api_dead_token = call.api_problem = None
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        token = _settle_token(call, text.strip())
        if token is not None:
            return f"token:{token.pk}"
    elif role_of(request.user) is not None:
        return f"user:{request.user.pk}"
    return f"address:{ratelimit.client_address(request)}"


def authenticated(request: HttpRequest) -> User:
    """The caller, for ninja's `auth`. A session needs its CSRF token for everything that writes."""
    call = cast("ApiRequest", request)
    if call.api_problem is not None:
        raise call.api_problem
    if role_of(call.user) is None:
        raise Problem("not_authenticated")
    from ninja.utils import check_csrf  # workers import this module, and ninja takes 10 MB

    if call.api_token is None and request.method not in _SAFE and check_csrf(request) is not None:
        raise Problem("forbidden", "A session needs the X-CSRFToken header for this; a token does not.")
    return call.user


def refreshing(request: HttpRequest) -> User:
    """The same for the refresh of a token: a replaced token that comes back was copied, so its whole family ends."""
    dead = cast("ApiRequest", request).api_dead_token
    if dead is not None and dead.replaced_by_id is not None:
        services.token_family_end(token=dead)
    return authenticated(request)


def _settle_token(call: ApiRequest, text: str) -> ApiToken | None:
    found = selectors.token_of_text(text)
    if found is None or found.token.revoked_at is not None or not may_sign_in(found.token.user):
        call.api_dead_token = found.token if found else None
        call.api_problem = Problem("not_authenticated", "The token is unknown or has been ended.")
    elif found.expired:
        call.api_problem = Problem("token_expired")
    else:
        if found.use_unnoted:
            services.token_note_use(token=found.token)
        call.user, call.api_token = found.token.user, found.token
        return found.token
    return None
