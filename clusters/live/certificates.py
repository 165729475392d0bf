"""Live view `clusters.certificates` (interfaces.md 5). Whoever judges certificates anew publishes it on commit."""

from typing import Any

from django.conf import settings
from django.db.models import Max

from accounts.policies import Scope, may
from accounts.roles import Right
from clusters.models import Source
from clusters.selectors.certificates import SOURCE_KIND, CertificateRow, certificates_in, contract, now, read_at
from ops_portal.lib.clock import iso
from ops_portal.lib.live.views import Forbidden, Params, Snapshot, View, Watcher, register

CERTIFICATE_COLUMNS = (
    "kind", "subject", "issuer", "serial", "fingerprint_sha256", "not_before", "not_after", "days_left", "band", "served_on",
    "file", "drift", "verdict", "failing_link",
)  # fmt: skip
_LONGEST_NAME = 63


def register_views() -> None:
    """Called once, in `apps.ready`."""
    register(
        View(
            name="clusters.certificates",
            columns=CERTIFICATE_COLUMNS,
            parse_params=_params,
            scope=_scope,
            snapshot=_snapshot,
            period_seconds=_period,
        )
    )


def _params(raw: Params) -> dict[str, Any]:
    cluster = raw.get("cluster")
    if isinstance(cluster, list):
        cluster = cluster[-1] if cluster else None
    if cluster is not None and (not isinstance(cluster, str) or len(cluster) > _LONGEST_NAME or "\0" in cluster):
        raise ValueError("cluster is the name of a cluster")
    return {"cluster": cluster or None}


def _scope(watcher: Watcher, params: Params) -> str:
    if not may(watcher.claims.sight, Right.SEE_LAG):
        raise Forbidden("this view needs the right to see what a client does")
    key: str = watcher.claims.sight.scope.key
    return key


def _snapshot(scope: str, params: Params) -> Snapshot:
    rows = certificates_in(Scope.of_key(scope), params["cluster"])
    if params["cluster"] and not rows and scope != "all":  # its time would tell a hidden cluster from an absent one
        return Snapshot({}, None)
    at = read_at(params["cluster"]) or now()
    return Snapshot({str(row.id): _row(row) for row in rows}, at.timestamp())


def _row(row: CertificateRow) -> list[Any]:
    values = contract(row) | {
        "not_before": iso(row.not_before),
        "not_after": iso(row.not_after),
        "days_left": round(row.days_left, 1 if abs(row.days_left) < 10 else 0),
    }
    return [values[name] for name in CERTIFICATE_COLUMNS]


def _period(params: Params) -> float | None:
    rows = Source.objects.filter(kind=SOURCE_KIND, enabled=True, cluster__removed_at__isnull=True)
    if params["cluster"] is not None:
        rows = rows.filter(cluster__name=params["cluster"])
    longest: int | None = rows.aggregate(longest=Max("period_seconds"))["longest"]
    return float(longest or settings.CERTIFICATE_PERIOD_SECONDS)  # hidden and absent look alike
