"""Live view `ops.sources` (interfaces.md 5). Whoever changes a source publishes it on commit."""

from typing import Any

from django.db.models import Max

from accounts.policies import may
from accounts.roles import Right
from clusters import selectors
from clusters.models import Source
from ops_portal.lib.database import database_clock
from ops_portal.lib.live.views import Forbidden, Params, Snapshot, View, Watcher, register

SOURCE_COLUMNS = (
    "cluster", "kind", "period_seconds", "state", "last_success_at", "age_seconds", "stale", "error", "entity_errors",
    "requests", "breaker",
)  # fmt: skip
_LONGEST_NAME = 63
_ERRORS_SHOWN = 50


def register_views() -> None:
    """Called once, in `apps.ready`."""
    register(
        View(
            name="ops.sources",
            columns=SOURCE_COLUMNS,
            parse_params=_params,
            scope=_scope,
            snapshot=_snapshot,
            period_seconds=_period,
            time_column="last_success_at",
        )
    )


def _params(raw: Params) -> dict[str, Any]:
    cluster = raw.get("cluster")
    if isinstance(cluster, list):
        cluster = cluster[-1] if cluster else None
    if cluster is not None and (not isinstance(cluster, str) or len(cluster) > _LONGEST_NAME):
        raise ValueError("cluster is the name of a cluster")
    return {"cluster": cluster or None}


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


def _period(params: Params) -> float | None:
    rows = Source.objects.filter(enabled=True, cluster__removed_at__isnull=True)
    if params["cluster"] is not None:
        rows = rows.filter(cluster__name=params["cluster"])
    longest: int | None = rows.aggregate(longest=Max("period_seconds"))["longest"]
    return None if longest is None else float(longest)
