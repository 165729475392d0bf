"""What people enter: certificates managed elsewhere, endpoints, keys of the key service, policies. Each leaves an audit row."""

import re
from datetime import UTC, datetime, timedelta
from types import EllipsisType

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import Client, User
from accounts.services import audit_record
from clusters.expiry import KEY_ROTATION_DAYS, CertificateKind, Policy
from clusters.models import Certificate, CertificatePolicy, Cluster, ServiceKey, TlsListener
from clusters.services.certificates.judging import certificates_judge, cluster_hold
from clusters.services.certificates.observe import rotation_of_key
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_SERVED_KINDS = (CertificateKind.BROKER, CertificateKind.REGISTRY, CertificateKind.ENDPOINT)
_SLACK = timedelta(minutes=5)
_EARLIEST = datetime.fromtimestamp(0, UTC)


def _now() -> datetime:
    return as_datetime(database_clock().now())


@transaction.atomic
def certificate_by_hand(
    *, cluster: Cluster, kind: str, subject: str, issuer: str = "", serial: str = "", not_before: datetime, not_after: datetime,
    owner: str = "", note: str = "", client: Client | None = None, acting_user: User | None,
) -> Certificate:  # fmt: skip
    """Enter a certificate that is managed elsewhere and cannot be probed. Raises ValidationError."""
    problems: dict[str, list[str]] = {}
    if not subject.strip():
        problems["subject"] = ["Say whom it is for."]
    if not owner.strip():
        problems["owner"] = ["Say who renews it."]
    if kind not in {one.value for one in CertificateKind if one is not CertificateKind.KEY}:
        problems["kind"] = ["Choose a kind."]
    if not_after <= not_before:
        problems["not_after"] = ["It must end after it begins."]
    if problems:
        raise ValidationError(problems)
    cluster_hold(cluster.pk)
    row = Certificate.objects.create(
        cluster=cluster, kind=kind, kind_set=True, subject=subject.strip()[:1000], common_name=subject.strip()[:200],
        issuer=issuer.strip()[:1000], serial=serial.strip().lower().replace(":", "")[:80], not_before=not_before,
        not_after=not_after, owner=owner.strip()[:200], note=note.strip()[:2000], client=client,
        reason="Entered by hand; nobody has looked at the certificate itself.",
    )  # fmt: skip
    _record("clusters.certificate_entered", row, None, _shown(row), acting_user)
    certificates_judge(cluster=cluster, at=_now())
    return row


@transaction.atomic
def certificate_change(
    *, row: Certificate, kind: str, owner: str, note: str, principal: str, acting_user: User | None
) -> Certificate:
    """Say what a certificate is for, who renews it and as which principal Kafka knows its holder. Raises ValidationError."""
    cluster_hold(row.cluster_id)
    row = Certificate.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=row.pk)
    if kind not in {one.value for one in CertificateKind if one is not CertificateKind.KEY}:
        raise ValidationError({"kind": ["Choose a kind."]})
    before = _shown(row)
    row.kind_set = row.kind_set or kind != row.kind
    row.kind, row.owner, row.note, row.principal = (
        kind,
        owner.strip()[:200],
        note.strip()[:2000],
        principal.strip()[:500],
    )
    row.save(update_fields=["kind", "kind_set", "owner", "note", "principal"])
    _record("clusters.certificate_changed", row, before, _shown(row), acting_user)
    certificates_judge(cluster=row.cluster, at=_now())
    return row


@transaction.atomic
def certificate_remove(*, row: Certificate, acting_user: User | None) -> None:
    """Forget a certificate that was entered by hand. Raises ValidationError for one that was seen."""
    cluster_hold(row.cluster_id)
    row = Certificate.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=row.pk)
    if row.fingerprint:
        raise ValidationError("This certificate was seen; it goes when it is served nowhere and lies in no file.")
    row.removed_at = _now()
    row.save(update_fields=["removed_at"])
    _record("clusters.certificate_removed", row, _shown(row), None, acting_user)
    certificates_judge(cluster=row.cluster, at=_now())


