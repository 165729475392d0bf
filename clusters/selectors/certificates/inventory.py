"""Reads of listeners, files, keys and the rotation log."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from accounts.policies import Person, may, scope_of
from accounts.roles import Right
from clusters import expiry
from clusters.expiry import Band, CertificateKind
from clusters.models import CertificateFile, Cluster, Rotation, ServiceKey, Source, TlsAddress, TlsListener
from clusters.selectors.certificates.rows import SOURCE_KIND, now


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key of the key service."""

    id: int
    cluster: str
    name: str
    version: str
    rotated_at: datetime
    rotation_days: float
    due_at: datetime
    days_left: float
    band: Band
    manual: bool
    owner: str
    client: str | None


@dataclass(frozen=True, slots=True)
class ListenerRow:
    """A listener with what each of its addresses shows."""

    id: int
    cluster: str
    place: str
    kind: CertificateKind
    broker: int | None
    name: str
    wants: str
    origin: str
    keystore: str
    probed_at: datetime | None
    may_probe_at: datetime | None
    looking: bool  # somebody asked for a probe, and its result is not here yet
    addresses: tuple[TlsAddress, ...]


def listeners(user: Person, cluster: str | None = None) -> list[ListenerRow]:
    """Every listener of the inventory with its addresses; nothing without the right to see clusters."""
    if not may(user, Right.SEE_CLUSTERS):
        return []
    rows = TlsListener.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    found = rows.select_related("cluster").prefetch_related("addresses__leaf").order_by("cluster__name", "kind", "broker", "host", "port")  # fmt: skip
    at = now()
    return [_listener_row(row, at) for row in found]


def listener_of(user: Person, cluster: str, pk: int) -> TlsListener | None:
    """One listener; None when there is none that the user may see."""
    rows = TlsListener.objects.filter(
        cluster__name=cluster, cluster__removed_at__isnull=True, pk=pk, removed_at__isnull=True
    )
    return rows.first() if may(user, Right.SEE_CLUSTERS) else None


def _listener_row(row: TlsListener, at: datetime) -> ListenerRow:
    seen_at = max((one.probed_at for one in row.addresses.all()), default=None)
    asked_at = row.requested_at if row.requested_at and row.requested_at > at - timedelta(seconds=60) else None
    last = max((one for one in (row.probed_at, row.requested_at) if one), default=None)
    return ListenerRow(
        id=row.pk, cluster=row.cluster.name, place=str(row), kind=CertificateKind(row.kind), broker=row.broker, name=row.name,
        wants=row.wants, origin=row.origin, keystore=row.keystore, probed_at=row.probed_at,
        may_probe_at=last + timedelta(seconds=60) if last else None,
        looking=asked_at is not None and (seen_at is None or seen_at < asked_at),
        addresses=tuple(sorted(row.addresses.all(), key=lambda one: (one.address, one.key_type))),
    )  # fmt: skip


def files(user: Person, cluster: str | None = None) -> list[CertificateFile]:
    """Uploaded and configured files; nothing without the right to see clusters."""
    rows = CertificateFile.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    return (
        list(rows.select_related("cluster").order_by("cluster__name", "name")) if may(user, Right.SEE_CLUSTERS) else []
    )


def keys(user: Person, cluster: str | None = None) -> list[KeyRow]:
    """Keys of the key service that the user may see."""
    if not may(user, Right.SEE_LAG):
        return []
    scope = scope_of(user)
    rows = ServiceKey.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
    rows = rows if cluster is None else rows.filter(cluster__name=cluster)
    rows = rows if scope.everything else rows.filter(client_id__in=scope.client_ids)
    return _key_rows(rows, now())


def key_rows(cluster: Cluster, *, at: datetime) -> list[KeyRow]:
    """Keys of a cluster at a moment, for services."""
    return _key_rows(ServiceKey.objects.filter(cluster=cluster, removed_at__isnull=True), at)


def _key_rows(rows: QuerySet[ServiceKey], at: datetime) -> list[KeyRow]:
    found = []
    for row in rows.select_related("cluster", "client").order_by("rotated_at", "name"):
        due = row.rotated_at + timedelta(days=row.rotation_days)
        band = expiry.key_band(row.rotated_at, row.rotation_days, at)
        found.append(
            KeyRow(
                row.pk,
                row.cluster.name,
                row.name,
                row.version,
                row.rotated_at,
                row.rotation_days,
                due,
                expiry.days_left(due, at),
                band,
                row.manual,
                row.owner,
                row.client.name if row.client else None,
            )
        )
    return found


def rotations(user: Person, cluster: str | None = None, limit: int = 200) -> list[Rotation]:
    """The newest lines of the rotation log; nothing without the right to see clusters."""
    if not may(user, Right.SEE_CLUSTERS):
        return []
    rows = Rotation.objects.select_related("cluster").filter(cluster__removed_at__isnull=True)
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    return list(rows.order_by("-at", "-pk")[:limit])


def rotations_of(user: Person, cluster: str, fingerprint: str | None) -> list[Rotation]:
    """Lines of the log in which this certificate came or went; nothing without the right to see clusters."""
    if fingerprint is None or not may(user, Right.SEE_CLUSTERS):
        return []
    rows = Rotation.objects.filter(cluster__name=cluster, cluster__removed_at__isnull=True)
    return list(
        rows.filter(Q(old_fingerprint=fingerprint) | Q(new_fingerprint=fingerprint)).order_by("-at", "-pk")[:50]
    )


def key_of(user: Person, cluster: str, pk: int) -> ServiceKey | None:
    """One stored key; None when there is none that the user may see."""
    if not any(row.id == pk for row in keys(user, cluster)):
        return None
    return ServiceKey.objects.filter(pk=pk, removed_at__isnull=True).first()


def read_at(cluster: str | None = None) -> datetime | None:
    """When the source was last read well: of one cluster, or the oldest of all."""
    rows = Source.objects.filter(kind=SOURCE_KIND, enabled=True, cluster__removed_at__isnull=True)
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    found = list(rows.values_list("last_success_at", flat=True))
    known: list[datetime] = [one for one in found if one is not None]
    return min(known) if known and len(known) == len(found) else None
