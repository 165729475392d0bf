"""How many refusals there were over a time, for pages."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, Sum

from clusters.models import Rejection, RejectionMinute
from clusters.rejections.types import Kind
from ops_portal.lib import formats
from ops_portal.lib.bulk import ran

MOST_BARS = 60

_STACKS = """
SELECT floor((extract(epoch FROM m.at) - %s) / %s)::int, r.kind, sum(m.count)::bigint
FROM clusters_rejectionminute m JOIN clusters_rejection r ON r.id = m.rejection_id
WHERE m.at >= to_timestamp(%s) AND r.id = ANY(%s) GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Bars:
    """Counts per step, oldest first; each stack lists (kind, count)."""

    start: float
    step_seconds: float
    stacks: tuple[tuple[tuple[str, int], ...], ...]

    @property
    def total(self) -> int:
        return sum(count for stack in self.stacks for _, count in stack)

    @property
    def peak(self) -> int:
        return max((sum(count for _, count in stack) for stack in self.stacks), default=0)

    @property
    def step_words(self) -> str:
        return formats.duration(self.step_seconds)


def rejection_bars(rows: QuerySet[Rejection], *, now: float, seconds: float) -> Bars:
    """Counts of these series over the last `seconds`, in at most 60 steps of whole minutes."""
    step = max(60.0, -(-seconds // (60 * MOST_BARS)) * 60)
    end = (now // step + 1) * step
    count = int(-(-seconds // step))
    start = end - count * step
    stacks: list[list[tuple[str, int]]] = [[] for _ in range(count)]
    ids = list(rows.order_by().values_list("pk", flat=True))
    for position, kind, total in ran(_STACKS, [start, step, start, ids]):
        if 0 <= position < count:
            stacks[position].append((kind, total))
    return Bars(start, step, tuple(tuple(stack) for stack in stacks))


def counted_since(ids: Collection[int], since: datetime) -> dict[int, int]:
    """Series -> refusals since then."""
    rows = RejectionMinute.objects.filter(rejection_id__in=list(ids), at__gte=since)
    return dict(rows.values_list("rejection_id").annotate(total=Sum("count")).order_by())


def kinds_of(rows: QuerySet[Rejection]) -> dict[Kind, int]:
    """Kind -> how many series."""
    found: dict[Kind, int] = {}
    for kind in rows.order_by().values_list("kind", flat=True):
        found[Kind(kind)] = found.get(Kind(kind), 0) + 1
    return found