@transaction.atomic
def endpoint_add(
    *,
    cluster: Cluster,
    host: str,
    port: int,
    kind: str = CertificateKind.ENDPOINT,
    speaks: str = "http",
    acting_user: User | None,
) -> TlsListener:
    """Watch a TLS endpoint beside the brokers: a registry, a load balancer, an API. Raises ValidationError."""
    problems: dict[str, list[str]] = {}
    host = host.strip().strip("[]").lower()
    if not _HOST.fullmatch(host):
        problems["host"] = ["This is no host name or address."]
    if not 1 <= port <= 65535:
        problems["port"] = ["A port is 1 to 65535."]
    if kind not in set(_SERVED_KINDS):
        problems["kind"] = ["Choose what it is."]
    if speaks not in {"http", "kafka"}:
        problems["speaks"] = ["Choose what it speaks."]
    if problems:
        raise ValidationError(problems)
    try:
        with transaction.atomic():
            row = TlsListener.objects.create(
                cluster=cluster, host=host, port=port, kind=kind, speaks=speaks, origin=TlsListener.Origin.HAND
            )
    except IntegrityError as error:
        raise ValidationError({"host": [f"{host}:{port} is watched already."]}) from error
    _record_place("clusters.endpoint_added", row, None, {"kind": kind, "speaks": speaks}, acting_user)
    return row


@transaction.atomic
def endpoint_remove(*, row: TlsListener, acting_user: User | None) -> None:
    """Watch an endpoint no longer. Raises ValidationError for a broker's listener."""
    cluster_hold(row.cluster_id)
    row = TlsListener.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=row.pk)
    if row.origin != TlsListener.Origin.HAND:
        raise ValidationError("This listener is the cluster's own; it goes when the brokers no longer have it.")
    row.removed_at = _now()
    row.save(update_fields=["removed_at"])
    _record_place("clusters.endpoint_removed", row, {"kind": row.kind, "speaks": row.speaks}, None, acting_user)
    certificates_judge(cluster=row.cluster, at=_now())


@transaction.atomic
def key_record(
    *, cluster: Cluster, name: str, version: str, rotated_at: datetime, rotation_days: float = KEY_ROTATION_DAYS,
    manual: bool = False, owner: str = "", client: Client | EllipsisType | None = ..., acting_user: User | None,
) -> ServiceKey:  # fmt: skip
    """Enter a key of the key service, or a rotation of one that is known. Raises ValidationError.

    Where no client is given, the key stays whose it was.
    """
    at, name, version = _now(), name.strip(), version.strip()
    problems: dict[str, list[str]] = {}
    if not 0 < len(name) <= 200:
        problems["name"] = ["A name has 1 to 200 characters."]
    if len(version) > 200:
        problems["version"] = ["A version has at most 200 characters."]
    if not 1 <= rotation_days <= 3660:
        problems["rotation_days"] = ["1 to 3660 days."]
    if rotated_at > at + _SLACK:
        problems["rotated_at"] = ["This lies in the future."]
    if rotated_at < _EARLIEST:
        problems["rotated_at"] = ["This lies before 1970."]
    if problems:
        raise ValidationError(problems)
    cluster_hold(cluster.pk)
    row = ServiceKey.objects.select_for_update().filter(cluster=cluster, name=name, removed_at__isnull=True).first()
    before = _shown_key(row) if row else None
    if row is None:
        row = ServiceKey(cluster=cluster, name=name, rotated_at=rotated_at)
    elif rotated_at < row.rotated_at:
        raise ValidationError({"rotated_at": [f"It was rotated after that, at {row.rotated_at:%Y-%m-%d %H:%M} UTC."]})
    elif rotated_at > row.rotated_at:
        rotation_of_key(
            cluster=cluster, name=name, old_version=row.version, new_version=version, rotated_before=row.rotated_at,
            rotated_at=rotated_at, rotation_days=row.rotation_days, at=at,
        )  # fmt: skip
    row.version, row.rotated_at, row.rotation_days, row.manual = version, rotated_at, rotation_days, manual
    row.owner = owner.strip()[:200]
    if not isinstance(client, EllipsisType):
        row.client = client
    row.save()
    audit_record(
        action="clusters.key_recorded", entity=f"key {name} of {cluster.name}", before=before, after=_shown_key(row),
        acting_user=acting_user,
    )  # fmt: skip
    certificates_judge(cluster=cluster, at=at)
    return row


