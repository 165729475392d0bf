"""What probes brought: the chain of each address, and the rotation log, which nothing but observation writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from clusters.chains import Certificate as Facts
from clusters.chains import NotACertificate, read
from clusters.expiry import CertificateKind, days_left
from clusters.gateways.tls import Probed
from clusters.models import Certificate, Cluster, Rotation, TlsAddress, TlsListener
from clusters.services.certificates.keep import certificates_keep
from clusters.services.certificates.window import window_of

Windows = dict[datetime, tuple[bool | None, list[dict[str, Any]]]]  # what was read of each window in this run


@transaction.atomic
def probes_store(
    *, cluster: Cluster, found: Mapping[int, Sequence[Probed]], listeners: Mapping[int, TlsListener], at: datetime
) -> list[Rotation]:
    """Store what each listener's addresses showed. Returns the new lines of the rotation log."""
    chains = {(pk, _key(one)): _read(one) for pk, all_seen in found.items() for one in all_seen}
    kept = certificates_keep(cluster=cluster, found=[one for chain in chains.values() for one in chain], at=at)
    rotations: list[Rotation] = []
    windows: Windows = {}
    for pk, all_seen in found.items():
        before = list(TlsAddress.objects.select_related("leaf").filter(listener_id=pk))
        touched: set[int] = set()
        for seen in all_seen:
            for row in _rows_of(seen, before) or _new(seen, pk):
                rotated = _take(row, seen, chains[pk, _key(seen)], kept, listeners[pk], cluster, at, windows)
                row.save()
                touched.add(row.pk)
                rotations += [rotated] if rotated else []
        TlsAddress.objects.filter(pk__in={row.pk for row in before} - touched).delete()
    Rotation.objects.bulk_create(rotations)
    return rotations


def _key(seen: Probed) -> tuple[str, str]:
    return seen.address, seen.key_type


def _rows_of(seen: Probed, before: Sequence[TlsAddress]) -> list[TlsAddress]:
    """The rows that a result speaks of: its own. A failure that names no address speaks of every one that is known, and one
    that came before a key type was asked for of all types."""
    if seen.chain:
        return [row for row in before if (row.address, row.key_type) == _key(seen)]
    return [row for row in before if seen.address in {"", row.address} and seen.key_type in {"", row.key_type}]


def _new(seen: Probed, listener_id: int) -> list[TlsAddress]:
    """A row for what was not known yet; none for a key type that nobody has seen served."""
    if seen.key_type and not seen.chain:
        return []
    return [TlsAddress(listener_id=listener_id, address=seen.address, key_type=seen.key_type)]


def _read(seen: Probed) -> tuple[Facts, ...]:
    try:
        return tuple(read(one) for one in seen.chain)
    except NotACertificate:
        return ()


def _take(
    row: TlsAddress, seen: Probed, chain: Sequence[Facts], kept: Mapping[str, Certificate], listener: TlsListener,
    cluster: Cluster, at: datetime, windows: Windows,
) -> Rotation | None:  # fmt: skip
    """Bring an address up to what was seen; a failure keeps the last chain. The rotation, if this is one."""
    row.probed_at = at
    if not chain:
        row.error = seen.error or "unreadable"
        row.message = seen.message or "What it sends cannot be read as certificates."
        row.failing_since = row.failing_since or at
        return None
    leaf = kept[chain[0].fingerprint]
    old, old_seen_at = row.leaf, row.read_at
    rotated = None
    if old is not None and old_seen_at is not None and old.fingerprint != leaf.fingerprint:
        rotated = _rotation(row, old, leaf, old_seen_at, listener, cluster, at, windows)
    if old is None or rotated is not None:
        row.changed_at = at
    row.leaf, row.read_at, row.failing_since = leaf, at, None
    row.error = row.message = ""
    row.chain = [one.fingerprint for one in chain]
    row.version, row.client_auth = seen.version, seen.client_auth.value
    row.accepted_cas = list(seen.accepted_cas)
    return rotated


def _rotation(
    row: TlsAddress, old: Certificate, new: Certificate, old_seen_at: datetime, listener: TlsListener, cluster: Cluster,
    at: datetime, windows: Windows,
) -> Rotation:  # fmt: skip
    if old_seen_at not in windows:
        windows[old_seen_at] = window_of(cluster, old_seen_at, at)
    healthy, health = windows[old_seen_at]
    place = str(listener) if row.address == listener.host else f"{listener} ({row.address})"
    place += f" {row.key_type.upper()}" if row.key_type else ""
    return Rotation(
        cluster=cluster, at=at, old_seen_at=old_seen_at, kind=listener.kind, place=place, broker=listener.broker,
        subject=new.subject, old_serial=old.serial, new_serial=new.serial, old_fingerprint=old.fingerprint,
        new_fingerprint=new.fingerprint, old_not_after=old.not_after, new_not_after=new.not_after,
        same_key=bool(old.spki) and old.spki == new.spki, days_early=days_left(old.not_after, at), healthy=healthy,
        health=health,
    )  # fmt: skip


def rotation_of_key(
    *, cluster: Cluster, name: str, old_version: str, new_version: str, rotated_before: datetime, rotated_at: datetime,
    rotation_days: float, at: datetime,
) -> Rotation:  # fmt: skip
    """The log's line of a key that has a new version."""
    values: dict[str, Any] = {"old_serial": old_version, "new_serial": new_version, "subject": name}
    early = rotation_days - (rotated_at - rotated_before).total_seconds() / 86_400
    return Rotation.objects.create(
        cluster=cluster, at=at, old_seen_at=min(rotated_at, at), kind=CertificateKind.KEY, place=name, same_key=False, days_early=early,
        **values,
    )  # fmt: skip
