"""Load tests, and what the platform recorded of itself in the same minutes. Needs the right to see clusters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from accounts.policies import Person, may
from accounts.roles import Right
from clusters.health.states import Health
from clusters.load_tests.states import Status
from clusters.load_tests.verdicts import Judgement
from clusters.models import Cluster, LoadTest
from clusters.selectors.health.history import signal_history
from clusters.signals import SIGNALS, Bad, Signal
from ops_portal.lib.database import database_clock

MOST_COMPARED = 6
BESIDE = (  # signals that stand beside a load test, in this order
    "produce_p95", "produce_p99", "replication_lag_ms", "replication_lag_records", "handler_idle", "network_idle",
    "request_queue", "produce_failures", "under_replicated", "under_min_isr", "offline_partitions", "isr_shrinks",
    "brokers_down", "disk_free", "heap",
)  # fmt: skip
_SHORTEST = timedelta(seconds=60)  # the platform's own figures are read every few seconds: a shorter run is widened


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one source of the portal recorded in the minutes of a load test. No value = not recorded, `why` says so."""

    title: str
    unit: str
    worst: float | None
    typical: float | None  # median of the points
    state: Health | None  # worst
    source: str
    href: str = ""
    points: tuple[tuple[float, float | None], ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the reading of the files is. `left_seconds` is an estimate, None before there is one."""

    share: float  # 0 to 1
    elapsed_seconds: float
    left_seconds: float | None
    waiting: bool  # no worker has taken it yet


Beside = Callable[[Person, Cluster, datetime, datetime], Sequence[Recorded]]
_beside: dict[str, Beside] = {}


def register_beside(name: str, read: Beside) -> None:
    """Upper apps add what they record; called once, when the app is ready."""
    _beside[name] = read


def load_tests(user: Person, *, q: str = "", clusters: Sequence[str] = (), statuses: Sequence[str] = ()) -> QuerySet[LoadTest]:  # fmt: skip
    """Load tests the user may see, newest first, without their series."""
    if not may(user, Right.SEE_CLUSTERS):
        return LoadTest.objects.none()
    found = LoadTest.objects.select_related("cluster").defer("series", "metrics").order_by("-created_at", "-pk")
    if q:
        found = found.filter(name__icontains=q)
    if clusters:
        found = found.filter(cluster__name__in=list(clusters))
    if statuses:
        found = found.filter(status__in=list(statuses))
    return found


def load_test_by_id(user: Person, pk: int) -> LoadTest | None:
    """One load test with everything, where the user may see it."""
    if not may(user, Right.SEE_CLUSTERS):
        return None
    return LoadTest.objects.select_related("cluster").filter(pk=pk).first()


def load_tests_compared(user: Person, ids: Sequence[int]) -> list[LoadTest]:
    """Those of the ids that have been read, in the order of the ids, at most six."""
    if not may(user, Right.SEE_CLUSTERS):
        return []
    rows = {row.pk: row for row in LoadTest.objects.select_related("cluster").filter(pk__in=ids, status=Status.DONE)}
    return [rows[pk] for pk in dict.fromkeys(ids) if pk in rows][:MOST_COMPARED]


def overall(row: LoadTest) -> Judgement | None:
    """The worst of a load test's verdicts: missed, then unsupported; None while there is none."""
    found = {verdict["verdict"] for verdict in row.verdicts}
    return next((one for one in (Judgement.MISSED, Judgement.UNSUPPORTED, Judgement.KEPT) if one.value in found), None)


def reading(row: LoadTest) -> Reading:
    """Progress by the database's clock."""
    now = database_clock().now()
    began = (row.claimed_at or row.created_at).timestamp()
    elapsed = max(0.0, now - began)
    share = min(1.0, row.bytes_read / row.bytes_total) if row.bytes_total else 0.0
    left = elapsed * (1 - share) / share if share > 0.01 else None
    return Reading(share, elapsed, left, row.claimed_at is None)


def recorded_beside(user: Person, row: LoadTest) -> list[Recorded]:
    """The platform's own figures of the run's minutes, each with where it comes from, or why there is none."""
    if row.cluster is None or row.run_started_at is None or row.run_ended_at is None:
        return []
    start, end = row.run_started_at, max(row.run_ended_at, row.run_started_at + _SHORTEST)
    by_id = {signal.id: signal for signal in SIGNALS}
    found = [_recorded(user, row.cluster, by_id[name], start, end) for name in BESIDE if name in by_id]
    for read in _beside.values():
        found.extend(read(user, row.cluster, start, end))
    return found


def why_nothing_beside(row: LoadTest) -> str:
    """Why the platform's own figures cannot stand beside this load test; '' where they can."""
    if row.cluster is None:
        return "No cluster was named when the load test was brought in."
    if row.run_started_at is None:
        return "The files do not tell when the run was."
    return ""


def _recorded(user: Person, cluster: Cluster, signal: Signal, start: datetime, end: datetime) -> Recorded:
    history = signal_history(user, cluster, signal, start, end)
    points = tuple((at, value) for at, value, _ in history.points) if history else ()
    states = {state for _, _, state in history.points if state} if history else set()
    values = sorted(value for _, value in points if value is not None)
    source = f"signal {signal.id}"
    if not values:
        return Recorded(signal.title, signal.unit, None, None, None, source, why="not recorded in these minutes")
    worst = values[0] if signal.bad is Bad.BELOW else values[-1]
    state = max((Health(one) for one in states), key=lambda one: one.rank, default=None)
    return Recorded(signal.title, signal.unit, worst, values[len(values) // 2], state, source, points=points)