@transaction.atomic
def key_remove(*, row: ServiceKey, acting_user: User | None) -> None:
    """Watch a key no longer."""
    cluster_hold(row.cluster_id)
    row = ServiceKey.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=row.pk)
    row.removed_at = _now()
    row.save(update_fields=["removed_at"])
    audit_record(
        action="clusters.key_removed", entity=f"key {row.name} of {row.cluster.name}", before=_shown_key(row), after=None,
        acting_user=acting_user,
    )  # fmt: skip
    certificates_judge(cluster=row.cluster, at=_now())


@transaction.atomic
def policy_change(*, kind: str, rotate_days: float, alarm_days: float, acting_user: User | None) -> CertificatePolicy:
    """Set when certificates of a kind are to be rotated and when it is an alarm. Raises ValidationError."""
    if kind not in {one.value for one in CertificateKind if one is not CertificateKind.KEY}:
        raise ValidationError({"kind": ["Choose a kind."]})
    try:
        Policy(rotate_days, alarm_days)
    except ValueError as error:
        text = "Alarm comes 14 days before the end or earlier, rotation not after the alarm, at most 3660 days before."
        raise ValidationError({"alarm_days": [text]}) from error
    clusters = list(Cluster.objects.filter(removed_at__isnull=True).order_by("pk"))
    for cluster in clusters:
        cluster_hold(cluster.pk)
    row = CertificatePolicy.objects.select_for_update().filter(kind=kind).first()
    before = {"rotate_days": row.rotate_days, "alarm_days": row.alarm_days} if row else None
    row = row or CertificatePolicy(kind=kind)
    row.rotate_days, row.alarm_days = rotate_days, alarm_days
    row.save()
    audit_record(
        action="clusters.certificate_policy_changed", entity=f"policy of {kind} certificates", before=before,
        after={"rotate_days": rotate_days, "alarm_days": alarm_days}, acting_user=acting_user,
    )  # fmt: skip
    at = _now()
    for cluster in clusters:
        certificates_judge(cluster=cluster, at=at)
    return row


def _shown(row: Certificate) -> dict[str, object]:
    return {
        "kind": row.kind, "subject": row.subject, "serial": row.serial, "not_after": row.not_after.isoformat(),
        "owner": row.owner, "note": row.note, "principal": row.principal,
    }  # fmt: skip


def _shown_key(row: ServiceKey) -> dict[str, object]:
    return {
        "version": row.version, "rotated_at": row.rotated_at.isoformat(), "rotation_days": row.rotation_days,
        "manual": row.manual, "owner": row.owner, "client": row.client.name if row.client else None,
    }  # fmt: skip


def _record(action: str, row: Certificate, before: object, after: object, acting_user: User | None) -> None:
    entity = f"certificate {row.common_name or row.subject} of {row.cluster.name}"
    audit_record(
        action=action, entity=entity[:400], before=before, after=after, acting_user=acting_user, client=row.client
    )


def _record_place(action: str, row: TlsListener, before: object, after: object, acting_user: User | None) -> None:
    entity = f"endpoint {row} of {row.cluster.name}"
    audit_record(action=action, entity=entity, before=before, after=after, acting_user=acting_user)
