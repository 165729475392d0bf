"""Verdicts of every chain, who signed whom, whose certificates are whose, and the findings that follow."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from clusters.chains import Certificate as Facts
from clusters.chains import ChainVerdict, Judgement, Purpose, Unreadable, judge, parse
from clusters.expiry import CertificateKind
from clusters.models import Certificate, CertificateFile, Cluster, TlsAddress
from clusters.models.certificates import Judged
from clusters.services.certificates.findings import findings_renew
from clusters.services.certificates.keep import (
    certificates_keep,
    facts_by_fingerprint,
    kinds_find,
    owners_find,
    parents_find,
)
from ops_portal.lib.live import publish

JUDGED = ("verdict", "reason", "failing_link", "links", "fails_at", "fails_with", "remarks")
_KEPT = ("kind", "parent", "principal", "client", "removed_at", *JUDGED)


def cluster_hold(cluster_id: int) -> None:
    """Wait until nobody else writes certificates of the cluster; held until the transaction ends.

    A judgement writes all of their rows, so whoever is to judge holds the cluster before reading or locking anything else.
    """
    Cluster.objects.select_for_update(no_key=True).get(pk=cluster_id)


@transaction.atomic
def certificates_judge(*, cluster: Cluster, at: datetime) -> None:
    """Judge all that is known of a cluster anew, bring the findings up to it and publish. Call `cluster_hold` first."""
    trusted = _keep_own_trust(cluster, at)
    rows = {row.fingerprint: row for row in Certificate.objects.filter(cluster=cluster).exclude(fingerprint="")}
    facts = facts_by_fingerprint(rows.values())
    files = list(CertificateFile.objects.filter(cluster=cluster, removed_at__isnull=True))
    addresses = list(
        TlsAddress.objects.select_related("listener").filter(
            listener__cluster=cluster, listener__removed_at__isnull=True
        )
    )
    trusted |= {one for file in files if file.trusted for one in file.fingerprints}
    anchors = [facts[one] for one in trusted if one in facts]
    parents_find(rows, facts)
    kinds_find(rows, addresses)
    _judge_addresses(addresses, facts, anchors, at, names=_checks_names(cluster))
    _judge_certificates(rows, facts, files, addresses, anchors, at)
    in_use = trusted | {one for file in files for one in file.fingerprints}
    in_use |= {one for address in addresses for one in address.chain}
    owners_find(cluster, rows.values())
    for fingerprint, row in rows.items():
        row.removed_at = None if fingerprint in in_use else row.removed_at or at
    by_hand = list(Certificate.objects.filter(cluster=cluster, fingerprint=""))
    owners_find(cluster, by_hand)
    TlsAddress.objects.bulk_update(addresses, JUDGED)
    Certificate.objects.bulk_update([*rows.values(), *by_hand], _KEPT, batch_size=500)
    findings_renew(cluster=cluster, at=at)
    name = cluster.name
    publish.on_commit_publish("clusters.certificates", match=lambda params, _: params["cluster"] in {None, name})


def _keep_own_trust(cluster: Cluster, at: datetime) -> set[str]:
    """What the portal itself trusts to reach the cluster; the fingerprints."""
    text = cluster.properties.get("ssl.ca.pem", "")
    if not text:
        return set()
    try:
        found = parse(text.encode()).certificates
    except Unreadable:
        return set()
    return set(certificates_keep(cluster=cluster, found=found, at=at))


def _checks_names(cluster: Cluster) -> bool:
    """Whether clients compare names: not where the cluster's own settings say that they need not."""
    return bool(cluster.properties.get("ssl.endpoint.identification.algorithm", "https").lower() != "none")


def _judge_addresses(
    addresses: Iterable[TlsAddress], facts: Mapping[str, Facts], anchors: list[Facts], at: datetime, *, names: bool
) -> None:
    for address in addresses:
        chain = [facts[one] for one in address.chain if one in facts]
        if chain:
            host = address.listener.host if names else None
            found = judge(chain, trusted=anchors, at=at, host=host, known=facts.values())
            note(address, found)


