"""Where certificates are served and lie, and where a listener serves another one than its file holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from clusters.models import Certificate, CertificateFile, TlsAddress


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


def places_of(
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
    found = list(CertificateFile.objects.filter(cluster__in=ids, removed_at__isnull=True).order_by("trusted", "name"))
    for file in found:  # a file is first of all its first certificate's, then those that came with it
        for fingerprint in file.fingerprints[:1]:
            files.setdefault((file.cluster_id, fingerprint), file.name)
    for file in found:
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
        same = [found for found in same if _key_type(found[0]) == _key_type(leaf)] or same  # of a pair, one each
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


def _key_type(row: Certificate) -> str:
    return str(row.facts.get("key", "")).partition(" ")[0]


def _identity(row: Certificate) -> tuple[str, tuple[str, ...]]:
    return row.subject, tuple(sorted(row.facts.get("names", ())))
