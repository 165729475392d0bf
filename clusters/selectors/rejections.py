"""Reads of rejections. All take the user and show nothing beyond that user's rights and scope."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.policies import Person, Scope, may, scope_of
from accounts.roles import Right
from clusters.models import Rejection, RejectionFeed, TlsListener
from clusters.rejections.fix import fix_of
from clusters.rejections.types import Kind, Origin, Rejected


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """One series (interfaces.md 6); the fields below `last_at` are for pages."""

    id: int
    kind: Kind
    client: str | None
    principal: str | None
    cluster: str | None
    topic: str | None
    subject: str | None
    host: str | None
    listener: str | None
    operation: str | None
    rule: str | None
    fix: str | None
    count: int
    first_at: datetime
    last_at: datetime
    resource_type: str = ""
    resource: str = ""
    request: str = ""
    origin: str = ""

    @property
    def where(self) -> str:
        """What was reached for, in one text."""
        return self.subject or self.topic or self.resource or (f"listener {self.listener}" if self.listener else "")


def rejections(
    user: Person,
    *,
    q: str = "",
    kinds: Collection[str] = (),
    clusters: Collection[str] = (),
    clients: Collection[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    counters: bool = False,
) -> QuerySet[Rejection]:
    """Series, newest first; an empty filter restricts nothing, `q` looks in principal, resource, subject and host.

    Who does not see all clients sees those of the own clients. What brokers merely count is apart: `counters` asks for it,
    and it names no client, so only people who see everything get it.
    """
    if not may(user, Right.SEE_LAG):
        return Rejection.objects.none()
    return filtered(in_scope(scope_of(user), counters=counters), q, kinds, clusters, clients, since, until)


def in_scope(scope: Scope, *, counters: bool = False) -> QuerySet[Rejection]:
    """The series of a scope, newest first."""
    rows = Rejection.objects.filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True))
    rows = rows.filter(origin=Origin.COUNTER) if counters else rows.exclude(origin=Origin.COUNTER)
    if not scope.everything:
        rows = rows.filter(client_id__in=scope.client_ids)
    return rows.select_related("cluster", "client").order_by("-last_at", "-pk")


def filtered(
    rows: QuerySet[Rejection],
    q: str = "",
    kinds: Collection[str] = (),
    clusters: Collection[str] = (),
    clients: Collection[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Rejection]:
    wanted = {"kind": kinds, "cluster__name": clusters, "client__name": clients}
    rows = rows.filter(**{f"{name}__in": list(values) for name, values in wanted.items() if values})
    if since is not None:
        rows = rows.filter(last_at__gte=since)
    if until is not None:
        rows = rows.filter(first_at__lt=until)
    if q:
        found = Q()
        for name in ("principal", "resource", "subject", "host", "client__name"):
            found |= Q(**{f"{name}__icontains": q})
        rows = rows.filter(found)
    return rows


def rejection_by_id(user: Person, pk: int) -> Rejection | None:
    """One series that the user may see."""
    if not may(user, Right.SEE_LAG):
        return None
    scope = scope_of(user)
    found = in_scope(scope).filter(pk=pk).first()
    return found or (in_scope(scope, counters=True).filter(pk=pk).first() if scope.everything else None)


def newest_at(user: Person) -> float | None:
    """When the newest refusal that the user may see happened, seconds since the epoch."""
    newest = rejections(user).values_list("last_at", flat=True).first()
    return None if newest is None else newest.timestamp()


def rejection_rows(rows: Iterable[Rejection]) -> list[RejectionRow]:
    """The contract's fields of series that `rejections` has given out."""
    found = list(rows)
    names = _listener_names(found)
    return [_row(row, names.get((row.cluster_id, row.listener), row.listener)) for row in found]


def _listener_names(rows: list[Rejection]) -> dict[tuple[int | None, str], str]:
    """(cluster, port as text) -> name and port, as far as certificates know the listeners: logs tell the port alone."""
    ports = {int(row.listener) for row in rows if row.listener.isdigit() and len(row.listener) <= 5}
    if not ports:
        return {}
    known = TlsListener.objects.filter(port__in=ports, cluster__in={row.cluster_id for row in rows}).exclude(name="")
    return {(one.cluster_id, str(one.port)): f"{one.name}:{one.port}" for one in known}


def rejection_feeds(user: Person) -> list[RejectionFeed]:
    """How far each log has been read; for people who see sources."""
    if not may(user, Right.SEE_SOURCES):
        return []
    rows = RejectionFeed.objects.filter(cluster__removed_at__isnull=True).select_related("cluster")
    return list(rows.order_by("cluster__name", "label", "-last_at"))


def rejected_of(row: Rejection) -> Rejected:
    """The stored series as a value."""
    return Rejected(
        Kind(row.kind), None, row.principal, row.resource_type, row.resource, row.pattern, row.subject, row.host,
        row.listener, row.operation, row.request, row.rule, "", row.count,
    )  # fmt: skip


def _row(row: Rejection, listener: str) -> RejectionRow:
    return RejectionRow(
        id=row.pk,
        kind=Kind(row.kind),
        client=row.client.name if row.client else None,
        principal=row.principal or None,
        cluster=row.cluster.name if row.cluster else None,
        topic=row.resource if row.resource_type == "topic" and row.resource else None,
        subject=row.subject or None,
        host=row.host or None,
        listener=listener or None,
        operation=row.operation or None,
        rule=row.rule or None,
        fix=fix_of(rejected_of(row)) or None,
        count=row.count,
        first_at=row.first_at,
        last_at=row.last_at,
        resource_type=row.resource_type,
        resource=row.resource,
        request=row.request,
        origin=row.origin,
    )
