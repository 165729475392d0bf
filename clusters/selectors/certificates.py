"""Reads of certificates, listeners, files, keys and the rotation log. All take the user, but for the rows behind a scope.

Who does not see all clients sees the certificates of the own clients, and nothing of brokers, listeners and files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from accounts.policies import Person, Scope, may, scope_of
from accounts.roles import Right
from clusters import expiry
from clusters.chains import ChainVerdict
from clusters.expiry import Band, CertificateKind, Policy
from clusters.models import (
    Certificate,
    CertificateFile,
    CertificatePolicy,
    Cluster,
    Rotation,
    ServiceKey,
    Source,
    TlsAddress,
    TlsListener,
)
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.units import is_stale

SOURCE_KIND = "certificates"


@dataclass(frozen=True, slots=True)
class Drift:
    """A served certificate is not the one in the file of the same identity. `word`: file_newer | served_newer."""

    word: str
    file: str
    text: str
    since: datetime | None
    serial: str  # of the one in the file

    @property
    def newer(self) -> bool:
        return self.word == "file_newer"


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """One certificate (interfaces.md 6), with what pages and findings need besides."""

    id: int
    cluster: str
    kind: CertificateKind
    title: str
    subject: str
    issuer: str
    serial: str | None
    fingerprint: str | None
    not_before: datetime
    not_after: datetime
    days_left: float
    band: Band
    served_on: tuple[str, ...]
    file: str | None
    drift: Drift | None
    verdict: ChainVerdict
    failing_link: str | None
    reason: str
    rotate_at: datetime
    rotate_days: float
    alarm_days: float
    client: str | None
    client_id: int | None
    principal: str | None
    owner: str
    same_key_as: str | None  # serial of an earlier certificate with the same key
    parent: str
    fails_at: datetime | None
    fails_with: str
    stored: Certificate = field(repr=False)


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
    addresses: tuple[TlsAddress, ...]


def policies() -> dict[CertificateKind, Policy]:
    """The policy of each kind: the default, or what was set."""
    found = dict(expiry.DEFAULTS)
    for row in CertificatePolicy.objects.all():
        found[CertificateKind(row.kind)] = Policy(row.rotate_days, row.alarm_days)
    return found


def now() -> datetime:
    """The database's time."""
    return as_datetime(database_clock().now())


# --- certificates --------------------------------------------------------------------------------------------------------
def certificates(user: Person, cluster: str | None = None) -> list[CertificateRow]:
    """Certificates in use that the user may see, those that end first before the others."""
    return certificates_in(scope_of(user), cluster) if may(user, Right.SEE_LAG) else []


def certificates_in(scope: Scope, cluster: str | None = None) -> list[CertificateRow]:
    """As `certificates`, for callers that have checked the right."""
    rows = Certificate.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    if not scope.everything:
        rows = rows.filter(client_id__in=scope.client_ids)
    return certificate_rows(rows, at=now(), places=scope.everything)


def certificates_gone(user: Person) -> list[CertificateRow]:
    """Certificates that went out of use before their end, which are not over yet."""
    at, scope = now(), scope_of(user)
    rows = Certificate.objects.filter(removed_at__isnull=False, not_after__gt=at, cluster__removed_at__isnull=True)
    if not scope.everything:
        rows = rows.filter(client_id__in=scope.client_ids)
    return certificate_rows(rows, at=at, places=False) if may(user, Right.SEE_LAG) else []


def certificate_of(user: Person, cluster: str, pk: int) -> CertificateRow | None:
    """One certificate, also one that is in use no more; None when there is none that the user may see."""
    scope = scope_of(user)
    rows = Certificate.objects.filter(cluster__name=cluster, cluster__removed_at__isnull=True, pk=pk)
    if not scope.everything:
        rows = rows.filter(client_id__in=scope.client_ids)
    found = certificate_rows(rows, at=now(), places=scope.everything) if may(user, Right.SEE_LAG) else []
    return found[0] if found else None


def certificate_rows(rows: QuerySet[Certificate], *, at: datetime, places: bool = True) -> list[CertificateRow]:
    """Rows of these certificates at a moment; without `places` nothing is said of listeners and files."""
    found = list(rows.select_related("cluster", "client").order_by("not_after", "common_name", "pk"))
    clusters = {row.cluster_id for row in found}
    served, files, drifts = _places(clusters) if places else ({}, {}, {})
    by_policy = policies()
    serials = {
        (row["cluster_id"], row["fingerprint"]): row["serial"]
        for row in Certificate.objects.filter(fingerprint__in={row.replaces for row in found if row.replaces}).values(
            "cluster_id", "fingerprint", "serial"
        )
    }
    return [
        _row(row, at, by_policy, served.get(row.pk, ()), files.get((row.cluster_id, row.fingerprint)), drifts.get(row.pk), serials)
        for row in found
    ]  # fmt: skip