def _judge_certificates(
    rows: Mapping[str, Certificate], facts: Mapping[str, Facts], files: Iterable[CertificateFile],
    addresses: Iterable[TlsAddress], anchors: list[Facts], at: datetime,
) -> None:  # fmt: skip
    """A served leaf has the worst verdict of where it is served; others are judged with the file they lie in."""
    served: dict[str, list[TlsAddress]] = {}
    for address in addresses:
        if address.chain:
            served.setdefault(address.chain[0], []).append(address)
    signers = _signers(facts)
    together: dict[str, list[Facts]] = {}
    for file in files:
        beside = [signers[one] for one in file.fingerprints if one in signers]
        together.update(dict.fromkeys(file.fingerprints, beside))
    authorities = [
        signers[one] for one, row in rows.items() if CertificateKind(row.kind).is_authority and one in signers
    ]
    for fingerprint, row in rows.items():
        if fingerprint not in facts:
            continue
        if fingerprint in served:
            worst = max(served[fingerprint], key=lambda one: _severity(ChainVerdict(one.verdict)))
            for field in JUDGED:
                setattr(row, field, getattr(worst, field))
            continue
        if CertificateKind(row.kind).is_authority:
            note(row, _alone(facts[fingerprint], authorities, Purpose.ANY, anchors, signers, at), remarks=False)
            continue
        purpose = Purpose.CLIENT if row.kind == CertificateKind.CLIENT else Purpose.SERVER
        beside = together.get(fingerprint, [])
        found = _alone(facts[fingerprint], beside, purpose, anchors, signers, at)
        completed = _alone(facts[fingerprint], [*beside, *authorities], purpose, anchors, signers, at)
        lacks = found.verdict is ChainVerdict.MISSING_ISSUER and completed.verdict is not ChainVerdict.MISSING_ISSUER
        note(row, completed if lacks else found, remarks=False)
        if lacks:
            row.remarks = [f"Its file lacks an authority of the chain: {found.reason}"]


def _signers(facts: Mapping[str, Facts]) -> dict[str, Facts]:
    """Those that bear a name in which another one is signed: nothing else can stand above, in a bundle of thousands neither."""
    names = {one.issuer_key for one in facts.values() if not one.looks_self_signed}
    return {fingerprint: one for fingerprint, one in facts.items() if one.subject_key in names}


def _alone(
    leaf: Facts,
    beside: Iterable[Facts],
    purpose: Purpose,
    anchors: list[Facts],
    signers: Mapping[str, Facts],
    at: datetime,
) -> Judgement:
    """The judgement of a certificate that no listener sends."""
    chain = [leaf, *(one for one in beside if one.fingerprint != leaf.fingerprint)]
    return judge(chain, trusted=anchors, at=at, purpose=purpose, known=signers.values())


def _severity(verdict: ChainVerdict) -> int:
    return 0 if verdict is ChainVerdict.OK else 1 if verdict is ChainVerdict.UNVERIFIED else 2


def note(row: Judged, found: Judgement, *, remarks: bool = True) -> None:
    """Put a judgement into a row."""
    row.verdict, row.reason = found.verdict.value, found.reason
    row.failing_link = found.failing.title if found.failing else ""
    row.links = [
        {
            "fingerprint": link.certificate.fingerprint,
            "title": link.certificate.title,
            "origin": link.origin,
            "defects": [defect.text for defect in link.defects],
        }
        for link in found.links
    ]
    row.fails_at = found.fails_at
    row.fails_with = "" if found.fails_with is None else _title(found.links, found.fails_with)
    row.remarks = list(found.notes) if remarks else [text for text in found.notes if ": " in text]


def _title(links: Any, depth: int) -> str:
    return links[depth].certificate.title if depth < len(links) else ""
