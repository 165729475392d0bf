"""Was the cluster healthy while a listener changed its certificate? Read from what was measured in that window.

Packages above add what they know: `register("lag", reader)` in `apps.ready`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from clusters.health.states import Health
from clusters.models import Cluster
from ops_portal.lib.bulk import ran

_SIGNALS = {
    "offline_partitions": "offline partitions",
    "under_min_isr": "partitions below min ISR",
    "produce_p99": "produce p99",
}
_MINUTES = """
SELECT signal, max(high), max(state) FROM clusters_healthminute
WHERE cluster_id = %s AND signal = ANY(%s) AND at >= %s AND at <= %s GROUP BY signal
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the window. `good` is None where it was measured but says nothing of health."""

    name: str
    text: str
    good: bool | None


Reader = Callable[[Cluster, datetime, datetime], list[Figure]]
_readers: dict[str, Reader] = {}


def register(name: str, reader: Reader) -> None:
    """Add figures of a window; the reader takes cluster, begin and end, and returns nothing where nothing was measured."""
    _readers[name] = reader


def window_of(cluster: Cluster, begins: datetime, ends: datetime) -> tuple[bool | None, list[dict[str, Any]]]:
    """Whether all figures were good, None when nothing was measured, and the figures."""
    found = _signals(cluster, begins, ends)
    for reader in _readers.values():
        found += reader(cluster, begins, ends)
    told = [one.good for one in found if one.good is not None]
    return (all(told) if told else None), [asdict(one) for one in found]


def _signals(cluster: Cluster, begins: datetime, ends: datetime) -> list[Figure]:
    first = begins.replace(second=0, microsecond=0)
    rows = ran(_MINUTES, [cluster.pk, list(_SIGNALS), first, ends + timedelta(seconds=1)])
    worst = {signal: (high, rank) for signal, high, rank in rows}
    by_rank = {state.rank: state for state in Health}
    found = []
    for signal, name in _SIGNALS.items():
        if signal not in worst:
            continue
        high, rank = worst[signal]
        state = by_rank[rank]
        text = f"{name} {state.label}" if high is None else f"{name} at most {high:g}"
        good = None if state is Health.UNKNOWN else state is not Health.CRITICAL
        found.append(Figure(signal, text, good))
    return found
