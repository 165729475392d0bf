"""What lag recorded in the minutes of a load test, for the page of the load test (clusters.selectors.load_tests)."""

from collections.abc import Sequence
from datetime import datetime

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.models import Cluster
from clusters.selectors.load_tests import Recorded
from lag.models import ConsumerGroup
from lag.rows import HistoryPoints
from lag.selectors.history import BadRange, group_history

MOST_GROUPS = 30  # whose history is read: those with the most traffic
_SHOWN = (  # column, title, unit
    ("lag_seconds", "Lag of the group furthest behind", "s"),
    ("lag_records", "Unread records of the group furthest behind", "records"),
    ("produce_rate", "Written to the topics of the busiest group", "per_second"),
    ("consume_rate", "Read by the busiest group", "per_second"),
)


def lag_beside(user: Person, cluster: Cluster, start: datetime, end: datetime) -> Sequence[Recorded]:
    """Worst lag and highest rates of groups over [start, end), each with the group they are of."""
    if not may(user, Right.SEE_CLUSTERS):
        return []
    groups = ConsumerGroup.objects.filter(cluster=cluster).order_by("-produce_rate", "name")[:MOST_GROUPS]
    histories: list[tuple[str, HistoryPoints]] = []
    for group in groups:
        try:
            history = group_history(user, cluster, group, start, end)
        except BadRange:
            return []
        if history is not None:
            histories.append((group.name, history))
    return [_worst(histories, *shown) for shown in _SHOWN]


def _worst(histories: Sequence[tuple[str, HistoryPoints]], column: str, title: str, unit: str) -> Recorded:
    found: tuple[float, str, list[tuple[float, float | None]]] | None = None
    for name, history in histories:
        index = history.columns.index(column)
        points = [(float(point[0]), point[index]) for point in history.points]
        values = [value for _, value in points if value is not None]
        if values and (found is None or max(values) > found[0]):
            found = (max(values), name, points)
    if found is None:
        return Recorded(title, unit, None, None, None, "lag history", why="not recorded in these minutes")
    worst, name, points = found
    known = sorted(value for _, value in points if value is not None)
    return Recorded(
        title, unit, worst, known[len(known) // 2], None, f"lag history, group {name}", points=tuple(points)
    )
