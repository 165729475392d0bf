"""Certificates for the browser tests: two brokers' listeners, a rotation, drift, a client's own, a key; nothing is dialled."""

from datetime import datetime, timedelta

from clusters.gateways.tls import ClientAuth, Probed
from clusters.models import Cluster, TlsListener
from clusters.services import certificates as services
from clusters.services.certificates.judging import certificates_judge
from clusters.services.certificates.observe import probes_store
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from tests.clusters.certificates.make import CLIENT, Made, authority, leaf, root

DAY = timedelta(days=1)


def certificates(cluster: Cluster) -> None:
    """Seed `cluster`."""
    now = as_datetime(database_clock().now()).replace(microsecond=0)
    top = root(begins=now - 900 * DAY, ends=now + 2700 * DAY)
    low = authority(top, begins=now - 400 * DAY, ends=now + 1400 * DAY)
    cluster.properties = {**cluster.properties, "ssl.ca.pem": top.pem.decode()}
    cluster.save(update_fields=["properties"])
    listeners = [
        TlsListener.objects.create(
            cluster=cluster, host=f"kafka-{number}.northgate.example", port=9093, broker=number, name="SECURE", wants="required",
            origin=TlsListener.Origin.KAFKA,
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    old = [_broker(low, number, now - 300 * DAY, now + days * DAY) for number, days in ((1, 20), (2, 80), (3, 260))]
    _serve(cluster, listeners, old, low, now - DAY)
    new = _broker(low, 1, now - 2 * DAY, now + 363 * DAY)
    _serve(cluster, listeners, [new, *old[1:]], low, now)
    ahead = _broker(low, 2, now - DAY, now + 364 * DAY)
    _upload(cluster, "kafka-2.pem", ahead.pem)
    for name, days in (("northgate-trading", 12), ("harbour-feed", 190)):
        own = leaf(low, name, extended=[CLIENT], dns=(), begins=now - 100 * DAY, ends=now + days * DAY)
        _upload(cluster, f"{name}.pem", own.pem + low.pem)
    services.certificate_by_hand(
        cluster=cluster, kind="endpoint", subject="lb.northgate.example", not_before=now - 200 * DAY, not_after=now + 60 * DAY,
        owner="Network team", acting_user=None,
    )  # fmt: skip
    services.key_record(
        cluster=cluster,
        name="orders-at-rest",
        version="7",
        rotated_at=now - 95 * DAY,
        owner="Platform",
        acting_user=None,
    )
    certificates_judge(cluster=cluster, at=now)


def _broker(issuer: Made, number: int, begins: datetime, ends: datetime) -> Made:
    return leaf(issuer, f"kafka-{number}", dns=[f"kafka-{number}.northgate.example"], begins=begins, ends=ends)


def _serve(cluster: Cluster, listeners: list[TlsListener], leaves: list[Made], issuer: Made, at: datetime) -> None:
    found = {
        listener.pk: (
            Probed(
                f"10.0.0.{listener.broker}",
                (one.der, issuer.der),
                "TLS 1.3",
                ClientAuth.REQUIRED,
                ("CN=Northgate Root CA",),
            ),
        )
        for listener, one in zip(listeners, leaves, strict=True)
    }
    probes_store(cluster=cluster, found=found, listeners={one.pk: one for one in listeners}, at=at)


def _upload(cluster: Cluster, name: str, data: bytes) -> None:
    services.file_upload(cluster=cluster, name=name, data=data, password="", trusted=False, acting_user=None)
