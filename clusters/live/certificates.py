"""Live view `clusters.certificates` (interfaces.md 5). Whoever judges certificates anew publishes it on commit."""

from typing import Any

from django.conf import settings

from accounts.policies import Scope, may
from accounts.roles import Right
from clusters.live.cluster_param import longest_period, parse_cluster
from clusters.selectors.certificates import SOURCE_KIND, CertificateRow, certificates_in, contract, now, read_at
from ops_portal.lib.clock import iso
from ops_portal.lib.live.views import Forbidden, Params, Snapshot, View, Watcher, register

CERTIFICATE_COLUMNS = (
    "kind", "subject", "issuer", "serial", "fingerprint_sha256", "not_before", "not_after", "days_left", "band", "served_on",
    "file", "drift", "verdict", "failing_link",
)  # fmt: skip


def register_views() -> None:
    """Called once, in `apps.ready`."""
    register(
        View(
            name="clusters.certificates",
            columns=CERTIFICATE_COLUMNS,
            parse_params=parse_cluster,
            scope=_scope,
            snapshot=_snapshot,
            period_seconds=_period,
        )
    )


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


def _period(params: Params) -> float:
    period = longest_period(params, kind=SOURCE_KIND)
    return period or float(settings.CERTIFICATE_PERIOD_SECONDS)  # hidden and absent look alike
