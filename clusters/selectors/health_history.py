"""A signal over time, for charts: at most a thousand points, gaps as null."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import LiteralString

from django.conf import settings

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.health.states import Health
from clusters.models import Cluster
from clusters.signals import Bad, Signal
from ops_portal.lib.bulk import ran
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock

MOST_POINTS = 1000
COLUMNS = ("at", "value", "state")
STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)

_RAW: LiteralString = """
SELECT floor(extract(epoch FROM at) / %(step)s)::bigint AS number, min(value), max(value), max(state)
FROM clusters_healthsample WHERE cluster_id = %(cluster)s AND signal = %(signal)s AND at >= %(start)s AND at < %(end)s
GROUP BY number
"""
_MINUTE: LiteralString = """
SELECT floor(extract(epoch FROM at) / %(step)s)::bigint AS number, min(low), max(high), max(state)
FROM clusters_healthminute WHERE cluster_id = %(cluster)s AND signal = %(signal)s AND at >= %(start)s AND at < %(end)s
GROUP BY number
"""


class BadRange(ValueError):
    """The range or the step makes no sense."""


@dataclass(frozen=True, slots=True)
class SignalHistory:
    """Points of `columns`, one per step from the first to the last: the worst value and state within it, null for a gap.

    `at` is seconds since the epoch.
    """

    step_seconds: int
    columns: tuple[str, ...]
    points: tuple[tuple[float, float | None, str | None], ...]


def signal_history(
    user: Person, cluster: Cluster, signal: Signal, start: datetime, end: datetime, *, step: float | None = None
) -> SignalHistory | None:
    """A signal over [start, end); None for who may not see it. `step` is widened to at most 1,000 points. Raises BadRange."""
    if not may(user, Right.SEE_CLUSTERS):
        return None
    if end <= start:
        raise BadRange("the range must end after it begins")
    if step is not None and step <= 0:
        raise BadRange("the step must be positive")
    now = as_datetime(database_clock().now())
    raw = now - start <= timedelta(hours=settings.HISTORY_RAW_HOURS)
    least = max(step or 5, (end - start).total_seconds() / (MOST_POINTS - 1), 5 if raw else 60)
    chosen = next((known for known in STEPS if known >= least), ceil(least / 86400) * 86400)
    use_raw = raw and chosen < 60
    params = {"cluster": cluster.pk, "signal": signal.id, "step": chosen, "start": start, "end": end}
    found = {row[0]: row[1:] for row in ran(_RAW if use_raw else _MINUTE, params)}
    numbers = range(int(start.timestamp() // chosen), ceil(end.timestamp() / chosen))
    return SignalHistory(
        chosen, COLUMNS, tuple(_point(number * chosen, found.get(number), signal) for number in numbers)
    )


def _point(
    at: float, found: tuple[float | None, float | None, int] | None, signal: Signal
) -> tuple[float, float | None, str | None]:
    if found is None:
        return (float(at), None, None)
    low, high, state = found
    return (float(at), low if signal.bad is Bad.BELOW else high, list(Health)[state].value)
