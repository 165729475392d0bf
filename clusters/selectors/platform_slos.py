"""Targets of the platform: how they stand, their error budget, how fast it burns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.health.slo import SLOS, WINDOW_DAYS, Budget, Count, PlatformSlo, budget
from clusters.models import CanaryResult, Cluster, HealthSettings
from clusters.selectors.health import HealthView, cluster_health
from ops_portal.lib.bulk import ran
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock

_SUMS = """
SELECT slo, sum(good), sum(bad), sum(unknown),
    sum(good) FILTER (WHERE at >= %(day)s), sum(bad) FILTER (WHERE at >= %(day)s), sum(unknown) FILTER (WHERE at >= %(day)s),
    sum(good) FILTER (WHERE at >= %(hour)s), sum(bad) FILTER (WHERE at >= %(hour)s), sum(unknown) FILTER (WHERE at >= %(hour)s)
FROM clusters_platformslocount WHERE cluster_id = %(cluster)s AND at >= %(window)s GROUP BY slo
"""


@dataclass(frozen=True, slots=True)
class PlatformSloRow:
    """A target with what it has now. `value` in the target's unit; `met` None = cannot be told now."""

    slo: PlatformSlo
    value: float | None
    met: bool | None
    reason: str  # why it cannot be told, or the signal's sentence
    count: Count  # of the window
    budget: Budget
    window_days: int


@dataclass(frozen=True, slots=True)
class CanaryRow:
    """The newest canary record. `topic` '' = none is set, and availability cannot be told."""

    topic: str
    at: datetime | None
    seconds: float | None
    error: str
    acknowledged_at: datetime | None


def platform_slos(user: Person, cluster: Cluster) -> tuple[PlatformSloRow, ...]:
    """Every target of the platform on a cluster; none for who may not see it."""
    if not may(user, Right.SEE_CLUSTERS):
        return ()
    view = cluster_health(user, cluster)
    sums = _sums(cluster)
    canary = canary_of(user, cluster)
    return tuple(_row(slo, view, sums.get(slo.id, (Count(), Count(), Count())), canary) for slo in SLOS) if view else ()


def canary_of(user: Person, cluster: Cluster) -> CanaryRow | None:
    """The canary of a cluster; None for who may not see it."""
    if not may(user, Right.SEE_CLUSTERS):
        return None
    settings = HealthSettings.objects.filter(cluster=cluster).only("canary_topic").first()
    topic = settings.canary_topic if settings is not None else ""
    found = CanaryResult.objects.filter(cluster=cluster).first()
    if found is None:
        return CanaryRow(topic, None, None, "", None)
    return CanaryRow(topic, found.at, found.seconds, found.error, found.acknowledged_at)


def _sums(cluster: Cluster) -> Mapping[str, tuple[Count, Count, Count]]:
    now = as_datetime(database_clock().now())
    rows = ran(
        _SUMS,
        {
            "cluster": cluster.pk, "window": now - timedelta(days=WINDOW_DAYS), "day": now - timedelta(days=1),
            "hour": now - timedelta(hours=1),
        },
    )  # fmt: skip
    return {row[0]: (_count(row[1:4]), _count(row[4:7]), _count(row[7:10])) for row in rows}


def _count(found: tuple[float | None, ...]) -> Count:
    return Count(*(value or 0.0 for value in found))


def _row(
    slo: PlatformSlo, view: HealthView, counts: tuple[Count, Count, Count], canary: CanaryRow | None
) -> PlatformSloRow:
    window, day, hour = counts
    value, met, reason = _now(slo, view, canary)
    return PlatformSloRow(slo, value, met, reason, window, budget(slo, window, day, hour), WINDOW_DAYS)


def _now(slo: PlatformSlo, view: HealthView, canary: CanaryRow | None) -> tuple[float | None, bool | None, str]:
    if slo.signal:
        signal = next(row for row in view.signals if row.id == slo.signal)
        known = signal.state.value != "unknown" and signal.value is not None and slo.limit is not None
        return signal.value, signal.value < slo.limit if known else None, signal.reason  # type: ignore[operator]  # known
    if canary is None or not canary.topic:
        return None, None, "No canary topic is set, so nothing proves that records are acknowledged."
    offline = next(row for row in view.signals if row.id == "offline_partitions")
    if canary.at is None or offline.state.value == "unknown":
        return None, None, offline.reason
    good = canary.seconds is not None and offline.state.value == "ok"
    return float(good), good, canary.error or offline.reason
