"""Reads of users, clients, ownership, tokens and the audit trail. Guarded by `accounts.policies` in whatever calls them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from accounts.models import ApiToken, AuditEntry, Client, Ownership, SignInLink, User
from accounts.ownership import Matcher, Rule
from accounts.policies import Person, scope_of
from accounts.roles import Role


def ownership_matcher(kind: str, cluster_name: str) -> Matcher:
    """Owners of the objects of one kind (group, topic, principal, key) on one cluster."""
    return Matcher.of(ownership_rules(kind, cluster_name))


def ownership_rules(kind: str, cluster_name: str) -> list[Rule]:
    """The globs that say who owns objects of one kind on one cluster."""
    rows = Ownership.objects.filter(kind=kind, cluster_name__in=["", cluster_name])
    return [Rule(client_id, glob) for client_id, glob in rows.values_list("client_id", "glob")]


def clients_visible(user: Person) -> QuerySet[Client]:
    """The clients that the user may see, by name."""
    scope = scope_of(user)
    rows = Client.objects.order_by("name")
    return rows if scope.everything else rows.filter(pk__in=scope.client_ids)


def client_named(name: str) -> Client | None:
    return Client.objects.filter(name=name).first()


def clients_named(names: Iterable[str]) -> list[Client]:
    """The clients of these names, in their order. Raises Client.DoesNotExist with the first unknown name."""
    wanted = list(names)
    found = {client.name: client for client in Client.objects.filter(name__in=wanted)}
    for name in wanted:
        if name not in found:
            raise Client.DoesNotExist(name)
    return [found[name] for name in wanted]


def client_by_id(pk: int) -> Client | None:
    return Client.objects.filter(pk=pk).first()


def clients_with_counts(q: str = "") -> QuerySet[Client]:
    """Every client with the number of its globs and people, by name."""
    rows = Client.objects.annotate(globs=Count("ownerships", distinct=True), people=Count("memberships", distinct=True))
    return (rows.filter(name__icontains=q) if q else rows).order_by("name")


def people_of(client: Client) -> QuerySet[User]:
    """Who may see the client because of a membership."""
    return User.objects.filter(memberships__client=client).order_by("-is_active", "username")


def ownerships_of(client: Client) -> list[Ownership]:
    return list(
        Ownership.objects.filter(client=client).select_related("client").order_by("kind", "glob", "cluster_name")
    )


def ownerships_by_client(client_ids: Iterable[int]) -> dict[int, list[Ownership]]:
    """Globs of several clients in one query, by kind and glob."""
    found: dict[int, list[Ownership]] = defaultdict(list)
    for row in Ownership.objects.filter(client_id__in=list(client_ids)).order_by("kind", "glob"):
        found[row.client_id].append(row)
    return found


def user_named(username: str) -> User | None:
    return User.objects.filter(username=username).first()


def administrator_has_signed_in() -> bool:
    """Whether somebody who may administer has ever been in: until then the portal offers a one-time link at start."""
    return User.objects.filter(role=Role.ADMIN, is_active=True, last_login__isnull=False).exists()


def users_with_clients(q: str = "") -> QuerySet[User]:
    """Every user with memberships, active ones first."""
    rows = User.objects.prefetch_related("clients").annotate(
        live_tokens=Count("tokens", filter=Q(tokens__revoked_at__isnull=True, tokens__expires_at__gt=Now()))
    )
    if q:
        rows = rows.filter(Q(username__icontains=q) | Q(email__icontains=q) | Q(clients__name__icontains=q)).distinct()
    return rows.order_by("-is_active", "username")


def user_with_clients(pk: int) -> User | None:
    return users_with_clients().filter(pk=pk).first()


def administrator_exists() -> bool:
    """Whether anybody but a demo user can administer this portal."""
    return User.objects.filter(role="admin", is_active=True, demo=False).exists()


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A stored token as of now: `expired` is the database's word, `use_unnoted` that no use was noted for a minute."""

    token: ApiToken
    expired: bool
    use_unnoted: bool


def token_of_text(text: str) -> BearerToken | None:
    """The stored token of a bearer text, alive or not, with its user."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    unnoted = Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - timedelta(minutes=1))
    rows = ApiToken.objects.select_related("user").annotate(
        expired=ExpressionWrapper(Q(expires_at__lte=Now()), BooleanField()),
        use_unnoted=ExpressionWrapper(unnoted, BooleanField()),
    )
    token = rows.filter(digest=digest).first()
    return None if token is None else BearerToken(token, token.expired, token.use_unnoted)


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """A person's tokens, newest first."""
    expired = ExpressionWrapper(Q(expires_at__lte=Now()), BooleanField())
    return ApiToken.objects.filter(user=user).annotate(expired=expired).order_by("-created_at", "-pk")


def tokens_all() -> QuerySet[ApiToken]:
    """Everybody's tokens that still work, those that end first at the top."""
    rows = ApiToken.objects.filter(revoked_at__isnull=True, expires_at__gt=Now())
    return rows.select_related("user").order_by("expires_at")


def tokens_by_prefix(text: str) -> QuerySet[ApiToken]:
    """Tokens not yet ended whose text starts so; the text may be longer than what is stored of it."""
    return ApiToken.objects.filter(revoked_at__isnull=True, prefix=text[:12]).select_related("user")


def sign_in_link_is_open(text: str) -> bool:
    """Whether the link would sign somebody in now."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return SignInLink.objects.filter(
        digest=digest, used_at__isnull=True, expires_at__gt=Now(), user__is_active=True
    ).exists()


def audit_entries(
    *, q: str = "", action: str = "", actor: str = "", client: str = "", entity: str = ""
) -> QuerySet[AuditEntry]:
    """The audit trail, newest first, narrowed by a part of the entity, by action, actor, client name and exact entity."""
    rows = AuditEntry.objects.order_by("-pk")
    if q:
        rows = rows.filter(entity__icontains=q)
    if action:
        rows = rows.filter(action=action)
    if actor:
        rows = rows.filter(actor_name=actor)
    if entity:
        rows = rows.filter(entity=entity)
    if client:
        rows = rows.filter(client_id__in=Client.objects.filter(name=client).values("pk"))
    return rows


def audit_actions() -> list[str]:
    return list(AuditEntry.objects.order_by("action").values_list("action", flat=True).distinct())


def audit_actors() -> list[str]:
    return list(AuditEntry.objects.order_by("actor_name").values_list("actor_name", flat=True).distinct())


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a deed changed; None = there was none."""

    name: str
    before: Any
    after: Any


def audit_changes(entry: AuditEntry) -> list[Change]:
    """What differs between before and after, field by field; values that are no objects count as one."""
    before, after = entry.before, entry.after
    if not isinstance(before, dict | None) or not isinstance(after, dict | None):
        return [] if before == after else [Change("", before, after)]
    old, new = before or {}, after or {}
    names = [*old, *(name for name in new if name not in old)]
    return [Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def administration_counts() -> dict[str, int]:
    """How many users, clients, live tokens and audit rows there are."""
    return {
        "users": User.objects.filter(is_active=True).count(),
        "clients": Client.objects.count(),
        "tokens": tokens_all().count(),
        "audit": AuditEntry.objects.count(),
    }
