"""Worst lag of a cluster in a window, for the rotation log of certificates (clusters.services.certificates.window)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from accounts.policies import Scope, Sight
from accounts.roles import Role
from clusters.models import Cluster
from clusters.services.certificates.window import Figure, Span, no_worse, told_before
from lag.models import ConsumerGroup
from lag.selectors.history import BadRange, group_history
from ops_portal.lib.formats import duration

MOST_GROUPS = 20  # those with the most traffic
_EVERYBODY = Sight(Role.SRE, Scope(everything=True))


@dataclass(frozen=True, slots=True)
class _Compared:
    """A group's highest lag in seconds in both times; whether the window is no worse."""

    group: str
    during: float
    before: float | None
    good: bool | None


def lag_in_window(cluster: Cluster, span: Span) -> list[Figure]:
    """The largest lag in seconds, of the groups that were harmed if any was; nothing where none was measured.

    Harmed is a group above the default target whose lag is more than the time before lets expect.
    """
    groups = ConsumerGroup.objects.filter(cluster=cluster, vanished_at__isnull=True)
    busiest = groups.order_by("-produce_rate", "name")[:MOST_GROUPS]
    try:
        known = [one for one in (_compared(cluster, group, span) for group in busiest) if one is not None]
    except BadRange:
        return []
    if not known:
        return []
    good = min((one.good for one in known), key=(False, None, True).index)
    shown = max((one for one in known if one.good is good), key=lambda one: one.during)
    text = f"lag up to {duration(shown.during)} ({shown.group}), {told_before(shown.before, duration)}"
    return [Figure("lag", text, good, shown.during, shown.before, "seconds")]


def _compared(cluster: Cluster, group: ConsumerGroup, span: Span) -> _Compared | None:
    found = group_history(_EVERYBODY, cluster, group, span.before, span.ends + timedelta(seconds=1))
    if found is None:
        return None
    at, index = found.columns.index("at"), found.columns.index("lag_seconds")
    known = [(float(point[at]), float(point[index])) for point in found.points if point[index] is not None]
    during = [lag for when, lag in known if when >= span.begins.timestamp()]
    before = [lag for when, lag in known if when < span.begins.timestamp()]
    if not during:
        return None
    good = no_worse(max(during), _expected(before), fine=settings.LAG_TARGET_SECONDS)
    return _Compared(group.name, max(during), max(before, default=None), good)


def _expected(before: Sequence[float]) -> float | None:
    """What the time before lets expect: its highest, or, of a lag that grew, as much growth again."""
    if not before:
        return None
    return max(*before, before[-1] + max(0.0, before[-1] - before[0]))
