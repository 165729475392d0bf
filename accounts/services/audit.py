"""The audit trail: who did what, written inside the transaction of the deed."""

from typing import Any

import structlog

from accounts.models import AuditEntry, Client, User

SYSTEM = "system"


def audit_record(
    *, action: str, entity: str, before: Any, after: Any, acting_user: User | None, client: Client | None = None
) -> AuditEntry:
    """Write who did what, inside the caller's transaction. `before` and `after` are JSON values without secrets.

    `action` is `<app>.<noun>_<past>`. No acting user = the portal itself or a person at the command line.
    """
    return AuditEntry.objects.create(
        actor=acting_user,
        actor_name=acting_user.username if acting_user else SYSTEM,
        action=action,
        entity=entity[:400],
        client=client,
        before=before,
        after=after,
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", ""))[:64],
    )


def record_user(action: str, user: User, before: Any, after: Any, acting_user: User | None) -> None:
    audit_record(action=action, entity=f"user {user.username}", before=before, after=after, acting_user=acting_user)


def record_client(action: str, client: Client, before: Any, after: Any, acting_user: User | None) -> None:
    audit_record(
        action=action,
        entity=f"client {client.name}",
        before=before,
        after=after,
        acting_user=acting_user,
        client=client,
    )
