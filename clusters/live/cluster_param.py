"""The one parameter of the views here: `cluster`, the name of a cluster, or none for all of them."""

from typing import Any

from django.db.models import Max

from clusters.models import Source
from ops_portal.lib.live.views import Params

_LONGEST_NAME = 63


def parse_cluster(raw: Params) -> dict[str, Any]:
    """Canonical parameters. Raises ValueError for what is no name."""
    cluster = raw.get("cluster")
    if isinstance(cluster, list):
        cluster = cluster[-1] if cluster else None
    if cluster is not None and (not isinstance(cluster, str) or len(cluster) > _LONGEST_NAME or "\0" in cluster):
        raise ValueError("cluster is the name of a cluster")
    return {"cluster": cluster or None}


def longest_period(params: Params, **kind: str) -> float | None:
    """Seconds between two reads of the slowest enabled source; None where there is none."""
    rows = Source.objects.filter(enabled=True, cluster__removed_at__isnull=True, **kind)
    if params["cluster"] is not None:
        rows = rows.filter(cluster__name=params["cluster"])
    longest: int | None = rows.aggregate(longest=Max("period_seconds"))["longest"]
    return None if longest is None else float(longest)
