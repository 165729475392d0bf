"""Storing certificates that were seen. Steps of larger writes: they join the caller's transaction."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from accounts.models import Ownership
from accounts.selectors import ownership_matcher
from clusters.chains import Certificate as Facts
from clusters.chains import read
from clusters.chains.links import may_have_issued, may_sign_certificates, signed_by
from clusters.expiry import CertificateKind
from clusters.models import Certificate, Cluster, TlsAddress

_CLIENT_AUTH, _SERVER_AUTH = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"
_SERVED_FIRST = (CertificateKind.BROKER, CertificateKind.REGISTRY, CertificateKind.ENDPOINT)
_USAGE_WORDS = {_SERVER_AUTH: "server", _CLIENT_AUTH: "client"}


def certificates_keep(*, cluster: Cluster, found: Iterable[Facts], at: datetime) -> dict[str, Certificate]:
    """Store these certificates, each once; fingerprint -> row. What a new one is for is first read off itself: where it is
    served is looked at by `kinds_find`."""
    wanted = {one.fingerprint: one for one in found}
    rows = {row.fingerprint: row for row in Certificate.objects.filter(cluster=cluster, fingerprint__in=wanted)}
    for fingerprint, facts in wanted.items():
        row = rows.get(fingerprint)
        if row is None:
            row = rows[fingerprint] = _new(cluster, facts, at)
        row.last_seen_at, row.removed_at = at, None
        row.save()
    return rows


def _new(cluster: Cluster, facts: Facts, at: datetime) -> Certificate:
    same_key = Certificate.objects.filter(cluster=cluster, spki=facts.spki).exclude(fingerprint=facts.fingerprint)
    before = same_key.filter(not_before__lt=facts.not_before).order_by("-not_before").first()
    return Certificate(
        cluster=cluster, fingerprint=facts.fingerprint, der=facts.der, kind=kind_of(facts), subject=facts.subject, issuer=facts.issuer,
        common_name=facts.common_name, serial=facts.serial, not_before=facts.not_before, not_after=facts.not_after,
        spki=facts.spki, facts=facts_of(facts), first_seen_at=at, replaces=before.fingerprint if before else "",
    )  # fmt: skip


def facts_of(facts: Facts) -> dict[str, Any]:
    """What a page tells of a certificate."""
    return {
        "key": f"{facts.key_type} {facts.key_bits} bit" if facts.key_bits else facts.key_type,
        "signature": facts.signature,
        "names": [*facts.dns_names, *facts.ip_names, *facts.other_names],
        "authority": may_sign_certificates(facts),
        "path_length": facts.path_length,
        "key_usage": None if facts.key_usage is None else sorted(name.replace("_", " ") for name in facts.key_usage),
        "extended_usage": (
            None if facts.extended_usage is None else sorted(_USAGE_WORDS.get(one, one) for one in facts.extended_usage)
        ),
        "version": facts.version,
        "problems": list(facts.problems),
    }


def kind_of(facts: Facts) -> CertificateKind:
    """What a certificate may be used for by its own words."""
    if may_sign_certificates(facts) and facts.is_ca is not False:
        return CertificateKind.ROOT if facts.looks_self_signed else CertificateKind.INTERMEDIATE
    usage = facts.extended_usage or frozenset()
    if _CLIENT_AUTH in usage and _SERVER_AUTH not in usage:
        return CertificateKind.CLIENT
    return CertificateKind.ENDPOINT


def kinds_find(rows: Mapping[str, Certificate], addresses: Iterable[TlsAddress]) -> None:
    """Note on each row what it is for: what serves it, or serves another one of its subject and names; brokers come first.

    That it lies in a file as well says nothing of it. What a person has set stays.
    """
    served: dict[str, set[str]] = {}
    for address in addresses:
        if address.chain and address.chain[0] in rows:
            served.setdefault(address.chain[0], set()).add(address.listener.kind)
    signers = {row.parent for row in rows.values() if row.parent}
    identities: dict[object, set[str]] = {}
    for fingerprint, kinds in served.items():
        identities.setdefault(identity_of(rows[fingerprint]), set()).update(kinds)
    for fingerprint, row in rows.items():
        if row.kind_set or fingerprint in signers:
            continue
        kinds = served.get(fingerprint) or set()
        if not kinds and row.kind in _SERVED_FIRST:
            kinds = identities.get(identity_of(row), set())
        row.kind = next((kind.value for kind in _SERVED_FIRST if kind.value in kinds), row.kind)


def identity_of(row: Certificate) -> tuple[str, tuple[str, ...]]:
    """Whom a certificate is for: its subject and its names."""
    return row.subject, tuple(sorted(row.facts.get("names", ())))


def facts_by_fingerprint(rows: Iterable[Certificate]) -> dict[str, Facts]:
    """The stored certificates, read again."""
    return {row.fingerprint: read(bytes(row.der)) for row in rows if row.der is not None}


def parents_find(rows: Mapping[str, Certificate], facts: Mapping[str, Facts]) -> None:
    """Note on each row who signed it, where that one is known; the one that holds longest of several."""
    by_name: dict[object, list[Facts]] = {}
    for one in facts.values():
        by_name.setdefault(one.subject_key, []).append(one)
    for fingerprint, one in facts.items():
        above = [
            other
            for other in by_name.get(one.issuer_key, ())
            if other != one and may_have_issued(other, one) and signed_by(one, other)
        ]
        best = max(above, key=lambda other: other.not_after, default=None)
        rows[fingerprint].parent = "" if one.looks_self_signed or best is None else best.fingerprint


def owners_find(cluster: Cluster, rows: Iterable[Certificate]) -> None:
    """Note on client certificates whose they are: by their principal, as Kafka names it with and without mapping rules."""
    matcher = ownership_matcher(Ownership.Kind.PRINCIPAL, cluster.name)
    for row in rows:
        if not row.fingerprint and not row.principal:
            continue  # by hand: whoever entered it has said whose it is
        if row.kind != CertificateKind.CLIENT:
            row.client_id = None if row.fingerprint else row.client_id
            continue
        names = [row.common_name, row.subject] if row.common_name else [row.subject]
        candidates = [text for name in names for text in (f"User:{name}", name)]
        if row.principal:
            candidates = [row.principal, row.principal.removeprefix("User:")]
        row.client_id = matcher.owner_of_any(candidates).client_id
        if not row.principal:
            row.principal = candidates[0]
