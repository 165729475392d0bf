"""Findings of refusals: a burst of one principal or host, and every refused schema."""

from collections.abc import Collection

from django.conf import settings
from django.db import transaction

from clusters.models import Cluster, Finding, Rejection
from clusters.rejections.fix import fix_of
from clusters.rejections.fold import words_of
from clusters.rejections.types import Kind, Rejected
from clusters.selectors.rejections import rejected_of
from clusters.services.findings import finding_close, finding_open
from ops_portal.lib.bulk import ran

BURST = "rejection_burst"
SCHEMA = "schema_rejected"

# The first that is told of: principal, subject, host, listener.
_WHO = "coalesce(nullif(r.principal, ''), nullif(r.subject, ''), nullif(r.host, ''), r.listener)"
_RECENT = f"""
SELECT r.cluster_id, r.kind, {_WHO}, sum(m.count)::bigint, (array_agg(r.id ORDER BY m.count DESC, r.id))[1],
    count(DISTINCT r.id)
FROM clusters_rejectionminute m JOIN clusters_rejection r ON r.id = m.rejection_id
WHERE m.at > clock_timestamp() - make_interval(secs => %(seconds)s) AND r.origin <> 'counter'
    AND (%(whole)s OR (r.cluster_id IS NOT DISTINCT FROM %(cluster)s AND {_WHO} = ANY(%(who)s)))
GROUP BY 1, 2, 3 HAVING sum(m.count) >= CASE r.kind WHEN 'schema' THEN 1 ELSE %(least)s END
ORDER BY 1, 2, 3
"""  # noqa: S608 - both texts are constants
_QUIET = f"""
SELECT extract(epoch FROM clock_timestamp() - max(r.last_at))::float8 FROM clusters_rejection r
WHERE r.origin <> 'counter' AND r.kind = %s AND r.cluster_id IS NOT DISTINCT FROM %s AND {_WHO} = %s
"""  # noqa: S608 - both texts are constants


def who_of(rejected: Rejected) -> str:
    """Whom a finding is about."""
    return rejected.principal or rejected.subject or rejected.host or rejected.listener


def bursts_open(*, cluster: Cluster | None = None, who: Collection[str] = (), everybody: bool = False) -> int:
    """Open or renew the findings that are due, of these on the cluster or of everybody; how many are due.

    A step of a larger write. What a backlog tells of hours ago opens none.
    """
    params = {
        "seconds": settings.REJECTION_BURST_SECONDS, "least": settings.REJECTION_BURST_COUNT, "whole": everybody,
        "cluster": cluster.pk if cluster else None, "who": sorted(set(who)),
    }  # fmt: skip
    due = ran(_RECENT, params)
    worst = Rejection.objects.select_related("cluster", "client").in_bulk([row[4] for row in due])
    for _, kind, name, count, pk, series in due:
        _open(worst[pk], Kind(kind), name, count, series)
    return len(due)


def _open(worst: Rejection, kind: Kind, who: str, count: int, series: int) -> None:
    rejected = rejected_of(worst)
    times = "once" if count == 1 else f"{count} times"
    minutes = f"{settings.REJECTION_BURST_SECONDS / 60:g} minutes"
    title = f"{who or 'Somebody'} was refused {times} in {minutes}: {kind.label}"
    if kind is Kind.SCHEMA:
        title = f"A schema of {worst.client.name if worst.client else who} was refused {times} in {minutes}"
    more = f", and {series - 1} other things" if series > 2 else ", and another thing" if series == 2 else ""
    finding_open(
        dedupe_key=f"rejections:{worst.cluster.name if worst.cluster else ''}:{kind}:{who}",
        kind=SCHEMA if kind is Kind.SCHEMA else BURST,
        severity="critical" if kind is Kind.SCHEMA else "warning",
        entity=who,
        title=title,
        reason=f"{words_of(rejected)}{more}. {fix_of(rejected)}".strip(),
        inputs={
            "kind": kind.value, "who": who, "count": count, "window_seconds": settings.REJECTION_BURST_SECONDS,
            "host": rejected.host or None, "subject": rejected.subject or None,
            "topic": rejected.resource if rejected.resource_type == "topic" else None,
        },
        cluster=worst.cluster,
        client=worst.client,
    )  # fmt: skip


@transaction.atomic
def rejection_findings_settle() -> int:
    """Open what two batches at once made due together, and close what has been quiet for REJECTION_QUIET_SECONDS.

    Returns how many were closed.
    """
    bursts_open(everybody=True)
    closed = 0
    for finding in Finding.objects.filter(kind__in=[BURST, SCHEMA], closed_at__isnull=True).order_by("pk"):
        about = [finding.inputs.get("kind", ""), finding.cluster_id, finding.inputs.get("who", "")]
        quiet = ran(_QUIET, about)[0][0]
        if quiet is None or quiet > settings.REJECTION_QUIET_SECONDS:
            closed += finding_close(dedupe_key=finding.dedupe_key) is not None
    return closed
