"""Live view `clusters.health` (interfaces.md 5): a row per cluster and signal, and per cluster one for the verdict.

Row keys are `cluster/signal`, and `cluster/` for the verdict: its state and its reasons, joined by line breaks.
"""

from datetime import datetime
from functools import partial
from typing import Any

from accounts.policies import may
from accounts.roles import Right
from clusters.health.states import Source as Kind
from clusters.live.cluster_param import longest_period, parse_cluster
from clusters.models import Cluster
from clusters.selectors.health import SignalRow, signals_now
from ops_portal.lib.live.views import Forbidden, Params, Snapshot, View, Watcher, register

HEALTH_COLUMNS = (
    "cluster", "signal", "scope", "state", "reason", "value", "unit", "entity", "warn", "critical", "source", "since",
    "observed_at", "age_seconds", "stale", "query", "runbook",
)  # fmt: skip


def register_views() -> None:
    """Called once, in `apps.ready`."""
    register(
        View(
            name="clusters.health",
            columns=HEALTH_COLUMNS,
            parse_params=parse_cluster,
            scope=_scope,
            snapshot=_snapshot,
            period_seconds=partial(longest_period, kind=Kind.BROKERS.value),
            time_column="observed_at",
        )
    )


def _scope(watcher: Watcher, params: Params) -> str:
    if not may(watcher.claims.sight, Right.SEE_CLUSTERS):
        raise Forbidden("this needs the right to see clusters")
    return "all"


def _snapshot(scope: str, params: Params) -> Snapshot:
    clusters = Cluster.objects.filter(removed_at__isnull=True)
    if params["cluster"] is not None:
        clusters = clusters.filter(name=params["cluster"])
    found = signals_now(clusters.values_list("pk", flat=True))
    newest = max((at.timestamp() for *_, at in found if at is not None), default=None)
    rows: dict[str, list[Any]] = {}
    for cluster, verdict, signals, at in found:
        rows[f"{cluster.name}/"] = [
            cluster.name, "", "cluster", verdict.state.value, "\n".join(verdict.reasons), None, "", "", None, None, "", None,
            at.timestamp() if at else None, _age(at, newest), at is None, "", "",
        ]  # fmt: skip
        rows.update((f"{cluster.name}/{row.id}", _row(row, newest)) for row in signals)
    return Snapshot(rows, newest)


def _row(row: SignalRow, newest: float | None) -> list[Any]:
    signal = row.signal
    return [
        row.cluster, signal.id, signal.scope.value, row.state.value, row.reason,
        None if row.value is None else float(f"{row.value:.4g}"), signal.unit, row.entity, signal.warn, signal.critical,
        "+".join(source.value for source in row.sources), row.since.timestamp() if row.since else None,
        row.observed_at.timestamp() if row.observed_at else None, _age(row.observed_at, newest), row.stale, row.query,
        row.runbook,
    ]  # fmt: skip


def _age(at: datetime | None, newest: float | None) -> float | None:
    """As of the view's own time: a row does not change by growing older."""
    return None if at is None or newest is None else round(newest - at.timestamp(), 1)
