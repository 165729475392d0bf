"""Whose groups and topics are whose, applied at once when a rule changes: sight must not wait for the next poll."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from accounts.ownership import Owner
from clusters.models import Cluster, Topic
from clusters.services.findings import ownership_findings
from lag.models import ConsumerGroup
from lag.selectors.settings import owners_of
from ops_portal.lib.live.publish import on_commit_publish


@transaction.atomic
def owners_apply() -> int:
    """Give every group and topic of every cluster to the client its rules name; returns how many changed hands."""
    changed = sum(_apply_to(cluster) for cluster in Cluster.objects.filter(removed_at__isnull=True))
    if changed:
        on_commit_publish("lag.board", "lag.group")
    return changed


def _apply_to(cluster: Cluster) -> int:
    owner = owners_of("group", cluster.name).owner
    rows = ConsumerGroup.objects.filter(cluster=cluster).only("name", "client_id", "client_conflict")
    owners = ((group, owner(group.name)) for group in rows)
    groups = [
        (group, found)
        for group, found in owners
        if (group.client_id, group.client_conflict) != (found.client_id, found.conflict)
    ]
    # One statement per row: a poll may be writing, and each row is locked for a moment only.
    for group, found in groups:
        ConsumerGroup.objects.filter(pk=group.pk).update(client_id=found.client_id, client_conflict=found.conflict)
    conflicts = {group.name: found.conflict for group, found in groups if found.conflict != group.client_conflict}
    ownership_findings(cluster, conflicts, "group")
    return len(groups) + _apply_topics(cluster, owners_of("topic", cluster.name).owner)


def _apply_topics(cluster: Cluster, owner: Callable[[str], Owner]) -> int:
    changed = 0
    for pk, name, client_id in Topic.objects.filter(cluster=cluster).values_list("pk", "name", "client_id"):
        if owner(name).client_id != client_id:
            changed += Topic.objects.filter(pk=pk).update(client_id=owner(name).client_id)
    return changed


def on_ownership_changed(sender: Any, **kwargs: Any) -> None:
    """Receiver of `accounts.signals.ownership_changed`."""
    owners_apply()
