"""Was the cluster disturbed while a listener changed its certificate? Read from what was measured in that window, compared with
as long a time before it.

A partition that was offline is harm whatever was before. Latency, lag and in-sync replicas are harm only when they are worse
than before: a group that lags for reasons of its own says nothing of the rotation.

Packages above add what they know: `register("lag", reader)` in `apps.ready`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from clusters.models import Cluster
from clusters.signals import BY_ID
from ops_portal.lib.bulk import ran
from ops_portal.lib.formats import duration, three_digits

MARGIN = 1.5  # what is not half as much again as before is not called worse
LATENCY_MARGIN = 2  # the highest of a few percentiles wavers more
_SIGNALS = ("offline_partitions", "under_min_isr", "produce_p99")
_HIGHEST = """
SELECT signal, max(value) FILTER (WHERE at >= %(begins)s), max(value) FILTER (WHERE at < %(begins)s)
FROM clusters_healthsample
WHERE cluster_id = %(cluster)s AND signal = ANY(%(signals)s) AND at >= %(before)s AND at <= %(ends)s GROUP BY signal
"""


@dataclass(frozen=True, slots=True)
class Span:
    """The window in which a certificate changed, and the time before it that it is compared with: as long as itself."""

    begins: datetime
    ends: datetime

    @property
    def before(self) -> datetime:
        return self.begins - (self.ends - self.begins)


@dataclass(frozen=True, slots=True)
class Figure:
    """The highest of one figure in the window and before it. `good` is None where that cannot be told."""

    name: str
    text: str
    good: bool | None
    during: float
    before: float | None  # None = nothing was measured
    unit: str  # count | ms | seconds


Reader = Callable[[Cluster, Span], list[Figure]]
_readers: dict[str, Reader] = {}


def register(name: str, reader: Reader) -> None:
    """Add figures of a window; the reader returns nothing where nothing was measured."""
    _readers[name] = reader


def window_of(cluster: Cluster, begins: datetime, ends: datetime) -> tuple[bool | None, list[dict[str, Any]]]:
    """Whether no figure tells of harm, None when nothing was measured, and the figures."""
    span = Span(begins, ends)
    found = _signals(cluster, span)
    for reader in _readers.values():
        found += reader(cluster, span)
    told = [one.good for one in found if one.good is not None]
    return (all(told) if told else None), [asdict(one) for one in found]


def no_worse(during: float, before: float | None, *, fine: float, margin: float = MARGIN) -> bool | None:
    """Whether a figure is no worse than before; up to `fine` it always is. None = nothing is known to compare it with."""
    if during <= fine:
        return True
    return None if before is None else during <= margin * before


def told_before(before: float | None, shown: Callable[[float], str]) -> str:
    """The second half of a figure's text."""
    return "not measured before" if before is None else f"{shown(before)} before"


def _signals(cluster: Cluster, span: Span) -> list[Figure]:
    values = {
        "cluster": cluster.pk, "signals": list(_SIGNALS), "before": span.before, "begins": span.begins,
        "ends": span.ends + timedelta(seconds=1),
    }  # fmt: skip
    highest = {signal: (during, before) for signal, during, before in ran(_HIGHEST, values) if during is not None}
    makers = {"offline_partitions": _offline, "under_min_isr": _under_min_isr, "produce_p99": _latency}
    return [makers[signal](*highest[signal]) for signal in _SIGNALS if signal in highest]


def _offline(during: float, before: float | None) -> Figure:
    text = f"{_partitions(during)} offline, {told_before(before, _count)}" if during else "no partition offline"
    return Figure("offline_partitions", text, during == 0, during, before, "count")


def _under_min_isr(during: float, before: float | None) -> Figure:
    text = f"{_partitions(during)} below min ISR, {told_before(before, _count)}"
    text = text if during or before else "no partition below min ISR"
    return Figure("under_min_isr", text, no_worse(during, before, fine=0, margin=1), during, before, "count")


def _latency(during: float, before: float | None) -> Figure:
    fine = BY_ID["produce_p99"].warn or 0
    text = f"produce p99 up to {_milliseconds(during)}, {told_before(before, _milliseconds)}"
    return Figure("produce_p99", text, no_worse(during, before, fine=fine, margin=LATENCY_MARGIN), during, before, "ms")


def _partitions(count: float) -> str:
    return f"{count:g} partition{'' if count == 1 else 's'}"


def _count(value: float) -> str:
    return f"{value:g}"


def _milliseconds(value: float) -> str:
    return f"{three_digits(value)} ms" if value < 1000 else duration(value / 1000)
