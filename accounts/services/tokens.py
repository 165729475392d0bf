"""API tokens. Only their SHA-256 is stored."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import ApiToken, User
from accounts.services.audit import record_user
from accounts.services.sight import close_sockets

TOKEN_PREFIX = "opt_"  # noqa: S105  # marks the portal's tokens for secret scanners
LONGEST_TOKEN_HOURS = 24 * 366


@transaction.atomic(durable=True)
def token_create(*, user: User, hours: float = 1, name: str = "", acting_user: User | None) -> tuple[ApiToken, str]:
    """A bearer token of the person and its text, which is shown once and never stored."""
    if not 0 < hours <= LONGEST_TOKEN_HOURS:
        raise ValidationError({"hours": [f"A token lives more than 0 and at most {LONGEST_TOKEN_HOURS} hours."]})
    if not user.is_active:
        raise ValidationError({"user": ["A disabled user cannot have a token."]})
    token, text = _token_make(user, timedelta(hours=hours), name)
    after = {"token": token.prefix, "name": name, "hours": hours}
    record_user("accounts.token_created", user, None, after, acting_user)
    return token, text


@transaction.atomic(durable=True)
def token_refresh(*, token: ApiToken, acting_user: User) -> tuple[ApiToken, str] | None:
    """A new token of the same length in place of this one, which ends.

    None when the token had been replaced or ended before: then somebody else holds a copy, so its whole family ends.
    """
    claimed = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True, expires_at__gt=Now()).update(
        revoked_at=Now()
    )
    if not claimed:
        _family_end(token)
        return None
    fresh, text = _token_make(token.user, token.expires_at - token.created_at, token.name, family=token.family)
    ApiToken.objects.filter(pk=token.pk).update(replaced_by=fresh)
    record_user("accounts.token_refreshed", token.user, {"token": token.prefix}, {"token": fresh.prefix}, acting_user)
    return fresh, text


@transaction.atomic(durable=True)
def token_family_end(*, token: ApiToken) -> int:
    """End every token that was refreshed from the same first one, because a replaced one came back; how many were alive."""
    return _family_end(token)


@transaction.atomic(durable=True)
def token_revoke(*, token: ApiToken, acting_user: User | None) -> bool:
    """End a token now; False when it had ended before. Sockets opened with it close."""
    if not ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=Now()):
        return False
    record_user("accounts.token_revoked", token.user, {"token": token.prefix}, None, acting_user)
    close_sockets([token.user_id])
    return True


def token_note_use(*, token: ApiToken) -> None:
    """Note that the token is in use. No audit row: nothing about anybody's rights changes."""
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=Now())


def _family_end(token: ApiToken) -> int:
    ended = ApiToken.objects.filter(family=token.family, revoked_at__isnull=True).update(revoked_at=Now())
    if ended:
        after = {"token": token.prefix, "tokens_revoked": ended}
        record_user("accounts.token_reuse_detected", token.user, None, after, None)
        close_sockets([token.user_id])
    return ended


def _token_make(user: User, life: timedelta, name: str, **more: Any) -> tuple[ApiToken, str]:
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name[:80],
        digest=hashlib.sha256(text.encode()).hexdigest(),
        prefix=text[:12],
        expires_at=Now() + life,
        **more,
    )
    token.refresh_from_db()
    return token, text
