"""Live view `ops.sources` (interfaces.md 5). Whoever changes a source publishes it on commit."""

from typing import Any

from accounts.policies import may
from accounts.roles import Right
from clusters import selectors
from clusters.live.cluster_param import longest_period, parse_cluster
from ops_portal.lib.database import database_clock
from ops_portal.lib.live.views import Forbidden, Params, Snapshot, View, Watcher, register

SOURCE_COLUMNS = (
    "cluster", "kind", "period_seconds", "state", "last_success_at", "age_seconds", "stale", "error", "entity_errors",
    "requests", "breaker",
)  # fmt: skip
_ERRORS_SHOWN = 50


def register_views() -> None:
    """Called once, in `apps.ready`."""
    register(
        View(
            name="ops.sources",
            columns=SOURCE_COLUMNS,
            parse_params=parse_cluster,
            scope=_scope,
            snapshot=_snapshot,
            period_seconds=longest_period,
            time_column="last_success_at",
        )
    )


def _scope(watcher: Watcher, params: Params) -> str:
    if not may(watcher.claims.sight, Right.SEE_SOURCES):
        raise Forbidden("this needs the right to see sources")
    return "all"


def _snapshot(scope: str, params: Params) -> Snapshot:
    rows = selectors.source_rows(params["cluster"])
    return Snapshot({str(row.id): _row(row) for row in rows}, database_clock().now())


def _row(row: selectors.SourceRow) -> list[Any]:
    return [
        row.cluster, row.kind, row.period_seconds, row.state.value,
        row.last_success_at.timestamp() if row.last_success_at else None,
        None if row.age_seconds is None else round(row.age_seconds, 1), row.stale, row.error,
        list(row.entity_errors[:_ERRORS_SHOWN]), row.requests, row.breaker,
    ]  # fmt: skip
