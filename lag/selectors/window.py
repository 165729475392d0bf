"""Worst lag of a cluster in a window, for the rotation log of certificates (clusters.services.certificates.window)."""

from datetime import datetime, timedelta

from django.conf import settings

from accounts.policies import Scope, Sight
from accounts.roles import Role
from clusters.models import Cluster
from clusters.services.certificates.window import Figure
from lag.models import ConsumerGroup
from lag.selectors.history import BadRange, group_history
from ops_portal.lib.formats import duration

MOST_GROUPS = 20  # those with the most traffic
_EVERYBODY = Sight(Role.SRE, Scope(everything=True))


def lag_in_window(cluster: Cluster, begins: datetime, ends: datetime) -> list[Figure]:
    """The largest lag in seconds of the busiest groups; nothing where none was measured. Good up to the default target."""
    worst: tuple[float, str] | None = None
    groups = ConsumerGroup.objects.filter(cluster=cluster, vanished_at__isnull=True)
    for group in groups.order_by("-produce_rate", "name")[:MOST_GROUPS]:
        try:
            found = group_history(_EVERYBODY, cluster, group, begins, ends + timedelta(seconds=1))
        except BadRange:
            return []
        if found is None:
            continue
        index = found.columns.index("lag_seconds")
        known = [float(point[index]) for point in found.points if point[index] is not None]
        if known and (worst is None or max(known) > worst[0]):
            worst = max(known), group.name
    if worst is None:
        return []
    text = f"worst lag {duration(worst[0])} ({worst[1]})"
    return [Figure("lag", text, worst[0] <= settings.LAG_TARGET_SECONDS)]
