"""Clients and what belongs to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import Q

from accounts.models import Client, Ownership, User
from accounts.services.audit import record_client
from accounts.services.sight import sight_changed
from accounts.signals import ownership_changed


@dataclass(frozen=True, slots=True)
class OwnershipSpec:
    """One glob to add: `kind` is group, topic, principal or key; an empty cluster means every cluster."""

    kind: str
    glob: str
    cluster_name: str = ""


@transaction.atomic(durable=True)
def client_add(*, name: str, specs: Iterable[OwnershipSpec] = (), notes: str = "", acting_user: User | None) -> Client:
    """Add a client and what belongs to it."""
    client = Client(name=name.strip(), notes=notes)
    client.full_clean()
    client.save()
    record_client("accounts.client_added", client, None, {"name": client.name, "notes": notes}, acting_user)
    _ownership_add(client, specs, acting_user)
    return client


@transaction.atomic(durable=True)
def client_change(*, client: Client, name: str, notes: str, acting_user: User | None) -> Client:
    """Rename a client or change its notes."""
    client = Client.objects.select_for_update().get(pk=client.pk)
    before = {"name": client.name, "notes": client.notes}
    client.name, client.notes = name.strip(), notes
    client.full_clean()
    client.save()
    record_client("accounts.client_changed", client, before, {"name": client.name, "notes": notes}, acting_user)
    return client


@transaction.atomic(durable=True)
def client_notes_set(*, client: Client, notes: str, acting_user: User | None) -> Client:
    """Change the notes alone, whoever renames the client meanwhile."""
    client = Client.objects.select_for_update().get(pk=client.pk)
    before, client.notes = {"notes": client.notes}, notes
    client.full_clean()
    client.save(update_fields=["notes"])
    record_client("accounts.client_notes_changed", client, before, {"notes": notes}, acting_user)
    return client


@transaction.atomic(durable=True)
def client_remove(*, client: Client, acting_user: User | None) -> None:
    """Remove a client. Its viewers lose sight of everything that was the client's."""
    client = Client.objects.select_for_update().get(pk=client.pk)
    users = list(client.memberships.values_list("user_id", flat=True))
    before = {"name": client.name, "owns": [str(found) for found in client.ownerships.order_by("kind", "glob")]}
    record_client("accounts.client_removed", client, before, None, acting_user)
    _tell_ownership_changed(client.pk)
    client.delete()
    sight_changed(users)


@transaction.atomic(durable=True)
def ownership_add(*, client: Client, specs: Iterable[OwnershipSpec], acting_user: User | None) -> int:
    """Give a client more objects; how many globs are new."""
    client = Client.objects.select_for_update().get(pk=client.pk)
    return _ownership_add(client, specs, acting_user)


@transaction.atomic(durable=True)
def ownership_remove(*, ownership: Ownership, acting_user: User | None) -> None:
    """Take one glob from a client."""
    client = ownership.client
    record_client("accounts.ownership_removed", client, _ownership_text(ownership), None, acting_user)
    ownership.delete()
    _client_sight_changed(client)


def _ownership_add(client: Client, specs: Iterable[OwnershipSpec], acting_user: User | None) -> int:
    added = []
    for spec in specs:
        row = Ownership(client=client, kind=spec.kind, glob=spec.glob, cluster_name=spec.cluster_name)
        row.clean_fields()
        known = Q(kind=row.kind, glob=row.glob, cluster_name=row.cluster_name)
        if not client.ownerships.filter(known).exists():
            row.save()
            added.append(_ownership_text(row))
    if added:
        record_client("accounts.ownership_added", client, None, added, acting_user)
        _client_sight_changed(client)
    return len(added)


def _ownership_text(row: Ownership) -> dict[str, str]:
    return {"kind": row.kind, "glob": row.glob, "cluster": row.cluster_name or "*"}


def _client_sight_changed(client: Client) -> None:
    _tell_ownership_changed(client.pk)
    sight_changed(client.memberships.values_list("user_id", flat=True))


def _tell_ownership_changed(client_id: int) -> None:
    transaction.on_commit(partial(ownership_changed.send, sender=Client, client_ids=frozenset({client_id})))
