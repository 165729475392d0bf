"""Events over all groups that somebody may see, filtered, newest first."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.policies import Person, scope_of
from lag.models import GroupEvent
from lag.rows import EventRow
from lag.selectors.board import BadCursor
from lag.selectors.clusters import clusters_visible
from lag.selectors.freshness import freshness_of
from ops_portal.lib.clock import as_datetime


@dataclass(frozen=True, slots=True)
class EventQuery:
    """`seconds` back from `until` (None: from now); None = as far as events are kept. `q` = part of a group's name."""

    q: str = ""
    kinds: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    cluster: str = ""
    seconds: float | None = 86400.0
    until: datetime | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class GroupEventRow:
    """An event with the group it happened to. `group_here` is False once the group has vanished."""

    cluster: str
    client: str
    group: str
    group_id: int
    group_here: bool
    event: EventRow


@dataclass(frozen=True, slots=True)
class GroupEventPage:
    items: tuple[GroupEventRow, ...]
    next_cursor: str | None


def events_visible(user: Person, query: EventQuery) -> GroupEventPage:
    """One page of events of the groups the user may see, vanished ones included. Raises BadCursor."""
    clusters = [one for one in clusters_visible(user) if not query.cluster or one.name == query.cluster]
    scope = scope_of(user)
    events = GroupEvent.objects.filter(cluster__in=clusters)
    if not scope.everything:
        events = events.filter(group__client_id__in=scope.client_ids)
    if query.q:
        events = events.filter(group__name__icontains=query.q)
    if query.kinds:
        events = events.filter(kind__in=query.kinds)
    if query.clients:
        events = events.filter(group__client__name__in=query.clients)
    until = query.until or max(
        (fresh.now for fresh in freshness_of([one.pk for one in clusters]).values()), default=None
    )
    if query.until is not None:
        events = events.filter(at__lte=query.until)
    if query.seconds is not None and until is not None:
        events = events.filter(at__gte=until - timedelta(seconds=query.seconds))
    if query.cursor:
        at, pk = _position(query.cursor)
        events = events.filter(at__lte=at).exclude(at=at, pk__gte=pk)
    found = list(events.select_related("group__client", "cluster").order_by("-at", "-pk")[: query.limit + 1])
    page = found[: query.limit]
    after = f"{page[-1].at.timestamp():.6f}-{page[-1].pk}" if len(found) > query.limit else None
    return GroupEventPage(tuple(map(_row, page)), after)


def _position(cursor: str) -> tuple[datetime, int]:
    at, _, pk = cursor.partition("-")
    try:
        if not pk.isascii() or len(pk) > 18:
            raise ValueError(pk)
        return as_datetime(float(at)), int(pk)
    except (ValueError, OverflowError, OSError) as error:
        raise BadCursor("the cursor cannot be read") from error


def _row(event: GroupEvent) -> GroupEventRow:
    row = EventRow(
        id=event.pk, at=event.at, at_earliest=event.at_earliest, kind=event.kind, topic=event.topic or None,
        partition=event.partition, member=event.member or None, before=event.before, after=event.after,
        records=event.records, seconds=event.seconds,
    )  # fmt: skip
    group = event.group
    client = group.client.name if group.client else ""
    return GroupEventRow(event.cluster.name, client, group.name, group.pk, group.vanished_at is None, row)
