"""Findings of certificates. Each step before an end is a finding of its own, so that each step is told once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import Client
from clusters.chains import ChainVerdict
from clusters.expiry import Band
from clusters.models import Certificate, CertificateFile, Cluster, Finding, TlsAddress
from clusters.selectors.certificates import CertificateRow, KeyRow, certificate_rows, key_rows
from clusters.services.findings import finding_close, finding_open

KINDS = (
    "certificate_expiry", "certificate_chain", "certificate_unchecked", "certificate_drift", "certificate_same_key",
    "certificate_file", "key_rotation",
)  # fmt: skip
_QUIET = {Band.OK, Band.UNKNOWN}


@dataclass(frozen=True, slots=True)
class _Due:
    """A finding that should be open."""

    key: str
    kind: str
    severity: str
    entity: str
    title: str
    reason: str
    inputs: dict[str, Any]
    client_id: int | None = None


def findings_renew(*, cluster: Cluster, at: datetime) -> None:
    """Open what is due, close what is over. A step of a larger write."""
    due = {one.key: one for one in _due(cluster, at)}
    open_now = Finding.objects.filter(cluster=cluster, kind__in=KINDS, closed_at__isnull=True)
    for key in list(open_now.values_list("dedupe_key", flat=True)):
        if key not in due:
            finding_close(dedupe_key=key)
    clients = Client.objects.in_bulk({one.client_id for one in due.values() if one.client_id})
    for one in due.values():
        finding_open(
            dedupe_key=one.key, kind=one.kind, severity=one.severity, entity=one.entity, title=one.title, reason=one.reason,
            inputs=one.inputs, cluster=cluster, client=clients.get(one.client_id) if one.client_id else None,
        )  # fmt: skip


def _due(cluster: Cluster, at: datetime) -> Iterator[_Due]:
    for row in certificate_rows(Certificate.objects.filter(cluster=cluster, removed_at__isnull=True), at=at):
        yield from _of_certificate(cluster, row)
    listeners = TlsAddress.objects.select_related("listener", "leaf")
    for address in listeners.filter(listener__cluster=cluster, listener__removed_at__isnull=True):
        yield from _of_address(cluster, address)
    for file in CertificateFile.objects.filter(cluster=cluster, removed_at__isnull=True).exclude(error=""):
        yield _Due(
            f"certificate_file:{file.pk}", "certificate_file", "warning", file.name, f"{file.name} cannot be read",
            f"{file.message} While this lasts, its certificates are not watched.", {"error": file.error},
        )  # fmt: skip
    for key in key_rows(cluster, at=at):
        yield from _of_key(cluster, key)


def _of_certificate(cluster: Cluster, row: CertificateRow) -> Iterator[_Due]:
    if row.band not in _QUIET:
        ended = row.band is Band.EXPIRED
        when = f"{row.not_after:%Y-%m-%d %H:%M} UTC"
        left = (
            "has expired"
            if ended
            else f"expires in {row.days_left:.0f} days"
            if row.days_left >= 2
            else "expires within 2 days"
        )
        where = f" It is served on {', '.join(row.served_on[:5])}." if row.served_on else ""
        yield _Due(
            f"certificate_expiry:{row.id}:{row.band.value}", "certificate_expiry",
            "warning" if row.band is Band.ROTATE else "critical", row.title, f"{row.title} {left}",
            f"The {row.kind.label} certificate with serial {row.serial or 'unknown'} is valid until {when}; the policy of "
            f"its kind wants it rotated {row.rotate_days:g} days before and alarms at {row.alarm_days:g}.{where}",
            {"serial": row.serial, "not_after": when, "band": row.band.value}, row.client_id,
        )  # fmt: skip
    if row.drift is not None:
        yield _Due(
            f"certificate_drift:{row.id}", "certificate_drift", "critical" if row.drift.newer else "warning", row.title,
            f"{row.title} is not served as its file says", row.drift.text, {"file": row.drift.file, "serial": row.serial},
        )  # fmt: skip
    if row.same_key_as and row.served_on:
        yield _Due(
            f"certificate_same_key:{row.id}", "certificate_same_key", "warning", row.title,
            f"{row.title} was renewed with its old key",
            f"The certificate with serial {row.serial} has the key of {row.same_key_as}: renewed, not rotated.",
            {"serial": row.serial},
        )  # fmt: skip


def _of_address(cluster: Cluster, address: TlsAddress) -> Iterator[_Due]:
    place = f"{address.listener}" + (
        f" ({address.address})" if address.address not in {"", address.listener.host} else ""
    )
    place += f" {address.key_type.upper()}" if address.key_type else ""
    verdict = ChainVerdict(address.verdict)
    told_by_band = verdict is ChainVerdict.EXPIRED and bool(address.links) and bool(address.links[0]["defects"])
    if address.chain and verdict not in {ChainVerdict.OK, ChainVerdict.UNVERIFIED} and not told_by_band:
        yield _Due(
            f"certificate_chain:{address.pk}:{verdict.value}", "certificate_chain", "critical", place,
            f"The chain of {place} does not hold: {verdict.label}", address.reason,
            {"verdict": verdict.value, "failing_link": address.failing_link},
        )  # fmt: skip
    if address.error and address.failing_since is not None and address.failing_since < address.probed_at:
        known = f" What it served was last read at {address.read_at:%Y-%m-%d %H:%M} UTC." if address.read_at else ""
        yield _Due(
            f"certificate_unchecked:{address.pk}", "certificate_unchecked", "warning", place,
            f"The certificate of {place} cannot be checked", f"{address.message}{known} While this lasts, nobody would see it expire.",
            {"error": address.error},
        )  # fmt: skip


def _of_key(cluster: Cluster, key: KeyRow) -> Iterator[_Due]:
    if key.band in _QUIET:
        return
    late = key.band is Band.EXPIRED
    title = f"The key {key.name} {'is overdue for rotation' if late else 'is due for rotation soon'}"
    yield _Due(
        f"key_rotation:{key.id}:{key.band.value}", "key_rotation", "critical" if late else "warning", key.name, title,
        f"It was rotated on {key.rotated_at:%Y-%m-%d} and is to be every {key.rotation_days:g} days"
        f"{'; its kind has to be rotated by hand' if key.manual else ''}.",
        {"version": key.version, "due_at": f"{key.due_at:%Y-%m-%d}"},
    )  # fmt: skip
