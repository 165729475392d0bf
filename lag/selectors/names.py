"""Names of everything on the clusters, for pages that show what a pattern matches."""

from collections.abc import Iterable

from clusters.models import Topic
from lag.models import ConsumerGroup


def group_names() -> Iterable[tuple[str, str]]:
    """(cluster name, group name) of every group that exists now."""
    rows = ConsumerGroup.objects.filter(vanished_at__isnull=True, cluster__removed_at__isnull=True)
    return rows.order_by("cluster__name", "name").values_list("cluster__name", "name")


def topic_names() -> Iterable[tuple[str, str]]:
    """(cluster name, topic name) of every topic that exists now."""
    rows = Topic.objects.filter(vanished_at__isnull=True, cluster__removed_at__isnull=True)
    return rows.order_by("cluster__name", "name").values_list("cluster__name", "name")
