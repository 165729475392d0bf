"""Opening, touching and closing findings. These are steps of larger writes: they join the caller's transaction."""

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.models import Client
from clusters.models import Cluster, Finding
from clusters.news import finding_closed, finding_opened

OWNERSHIP = "ownership_conflict"
_OPEN = """
INSERT INTO clusters_finding
    (dedupe_key, kind, severity, cluster_id, client_id, entity, title, reason, inputs, opened_at, last_seen_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, clock_timestamp(), clock_timestamp())
ON CONFLICT (dedupe_key) WHERE closed_at IS NULL
DO UPDATE SET last_seen_at = clock_timestamp(), severity = excluded.severity, title = excluded.title,
    reason = excluded.reason, inputs = excluded.inputs, client_id = excluded.client_id
RETURNING id, (xmax = 0)
"""


@transaction.atomic
def finding_open(
    *,
    dedupe_key: str,
    kind: str,
    severity: str,
    entity: str,
    title: str,
    reason: str = "",
    inputs: Mapping[str, Any] | None = None,
    cluster: Cluster | None = None,
    client: Client | None = None,
) -> Finding:
    """Open a finding, or bring the open one with this key up to date. `finding_opened` is sent on commit for a new one.

    Two writers at once make one finding. Texts are cut to what the columns hold.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _OPEN,
            [
                dedupe_key[:400],
                kind,
                severity,
                cluster.pk if cluster else None,
                client.pk if client else None,
                entity[:400],
                title[:400],
                reason,
                Finding._meta.get_field("inputs").get_db_prep_value(dict(inputs or {}), connection),
            ],
        )
        pk, is_new = cursor.fetchone()
    finding = Finding.objects.select_related("cluster", "client").get(pk=pk)
    if is_new:
        transaction.on_commit(lambda: finding_opened.send_robust(Finding, finding=finding))
    return finding


@transaction.atomic
def finding_touch(*, dedupe_key: str) -> bool:
    """Note that the open finding still holds; False when none is open."""
    return Finding.objects.filter(dedupe_key=dedupe_key[:400], closed_at__isnull=True).update(last_seen_at=Now()) == 1


@transaction.atomic
def finding_close(*, dedupe_key: str) -> Finding | None:
    """Close the open finding of this key; None when none is open. `finding_closed` is sent on commit, once."""
    open_ones = Finding.objects.select_for_update(of=("self",)).select_related("cluster", "client")
    finding = open_ones.filter(dedupe_key=dedupe_key[:400], closed_at__isnull=True).first()
    if finding is None:
        return None
    Finding.objects.filter(pk=finding.pk).update(closed_at=Now(), last_seen_at=Now())
    finding.refresh_from_db(fields=["closed_at", "last_seen_at"])
    transaction.on_commit(lambda: finding_closed.send_robust(Finding, finding=finding))
    return finding


def ownership_findings(cluster: Cluster | None, conflicts: Mapping[str, bool], kind: str) -> None:
    """Objects (name -> claimed by two clients or not) whose claim has changed: opens and closes the finding that says so."""
    for name, conflict in conflicts.items():
        key = f"{ownership_prefix(cluster, kind)}{name}"
        if conflict:
            finding_open(
                dedupe_key=key, kind=OWNERSHIP, severity="warning", cluster=cluster, entity=f"{kind} {name}",
                title=f"Two clients claim the {kind} {name}", reason="It belongs to none of them until one glob is changed.",
            )  # fmt: skip
        else:
            finding_close(dedupe_key=key)


def ownership_prefix(cluster: Cluster | None, kind: str) -> str:
    """How the dedupe keys of claims on objects of a kind begin."""
    return f"ownership:{cluster.pk if cluster else 0}:{kind}:"
