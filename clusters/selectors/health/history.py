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
# Hours are written when they are over; the last day comes from its minutes beside them, which say nothing else.
_HOUR: LiteralString = """
SELECT floor(extract(epoch FROM at) / %(step)s)::bigint AS number, min(low), max(high), max(state) FROM (
    SELECT at, low, high, state FROM clusters_healthhour
    WHERE cluster_id = %(cluster)s AND signal = %(signal)s AND at >= %(first)s AND at < %(end)s
    UNION ALL
    SELECT at, low, high, state FROM clusters_healthminute
    WHERE cluster_id = %(cluster)s AND signal = %(signal)s AND at >= %(yesterday)s AND at < %(end)s
) AS found GROUP BY number
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
    least = max(step or 5, (end - start).total_seconds() / (MOST_POINTS - 1), _finest(now - start))
    chosen = next((known for known in STEPS if known >= least), ceil(least / 86400) * 86400)
    numbers = range(int(start.timestamp() // chosen), ceil(end.timestamp() / chosen))
    first = as_datetime(float(numbers[0] * chosen))
    params = {
        "cluster": cluster.pk, "signal": signal.id, "step": chosen, "start": start, "end": end, "first": first,
        "yesterday": max(first, now - timedelta(days=1)),
    }  # fmt: skip
    query = _RAW if chosen < 60 else _MINUTE if chosen < 3600 else _HOUR
    found = {row[0]: row[1:] for row in ran(query, params)}
    return SignalHistory(
        chosen, COLUMNS, tuple(_point(number * chosen, found.get(number), signal) for number in numbers)
    )


def _finest(age: timedelta) -> float:
    """Seconds of the finest level that is kept for so long."""
    if age <= timedelta(hours=settings.HISTORY_RAW_HOURS):
        return 5
    return 60 if age <= timedelta(days=settings.HISTORY_MINUTE_DAYS) else 3600


def _point(
    at: float, found: tuple[float | None, float | None, int] | None, signal: Signal
) -> tuple[float, float | None, str | None]:
    if found is None:
        return (float(at), None, None)
    low, high, state = found
    return (float(at), low if signal.bad is Bad.BELOW else high, list(Health)[state].value)
