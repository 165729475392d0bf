"""What the portal is told of the demo's registry, keys and certificates, and the token its log shipper comes with."""

import os
from datetime import timedelta

from django.utils import timezone

from accounts.models import User
from accounts.services.tokens import token_create
from clusters.expiry import CertificateKind
from clusters.models import Certificate, Cluster, SchemaRegistry, ServiceKey
from clusters.services.certificates.entries import certificate_by_hand, key_record
from clusters.services.schemas import registry_set
from ops_portal.demo import schemas
from ops_portal.demo.facts import Facts

_TOKEN_HOURS = 24 * 30
# Name, version, days since it was rotated, whether it rotates by hand.
_KEYS = (
    ("trade-payloads", "v7", 41.0, False),
    ("client-archives", "v3", 84.0, False),
    ("portal-backups", "v2", 97.0, True),
)
_BALANCER = "stream.kafka.example"


def seed_security(cluster: Cluster, sre: User, facts: Facts) -> None:
    """Safe to repeat; what is there already stays."""
    _keys(cluster, sre)
    _certificate_elsewhere(cluster, sre)
    _shipper_token(facts, sre)


def seed_registry(cluster: Cluster, sre: User, facts: Facts) -> None:
    """The schema registry, from when on it is polled. Safe to repeat."""
    known = SchemaRegistry.objects.filter(cluster=cluster).values_list("url", flat=True).first()
    url = f"{facts.registry_url}{schemas.API}"
    if facts.registry_url and known != url:
        registry_set(cluster=cluster, url=url, acting_user=sre)


def _keys(cluster: Cluster, sre: User) -> None:
    """One is young, one is due soon, one is late."""
    if ServiceKey.objects.filter(cluster=cluster).exists():
        return
    for name, version, days, by_hand in _KEYS:
        key_record(
            cluster=cluster, name=name, version=version, rotated_at=timezone.now() - timedelta(days=days), manual=by_hand,
            owner="Platform security", acting_user=sre,
        )  # fmt: skip


def _certificate_elsewhere(cluster: Cluster, sre: User) -> None:
    """A load balancer's certificate, which its own team manages and nobody here can probe."""
    if Certificate.objects.filter(cluster=cluster, subject=_BALANCER).exists():
        return
    ends = timezone.now() + timedelta(days=62)
    certificate_by_hand(
        cluster=cluster, kind=CertificateKind.ENDPOINT.value, subject=_BALANCER, issuer="Example Public CA", serial="51:0c:77:1e",
        not_before=ends - timedelta(days=398), not_after=ends, owner="Network team",
        note="Terminates TLS in front of the REST tier.", acting_user=sre,
    )  # fmt: skip


def _shipper_token(facts: Facts, sre: User) -> None:
    """A new token at every start, in a file that only the owner can read."""
    _, text = token_create(user=sre, hours=_TOKEN_HOURS, name="log shipper of the demo", acting_user=sre)
    path = facts.shipper_token
    draft = path.with_name(f"{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)
    draft.replace(path)
