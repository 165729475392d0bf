"""Reads of certificates. All take the user, but for the rows behind a scope and what no person asks for.

Who does not see all clients sees the certificates of the own clients, and nothing of brokers, listeners and files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from accounts.policies import Person, Scope, may, scope_of
from accounts.roles import Right
from clusters import expiry
from clusters.chains import ChainVerdict
from clusters.expiry import Band, CertificateKind, Policy
from clusters.models import Certificate, CertificatePolicy, Source, TlsAddress
from clusters.selectors.certificates.places import Drift, places_of
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.units import is_stale

SOURCE_KIND = "certificates"


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


def policies() -> dict[CertificateKind, Policy]:
    """The policy of each kind: the default, or what was set."""
    found = dict(expiry.DEFAULTS)
    for row in CertificatePolicy.objects.all():
        found[CertificateKind(row.kind)] = Policy(row.rotate_days, row.alarm_days)
    return found


def now() -> datetime:
    """The database's time."""
    return as_datetime(database_clock().now())


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
    served, files, drifts = places_of(clusters) if places else ({}, {}, {})
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


def contract(row: CertificateRow) -> dict[str, Any]:
    """The fields of interfaces.md 6, for API, live view and CSV alike."""
    return {
        "id": row.id, "kind": row.kind.value, "subject": row.subject, "issuer": row.issuer, "serial": row.serial,
        "fingerprint_sha256": row.fingerprint, "not_before": row.not_before, "not_after": row.not_after,
        "days_left": round(row.days_left, 3), "band": row.band.value, "served_on": list(row.served_on), "file": row.file,
        "drift": row.drift.word if row.drift else None, "verdict": row.verdict.value, "failing_link": row.failing_link,
    }  # fmt: skip
