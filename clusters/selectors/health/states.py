"""Signals of clusters as their sources last said, with their age by the database's clock."""

from collections.abc import Iterable

from clusters.health.join import Seen
from clusters.health.judge import Part
from clusters.health.states import Health
from clusters.health.states import Source as Kind
from clusters.models import Cluster, SignalState, Source
from ops_portal.lib.units import is_stale

NO_PROMETHEUS = "No Prometheus is set for this cluster."


def configured_of(cluster: Cluster) -> dict[Kind, str]:
    """Per source: why it says nothing of this cluster at all, or ''."""
    return {Kind.BROKERS: "", Kind.PROMETHEUS: "" if cluster.prometheus_url else NO_PROMETHEUS}


def seen_rows(cluster_ids: Iterable[int], *, now: float) -> dict[int, dict[str, list[Seen]]]:
    """Cluster -> signal -> what each source says. `now` is in the database's time."""
    ids = list(cluster_ids)
    periods = {
        (cluster, kind): float(period)
        for cluster, kind, period in Source.objects.filter(cluster__in=ids).values_list(
            "cluster_id", "kind", "period_seconds"
        )
    }
    found: dict[int, dict[str, list[Seen]]] = {}
    for row in SignalState.objects.filter(cluster__in=ids):
        kind = Kind(row.source)
        at = row.observed_at.timestamp()
        period = periods.get((row.cluster_id, kind.value), 15.0)
        seen = Seen(
            source=kind, state=Health(row.state), reason=row.reason, value=row.value, entity=row.entity, query=row.query,
            observed_at=at, stale=is_stale(max(0.0, now - at), period), since=row.since.timestamp(),
            parts=tuple(Part(entity, Health(state), value) for entity, state, value in row.parts),
        )  # fmt: skip
        found.setdefault(row.cluster_id, {}).setdefault(row.signal, []).append(seen)
    return found