def _row(
    row: Certificate, at: datetime, by_policy: Mapping[CertificateKind, Policy], served: Iterable[str], file: str | None,
    drift: Drift | None, serials: Mapping[tuple[int, str], str],
) -> CertificateRow:  # fmt: skip
    kind = CertificateKind(row.kind)
    policy = by_policy[kind]
    return CertificateRow(
        id=row.pk, cluster=row.cluster.name, kind=kind, title=row.common_name or row.subject or "a certificate without a name",
        subject=row.subject, issuer=row.issuer, serial=row.serial or None, fingerprint=row.fingerprint or None,
        not_before=row.not_before, not_after=row.not_after, days_left=expiry.days_left(row.not_after, at),
        band=expiry.band_of(row.not_before, row.not_after, at, policy), served_on=tuple(served), file=file or (drift.file if drift else None),
        drift=drift, verdict=ChainVerdict(row.verdict), failing_link=row.failing_link or None, reason=row.reason,
        rotate_at=expiry.rotate_at(row.not_before, row.not_after, policy), rotate_days=policy.rotate_days,
        alarm_days=policy.alarm_days, client=row.client.name if row.client else None, client_id=row.client_id,
        principal=row.principal or None, owner=row.owner, same_key_as=serials.get((row.cluster_id, row.replaces)),
        parent=row.parent, fails_at=row.fails_at, fails_with=row.fails_with, stored=row,
    )  # fmt: skip


def _places(
    cluster_ids: Iterable[int],
) -> tuple[dict[int, list[str]], dict[tuple[int, str], str], dict[int, Drift]]:
    """Where certificates are served (by id), in which file they lie (by cluster and fingerprint), and drift (by id)."""
    ids = list(cluster_ids)
    addresses = TlsAddress.objects.filter(listener__cluster__in=ids, listener__removed_at__isnull=True)
    leaves: dict[int, Certificate] = {}
    served: dict[int, list[str]] = {}
    by_fingerprint = {
        (cluster, fingerprint): pk
        for pk, cluster, fingerprint in Certificate.objects.filter(cluster__in=ids)
        .exclude(fingerprint="")
        .values_list("pk", "cluster_id", "fingerprint")
    }
    for address in addresses.select_related("listener", "leaf").order_by("listener__host", "listener__port", "address"):
        if address.leaf is not None:
            leaves[address.leaf.pk] = address.leaf
        for fingerprint in address.chain:
            pk = by_fingerprint.get((address.listener.cluster_id, fingerprint))
            if pk is not None:
                _add_place(served.setdefault(pk, []), address)
    files: dict[tuple[int, str], str] = {}
    in_files: dict[int, list[tuple[CertificateFile, str]]] = {}
    for file in CertificateFile.objects.filter(cluster__in=ids, removed_at__isnull=True).order_by("trusted", "name"):
        for fingerprint in file.fingerprints:
            files.setdefault((file.cluster_id, fingerprint), file.name)
            if not file.trusted:
                in_files.setdefault(file.cluster_id, []).append((file, fingerprint))
    return served, files, _drifts(leaves, in_files)


def _add_place(places: list[str], address: TlsAddress) -> None:
    place = str(address.listener)
    if place not in places:
        places.append(place)


def _drifts(
    leaves: Mapping[int, Certificate], in_files: Mapping[int, list[tuple[CertificateFile, str]]]
) -> dict[int, Drift]:
    """Served leaves whose identity (subject and names) lies in a file with another certificate and not with this one."""
    wanted = {fingerprint for found in in_files.values() for _, fingerprint in found}
    rows = {(row.cluster_id, row.fingerprint): row for row in Certificate.objects.filter(fingerprint__in=wanted)}
    drifts: dict[int, Drift] = {}
    for pk, leaf in leaves.items():
        same = [
            (rows[leaf.cluster_id, fingerprint], file)
            for file, fingerprint in in_files.get(leaf.cluster_id, ())
            if (leaf.cluster_id, fingerprint) in rows
            and _identity(rows[leaf.cluster_id, fingerprint]) == _identity(leaf)
        ]
        if not same:
            continue
        other, file = max(same, key=lambda found: (found[0].not_before, found[0].pk))
        if other.fingerprint != leaf.fingerprint:
            drifts[pk] = _drift(leaf, other, file)
    return drifts


def _drift(leaf: Certificate, other: Certificate, file: CertificateFile) -> Drift:
    newer = other.not_before > leaf.not_before
    if newer:
        text = f"{file.name} holds serial {other.serial}, valid until {other.not_after:%Y-%m-%d}, since {file.changed_at:%Y-%m-%d %H:%M} UTC; "
        text += (
            f"{leaf.serial} is still served. A broker reads its key store again only when its configuration is altered."
        )
    else:
        text = f"{file.name} still holds serial {other.serial}; {leaf.serial} is served, which is newer."
    return Drift("file_newer" if newer else "served_newer", file.name, text, file.changed_at, other.serial)


