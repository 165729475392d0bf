"""Certificates for the browser tests: brokers' listeners, a rotation, drift, a client's own, a key. One listener is a real one."""

from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from clusters.gateways.tls import ClientAuth, Probed
from clusters.models import Cluster, TlsListener
from clusters.services import certificates as services
from clusters.services.certificates.judging import certificates_judge
from clusters.services.certificates.observe import probes_store
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from tests.clusters.certificates.make import CLIENT, Made, authority, leaf, root
from tests.clusters.certificates.servers import context_of, serving

DAY = timedelta(days=1)


class Gate:
    """A broker's listener on loopback that serves a certificate and can be given another."""

    def __init__(self, cluster: Cluster, issuer: Made, now: datetime) -> None:
        self.ends = ExitStack()
        self.place = Path(self.ends.enter_context(TemporaryDirectory()))
        self.issuer, self.now = issuer, now
        self.context = context_of([self._leaf(), issuer], self.place)
        self.listener = TlsListener.objects.create(
            cluster=cluster, host="127.0.0.1", port=self.ends.enter_context(serving(self.context)), broker=4, name="GATE",
            wants="none", origin=TlsListener.Origin.KAFKA,
        )  # fmt: skip
        self.look()

    def rotate(self) -> None:
        """Serve a new certificate from now on, and let the last look at it be long ago."""
        own = self._leaf()
        path = self.place / "next.pem"
        path.write_bytes(own.key_pem + own.pem + self.issuer.pem)
        self.context.load_cert_chain(path)
        TlsListener.objects.filter(pk=self.listener.pk).update(requested_at=None, probed_at=None)

    def look(self) -> None:
        """What a worker does when somebody has asked for it."""
        services.listeners_probe(listener_ids=[self.listener.pk])

    def _leaf(self) -> Made:
        begins, ends = self.now - 60 * DAY, self.now + 300 * DAY
        return leaf(self.issuer, "kafka-4", dns=(), ips=["127.0.0.1"], begins=begins, ends=ends)


def certificates(cluster: Cluster) -> Gate:
    """Seed `cluster`; the listener that is real."""
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
    return Gate(cluster, low, now)


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
