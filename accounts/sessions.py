"""A browser's session: beginning it, keeping it alive, ending it."""

import time

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest

from accounts.models import User
from ops_portal.lib.live import sessions as live_sessions

BACKEND = "accounts.backends.PasswordBackend"
TOUCH_AFTER_SECONDS = 300
_TOUCHED = "touched"


def begin(request: HttpRequest, user: User) -> None:
    """Sign the person in on a fresh session key."""
    login(request, user, backend=BACKEND)
    request.session[_TOUCHED] = int(time.time())


def touch(request: HttpRequest, *, at_most_every: float = TOUCH_AFTER_SECONDS) -> float:
    """Put off the end of a session in use, open sockets included; when it ends now, in seconds since the epoch."""
    now = int(time.time())
    ends_at = float(request.session.get(_TOUCHED, 0) + settings.SESSION_COOKIE_AGE)
    if now - request.session.get(_TOUCHED, 0) >= at_most_every:
        request.session[_TOUCHED] = now
        ends_at = float(now + settings.SESSION_COOKIE_AGE)
        key = request.session.session_key
        if key:
            live_sessions.extend(identity=live_sessions.identity_of(key), expires_at=ends_at)
    return ends_at


def end(request: HttpRequest) -> None:
    """Sign the person out here: the session is gone and its sockets close."""
    key = request.session.session_key
    logout(request)
    if key:
        live_sessions.revoke(identity=live_sessions.identity_of(key))
