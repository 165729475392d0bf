"""The only authorisation functions of the portal. Pages, API, live views, exports and commands ask here and nowhere else."""

from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.core.exceptions import PermissionDenied

from accounts.roles import RIGHTS, Right, Role


class Person(Protocol):
    """What a policy needs to know of a user; AnonymousUser fits too."""

    @property
    def is_authenticated(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose objects somebody may see: all, or those of some clients. Never widened by parameters."""

    everything: bool
    client_ids: frozenset[int] = frozenset()

    @property
    def key(self) -> str:
        """Stable text for view keys, cache keys and ETags: equal scopes share bytes, others never."""
        return "all" if self.everything else "c" + ".".join(str(pk) for pk in sorted(self.client_ids))

    @classmethod
    def of_key(cls, key: str) -> "Scope":
        """The scope behind its key."""
        if key == "all":
            return cls(everything=True)
        return cls(everything=False, client_ids=frozenset(int(pk) for pk in key[1:].split(".") if pk))


NOTHING = Scope(everything=False)


@dataclass(frozen=True, slots=True)
class Sight:
    """Somebody's role and scope as of one moment, without the user row: fits wherever a policy or selector asks for a Person.

    Live views read through it: `Sight(role, scope)` of a watcher, `Sight(None, scope)` for whoever shares a view's key.
    """

    role: Role | None
    scope: Scope

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def is_active(self) -> bool:
        return True


def role_of(user: Person) -> Role | None:
    """The user's role; None for anonymous and disabled users, and for demo users outside demo mode."""
    if isinstance(user, Sight):
        return user.role
    if not user.is_authenticated or not may_sign_in(user):
        return None
    try:
        return Role(getattr(user, "role", ""))
    except ValueError:
        return None


def may_sign_in(user: object) -> bool:
    """Whether an account is open at all. Demo users are, in demo mode only: their password is known to everybody."""
    return bool(getattr(user, "is_active", False)) and (settings.DEMO or not getattr(user, "demo", False))


def may(user: Person, right: Right) -> bool:
    """True when the user's role has the right."""
    role = role_of(user)
    return role is not None and right in RIGHTS[role]


def require(user: Person, right: Right) -> None:
    """Raise PermissionDenied unless the user's role has the right."""
    if not may(user, right):
        raise PermissionDenied(f"this needs the right to {right.value.replace('_', ' ')}")


def sight_of(user: Person) -> Sight:
    """The user's role and scope now."""
    return Sight(role_of(user), scope_of(user))


def scope_of(user: Person) -> Scope:
    """What the user may see. Account managers and client viewers see the clients of their memberships."""
    if isinstance(user, Sight):
        return user.scope
    role = role_of(user)
    if role is None:
        return NOTHING
    if role.sees_all_clients:
        return Scope(everything=True)
    memberships = user.memberships.all()  # type: ignore[attr-defined]  # a User here; may be prefetched
    return Scope(everything=False, client_ids=frozenset(row.client_id for row in memberships))
