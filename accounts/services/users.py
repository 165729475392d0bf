"""Users: adding, changing, ending access, and the demo's own."""

from collections.abc import Collection

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import ApiToken, Client, Membership, User
from accounts.roles import Role
from accounts.services.audit import audit_record, record_user
from accounts.services.sight import close_sockets, sight_changed

DEMO_PASSWORD = "demo"  # noqa: S105  # works in demo mode only


@transaction.atomic(durable=True)
def user_add(
    *,
    username: str,
    role: str,
    clients: Collection[Client] = (),
    password: str | None = None,
    email: str = "",
    acting_user: User | None,
) -> User:
    """Add a person. Without a password the account opens by a one-time sign-in link only."""
    return user_insert(username, role, clients, password, email, acting_user)


@transaction.atomic(durable=True)
def user_change(*, user: User, email: str, first_name: str, last_name: str, acting_user: User | None) -> User:
    """Change what describes a person but grants nothing."""
    user = _locked(user)
    before = {"email": user.email, "first_name": user.first_name, "last_name": user.last_name}
    user.email, user.first_name, user.last_name = email, first_name, last_name
    user.full_clean()
    user.save(update_fields=["email", "first_name", "last_name"])
    after = {"email": email, "first_name": first_name, "last_name": last_name}
    record_user("accounts.user_changed", user, before, after, acting_user)
    return user


@transaction.atomic(durable=True)
def user_disable(*, user: User, acting_user: User | None) -> User:
    """End a person's access at once: sessions, open sockets and tokens."""
    user = _locked(user)
    if acting_user is not None and acting_user.pk == user.pk:
        raise ValidationError({"user": ["You cannot disable yourself."]})
    _keep_an_administrator(user)
    User.objects.filter(pk=user.pk).update(is_active=False, session_generation=F("session_generation") + 1)
    ended = ApiToken.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=Now())
    sight_changed([user.pk])
    record_user(
        "accounts.user_disabled", user, {"active": True}, {"active": False, "tokens_revoked": ended}, acting_user
    )
    user.refresh_from_db()
    return user


@transaction.atomic(durable=True)
def user_enable(*, user: User, acting_user: User | None) -> User:
    """Let a disabled person in again. Old sessions and tokens stay ended."""
    user = _locked(user)
    User.objects.filter(pk=user.pk).update(is_active=True)
    sight_changed([user.pk])
    record_user("accounts.user_enabled", user, {"active": user.is_active}, {"active": True}, acting_user)
    user.refresh_from_db()
    return user


@transaction.atomic(durable=True)
def role_change(*, user: User, role: str, acting_user: User | None) -> User:
    """Give a person another role. A role that sees all clients drops the memberships, so that none come back unseen."""
    user = _locked(user)
    new = _role(role)
    if user.role == Role.ADMIN and new is not Role.ADMIN:
        _keep_an_administrator(user)
    before = {"role": user.role, "clients": _client_names(user)}
    User.objects.filter(pk=user.pk).update(role=new.value)
    if new.sees_all_clients:
        Membership.objects.filter(user=user).delete()
    sight_changed([user.pk])
    record_user("accounts.role_changed", user, before, {"role": new.value, "clients": _client_names(user)}, acting_user)
    user.refresh_from_db()
    return user


@transaction.atomic(durable=True)
def membership_set(*, user: User, clients: Collection[Client], acting_user: User | None) -> User:
    """Make `clients` exactly the clients that the person may see."""
    user = _locked(user)
    _refuse_needless_clients(Role(user.role), clients)
    before = _client_names(user)
    Membership.objects.filter(user=user).exclude(client__in=list(clients)).delete()
    Membership.objects.bulk_create((Membership(user=user, client=client) for client in clients), ignore_conflicts=True)
    after = _client_names(user)
    if before != after:
        sight_changed([user.pk])
        record_user("accounts.membership_changed", user, {"clients": before}, {"clients": after}, acting_user)
    user.refresh_from_db()
    return user