def _identity(row: Certificate) -> tuple[str, tuple[str, ...]]:
    return row.subject, tuple(sorted(row.facts.get("names", ())))


# --- listeners, files, keys, log -----------------------------------------------------------------------------------------
def listeners(user: Person, cluster: str | None = None) -> list[ListenerRow]:
    """Every listener of the inventory with its addresses; nothing without the right to see clusters."""
    if not may(user, Right.SEE_CLUSTERS):
        return []
    rows = TlsListener.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    found = rows.select_related("cluster").prefetch_related("addresses__leaf").order_by("cluster__name", "kind", "broker", "host", "port")  # fmt: skip
    return [_listener_row(row) for row in found]


def listener_of(user: Person, cluster: str, pk: int) -> TlsListener | None:
    """One listener; None when there is none that the user may see."""
    rows = TlsListener.objects.filter(
        cluster__name=cluster, cluster__removed_at__isnull=True, pk=pk, removed_at__isnull=True
    )
    return rows.first() if may(user, Right.SEE_CLUSTERS) else None


def _listener_row(row: TlsListener) -> ListenerRow:
    last = max((one for one in (row.probed_at, row.requested_at) if one), default=None)
    return ListenerRow(
        id=row.pk, cluster=row.cluster.name, place=str(row), kind=CertificateKind(row.kind), broker=row.broker, name=row.name,
        wants=row.wants, origin=row.origin, keystore=row.keystore, probed_at=row.probed_at,
        may_probe_at=last + timedelta(seconds=60) if last else None,
        addresses=tuple(sorted(row.addresses.all(), key=lambda one: one.address)),
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


def certificate_days() -> list[tuple[float, float, str, str, str, str]]:
    """(days left, lifetime in days, cluster, listener, serial, kind) for /metrics: by listener while its chain is fresh, else without one."""
    at = now()
    periods = dict(Source.objects.filter(kind=SOURCE_KIND).values_list("cluster_id", "period_seconds"))
    rows = Certificate.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True).select_related(
        "cluster"
    )
    by_print = {(row.cluster_id, row.fingerprint): row for row in rows if row.fingerprint}
    served: set[int] = set()
    found: set[tuple[float, float, str, str, str, str]] = set()
    addresses = TlsAddress.objects.filter(listener__removed_at__isnull=True, read_at__isnull=False)
    for address in addresses.select_related("listener"):
        cluster_id = address.listener.cluster_id
        age = (at - address.read_at).total_seconds() if address.read_at else None
        fresh = not is_stale(age, periods.get(cluster_id, 900))
        for row in (by_print[cluster_id, one] for one in address.chain if (cluster_id, one) in by_print):
            served.add(row.pk)
            if fresh:
                found.add(_days(row, at, str(address.listener)))
    found |= {_days(row, at, "") for row in rows if row.pk not in served}
    return sorted(found, key=lambda one: one[2:])


def _days(row: Certificate, at: datetime, listener: str) -> tuple[float, float, str, str, str, str]:
    left, lifetime = expiry.days_left(row.not_after, at), expiry.days_left(row.not_after, row.not_before)
    return left, lifetime, row.cluster.name, listener, row.serial or row.subject, row.kind


def nearest_expiry(cluster_id: int) -> tuple[CertificateRow | None, int]:
    """The certificate of a cluster that ends next, and how many have ended; for cards, whose caller has checked the right."""
    at = now()
    rows = Certificate.objects.filter(cluster_id=cluster_id, removed_at__isnull=True)
    following = rows.filter(not_after__gt=at).order_by("not_after").values_list("pk", flat=True)[:1]
    found = certificate_rows(Certificate.objects.filter(pk__in=list(following)), at=at, places=False)
    return (found[0] if found else None), rows.filter(not_after__lte=at).count()


def read_at(cluster: str | None = None) -> datetime | None:
    """When the source was last read well: of one cluster, or the oldest of all."""
    rows = Source.objects.filter(kind=SOURCE_KIND, enabled=True, cluster__removed_at__isnull=True)
    if cluster is not None:
        rows = rows.filter(cluster__name=cluster)
    found = list(rows.values_list("last_success_at", flat=True))
    known: list[datetime] = [one for one in found if one is not None]
    return min(known) if known and len(known) == len(found) else None


def contract(row: CertificateRow) -> dict[str, Any]:
    """The fields of interfaces.md 6, for API, live view and CSV alike."""
    return {
        "id": row.id, "kind": row.kind.value, "subject": row.subject, "issuer": row.issuer, "serial": row.serial,
        "fingerprint_sha256": row.fingerprint, "not_before": row.not_before, "not_after": row.not_after,
        "days_left": round(row.days_left, 3), "band": row.band.value, "served_on": list(row.served_on), "file": row.file,
        "drift": row.drift.word if row.drift else None, "verdict": row.verdict.value, "failing_link": row.failing_link,
    }  # fmt: skip
