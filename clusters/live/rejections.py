"""Live view `clusters.rejections` (interfaces.md 5): the newest series. Whoever counts a refusal publishes it on commit."""

from typing import Any

from accounts.policies import Scope, may
from accounts.roles import Right
from clusters.live.cluster_param import parse_cluster
from clusters.selectors.rejections import RejectionRow, filtered, in_scope, rejection_rows
from ops_portal.lib.clock import iso
from ops_portal.lib.live.views import Forbidden, Params, Snapshot, View, Watcher, register

REJECTION_COLUMNS = (
    "kind", "client", "principal", "cluster", "topic", "subject", "host", "listener", "operation", "rule", "fix", "count",
    "first_at", "last_at",
)  # fmt: skip
MOST_ROWS = 200


def register_views() -> None:
    """Called once, in `apps.ready`."""
    register(
        View(
            name="clusters.rejections",
            columns=REJECTION_COLUMNS,
            parse_params=parse_cluster,
            scope=_scope,
            snapshot=_snapshot,
            period_seconds=lambda params: None,
        )
    )


def _scope(watcher: Watcher, params: Params) -> str:
    if not may(watcher.claims.sight, Right.SEE_LAG):
        raise Forbidden("this view needs the right to see what a client does")
    key: str = watcher.claims.sight.scope.key
    return key


def _snapshot(scope: str, params: Params) -> Snapshot:
    clusters = [params["cluster"]] if params["cluster"] else []
    rows = rejection_rows(filtered(in_scope(Scope.of_key(scope)), clusters=clusters)[:MOST_ROWS])
    newest = rows[0].last_at.timestamp() if rows else None
    return Snapshot({str(row.id): _row(row) for row in rows}, newest)


def _row(row: RejectionRow) -> list[Any]:
    return [
        row.kind.value, row.client, row.principal, row.cluster, row.topic, row.subject, row.host, row.listener, row.operation,
        row.rule, row.fix, row.count, iso(row.first_at), iso(row.last_at),
    ]  # fmt: skip