@transaction.atomic(durable=True)
def password_change(*, user: User, password: str, acting_user: User | None) -> User:
    """Set a new password: every session of the person ends, except one whose hash the caller renews."""
    user = _locked(user)
    _check_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    close_sockets([user.pk])
    record_user("accounts.password_changed", user, None, None, acting_user)
    return user


@transaction.atomic(durable=True)
def sign_in_record(*, user: User, acting_user: User) -> None:
    """Note in the audit trail that a person signed in."""
    record_user("accounts.user_signed_in", user, None, None, acting_user)


@transaction.atomic(durable=True)
def sign_out_everywhere(*, user: User, acting_user: User | None) -> User:
    """End every session and open socket of a person. API tokens have a life of their own and stay."""
    user = _locked(user)
    user.session_generation += 1
    user.save(update_fields=["session_generation"])
    close_sockets([user.pk])
    record_user("accounts.user_signed_out_everywhere", user, None, None, acting_user)
    return user


@transaction.atomic(durable=True)
def preferences_change(*, user: User, time_zone: str, theme: str, acting_user: User) -> User:
    """A person's own taste. Not an administrative action, so the audit trail holds no row."""
    user = _locked(user)
    user.time_zone, user.theme = time_zone, theme
    user.full_clean()
    user.save(update_fields=["time_zone", "theme"])
    return user


@transaction.atomic(durable=True)
def demo_users_create(*, clients_by_role: dict[str, Collection[Client]]) -> list[User]:
    """One user per role, named like the role, password `demo`. Refused outside demo mode; safe to run again."""
    if not settings.DEMO:
        raise ValidationError({"demo": ["Demo users exist in demo mode only."]})
    found, password = [], make_password(DEMO_PASSWORD)  # once: it is slow by design, and no secret
    for role in Role:
        user, _ = User.objects.get_or_create(username=role.value, defaults={"role": role.value, "demo": True})
        if not user.demo:
            raise ValidationError({"username": [f"{role.value} is a real user of this portal."]})
        user.role, user.is_active = role.value, True
        user.password = password
        user.save()
        clients = clients_by_role.get(role.value, ())
        Membership.objects.bulk_create(
            (Membership(user=user, client=client) for client in clients), ignore_conflicts=True
        )
        found.append(user)
    audit_record(
        action="accounts.demo_users_created",
        entity="users",
        before=None,
        after=[user.username for user in found],
        acting_user=None,
    )
    return found


def user_insert(
    username: str, role: str, clients: Collection[Client], password: str | None, email: str, acting_user: User | None
) -> User:
    known = _role(role)
    _refuse_needless_clients(known, clients)
    user = User(username=User.normalize_username(username.strip()), role=known.value, email=email)
    user.set_password(password)
    user.full_clean(exclude=["password"])
    if User.objects.filter(username__iexact=user.username).exists():
        raise ValidationError({"username": ["A user with that name exists."]})
    if password is not None:
        _check_password(password, user)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:  # somebody else was faster
        raise ValidationError({"username": ["A user with that name exists."]}) from error
    Membership.objects.bulk_create(Membership(user=user, client=client) for client in clients)
    after = {"role": known.value, "email": email, "clients": _client_names(user)}
    record_user("accounts.user_added", user, None, after, acting_user)
    return user


def _locked(user: User) -> User:
    return User.objects.select_for_update().get(pk=user.pk)


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise ValidationError({"role": [f"{text!r} is no role; roles are {', '.join(Role)}."]}) from None


def _refuse_needless_clients(role: Role, clients: Collection[Client]) -> None:
    if role.sees_all_clients and clients:
        raise ValidationError({"clients": [f"The role {role.value} sees all clients; name none."]})


def _keep_an_administrator(user: User) -> None:
    others = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).exclude(pk=user.pk)
    if user.role == Role.ADMIN and user.is_active and not others.exists():
        raise ValidationError({"user": ["This is the last administrator; make another one first."]})


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({"password": error.messages}) from error


def _client_names(user: User) -> list[str]:
    return list(Client.objects.filter(memberships__user=user).order_by("name").values_list("name", flat=True))
