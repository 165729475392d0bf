"""One-time sign-in links."""

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import SignInLink, User
from accounts.roles import Role
from accounts.services.audit import record_user
from accounts.services.users import user_insert

LINK_HOURS = 24


@transaction.atomic(durable=True)
def sign_in_link_create(*, user: User, acting_user: User | None) -> str:
    """A link text that signs the person in once within 24 hours. Older unused links of the person stop working."""
    return link_insert(user, acting_user)


@transaction.atomic(durable=True)
def one_time_sign_in_link_create(*, acting_user: User | None = None) -> str:
    """The link text for the first administrator, who is made when there is none. Only on a portal nobody can administer."""
    admins = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True, demo=False)
    admin = admins.order_by("pk").first() or user_insert(
        _free_name("admin"), Role.ADMIN.value, (), None, "", acting_user
    )
    return link_insert(admin, acting_user)


@transaction.atomic(durable=True)
def sign_in_link_use(*, text: str) -> User | None:
    """The person whom an unused link signs in, or None. The conditional UPDATE lets one of two racing requests win."""
    used = SignInLink.objects.filter(
        digest=digest(text), used_at__isnull=True, expires_at__gt=Now(), user__is_active=True
    ).update(used_at=Now())
    if not used:
        return None
    user = SignInLink.objects.select_related("user").get(digest=digest(text)).user
    record_user("accounts.sign_in_link_used", user, None, None, user)
    return user


def link_insert(user: User, acting_user: User | None) -> str:
    SignInLink.objects.filter(user=user, used_at__isnull=True).update(used_at=Now())
    text = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, digest=digest(text), expires_at=Now() + timedelta(hours=LINK_HOURS))
    record_user("accounts.sign_in_link_created", user, None, {"hours": LINK_HOURS}, acting_user)
    return text


def _free_name(wish: str) -> str:
    taken = set(User.objects.filter(username__startswith=wish).values_list("username", flat=True))
    names = [wish, *(f"{wish}{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
