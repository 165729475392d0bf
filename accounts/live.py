"""Who looks through a socket: the session or token behind a handshake, and whether it still holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from django.http.cookie import parse_cookie
from django.utils.crypto import constant_time_compare

from accounts import selectors
from accounts.callers import ApiRequest
from accounts.models import ApiToken, User
from accounts.policies import Sight, may_sign_in, sight_of
from ops_portal.lib.live import sessions
from ops_portal.lib.live.views import Watcher


@dataclass(frozen=True, slots=True)
class Claims:
    """What a watcher came with. Views' scope functions ask `sight`; the rest is for `revalidate`."""

    sight: Sight
    session_key: str = ""
    session_hash: str = ""
    token_id: int | None = None


def authenticate(scope: Mapping[str, Any]) -> Watcher | None:
    """The watcher behind a handshake: a bearer token if one is given, else the session cookie."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    kind, _, credential = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return _by_token(credential.strip())
    return _by_session(parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, ""))


def watcher_of(call: ApiRequest) -> Watcher:
    """The watcher behind an API request, for views read over plain HTTP; the caller has been authenticated."""
    user, token = call.user, call.api_token
    if token is not None:
        return _watcher(
            user, f"token:{token.pk}", token.expires_at.timestamp(), Claims(sight_of(user), token_id=token.pk)
        )
    ends_at = call.session.get_expiry_date().timestamp()
    identity = sessions.identity_of(call.session.session_key or "")
    return _watcher(user, identity, ends_at, Claims(sight_of(user)))


def revalidate(watchers: Sequence[Watcher]) -> dict[str, Watcher | None]:
    """Identity -> the watcher as of now, None when that session is over. At most four queries for any number of watchers."""
    users = {
        user.pk: user
        for user in User.objects.filter(pk__in={watcher.user_id for watcher in watchers}).prefetch_related(
            "memberships"
        )
    }
    session_keys = {watcher.claims.session_key for watcher in watchers if watcher.claims.session_key}
    open_until = dict(
        Session.objects.filter(session_key__in=session_keys, expire_date__gt=Now()).values_list(
            "session_key", "expire_date"
        )
    )
    token_ids = {watcher.claims.token_id for watcher in watchers if watcher.claims.token_id}
    alive_until = dict(
        ApiToken.objects.filter(pk__in=token_ids, revoked_at__isnull=True, expires_at__gt=Now()).values_list(
            "pk", "expires_at"
        )
    )
    found: dict[str, Watcher | None] = {}
    for watcher in watchers:
        claims, user = watcher.claims, users.get(watcher.user_id)
        until = alive_until.get(claims.token_id) if claims.token_id else open_until.get(claims.session_key)
        if user is not None and until is not None and _holds(user, claims):
            found[watcher.identity] = _watcher(user, watcher.identity, until.timestamp(), claims)
        else:
            found[watcher.identity] = None
    return found


def _holds(user: User, claims: Claims) -> bool:
    """Whether the account is open and, for a session, the password and generation are those it was made with."""
    if not may_sign_in(user):
        return False
    return claims.token_id is not None or constant_time_compare(claims.session_hash, user.get_session_auth_hash())


def _by_token(text: str) -> Watcher | None:
    found = selectors.token_of_text(text)
    if found is None or found.expired or found.token.revoked_at is not None or not may_sign_in(found.token.user):
        return None
    token = found.token
    identity = sessions.identity_of(text)
    return _watcher(token.user, identity, token.expires_at.timestamp(), Claims(sight_of(token.user), token_id=token.pk))


def _by_session(session_key: str) -> Watcher | None:
    row = Session.objects.filter(session_key=session_key, expire_date__gt=Now()).first() if session_key else None
    if row is None:
        return None
    data = row.get_decoded()
    user = User.objects.filter(pk=data[SESSION_KEY]).first() if SESSION_KEY in data else None
    if user is None or not may_sign_in(user):
        return None
    session_hash = user.get_session_auth_hash()
    if not constant_time_compare(data.get(HASH_SESSION_KEY, ""), session_hash):
        return None
    claims = Claims(sight_of(user), session_key=session_key, session_hash=session_hash)
    return _watcher(user, sessions.identity_of(session_key), row.expire_date.timestamp(), claims)


def _watcher(user: User, identity: str, expires_at: float, claims: Claims) -> Watcher:
    renewed = Claims(sight_of(user), claims.session_key, claims.session_hash, claims.token_id)
    return Watcher(user.pk, identity, str(user.entitlement_version), expires_at, renewed)
