"""Reads of findings. All take the user and show nothing beyond that user's rights and scope."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from accounts.policies import Person, may, scope_of
from accounts.roles import Right
from clusters.models import Finding


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding (interfaces.md 6)."""

    id: int
    dedupe_key: str
    kind: str
    severity: str
    cluster: str | None
    client: str | None
    entity: str
    title: str
    reason: str
    inputs: dict[str, Any]
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None


def findings(
    user: Person,
    *,
    still_open: bool | None = None,
    q: str = "",
    kinds: Collection[str] = (),
    severities: Collection[str] = (),
    clusters: Collection[str] = (),
    clients: Collection[str] = (),
) -> QuerySet[Finding]:
    """Findings, newest first; an empty filter restricts nothing, `q` looks in entity and title.

    Who does not see all clients sees those of the own clients only.
    """
    rows = Finding.objects.select_related("cluster", "client").filter(
        Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True)
    )
    if still_open is not None:
        rows = rows.filter(closed_at__isnull=still_open)
    if q:
        rows = rows.filter(Q(entity__icontains=q) | Q(title__icontains=q))
    wanted = {"kind": kinds, "severity": severities, "cluster__name": clusters, "client__name": clients}
    rows = rows.filter(**{f"{name}__in": list(values) for name, values in wanted.items() if values})
    scope = scope_of(user)
    if not scope.everything:
        rows = rows.filter(client_id__in=scope.client_ids)
    if not may(user, Right.SEE_FINDINGS):
        return rows.none()
    return rows.order_by("-opened_at", "-pk")


def finding_rows(rows: Iterable[Finding]) -> list[FindingRow]:
    """The contract's fields of findings that `findings` has given out."""
    return [
        FindingRow(
            row.pk,
            row.dedupe_key,
            row.kind,
            row.severity,
            row.cluster.name if row.cluster else None,
            row.client.name if row.client else None,
            row.entity,
            row.title,
            row.reason,
            row.inputs,
            row.opened_at,
            row.last_seen_at,
            row.closed_at,
        )
        for row in rows
    ]
