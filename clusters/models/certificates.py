"""Certificates: each one that was seen or is known by hand, where it is served or lies, when it was rotated, and policies."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Client
from clusters.chains.verdicts import ChainVerdict
from clusters.expiry import CertificateKind
from clusters.models.clusters import Cluster

KINDS = [(kind.value, kind.label) for kind in CertificateKind if kind is not CertificateKind.KEY]
VERDICTS = [(verdict.value, verdict.label) for verdict in ChainVerdict]


class Judged(models.Model):
    """What `clusters.chains` says of a chain. `links`: [{"fingerprint", "title", "origin", "defects": [text]}], leaf first."""

    verdict = models.CharField(max_length=20, choices=VERDICTS, default=ChainVerdict.UNVERIFIED.value)
    reason = models.TextField(blank=True, default="")
    failing_link = models.TextField(blank=True, default="")  # title of the first failing certificate
    links = models.JSONField(default=list)
    fails_at = models.DateTimeField(null=True)  # the chain's last good second, null when it does not hold or is unknown
    fails_with = models.TextField(blank=True, default="")  # title of the certificate that ends it then
    remarks = models.JSONField(default=list)  # odd without breaking it

    class Meta:
        abstract = True


class Certificate(Judged):
    """One certificate on one cluster, with facts as `clusters.chains.facts` gives them. By hand = without its bytes."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="certificates")
    fingerprint = models.CharField(max_length=64, blank=True, default="")  # SHA-256, hex; empty by hand
    der = models.BinaryField(null=True)
    kind = models.CharField(max_length=12, choices=KINDS)
    kind_set = models.BooleanField(default=False)  # by a person: what is observed does not change it
    subject = models.TextField()
    issuer = models.TextField(blank=True, default="")
    common_name = models.TextField(blank=True, default="")
    serial = models.TextField(blank=True, default="")  # hex
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    spki = models.CharField(max_length=64, blank=True, default="")
    facts = models.JSONField(default=dict)  # key, signature, usage, names, path length ... for the page
    parent = models.CharField(max_length=64, blank=True, default="")  # fingerprint of the issuer, where it is known
    principal = models.TextField(blank=True, default="")  # as Kafka sees its holder, "User:..."
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    owner = models.CharField(max_length=200, blank=True, default="")  # who renews it
    note = models.TextField(blank=True, default="")
    replaces = models.CharField(max_length=64, blank=True, default="")  # fingerprint of one with the same key
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "fingerprint"], condition=~Q(fingerprint=""), name="clusters_certificate_once"
            ),
            models.CheckConstraint(
                condition=Q(fingerprint="", der__isnull=True) | (~Q(fingerprint="") & Q(der__isnull=False)),
                name="clusters_certificate_bytes_or_by_hand",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["cluster", "not_after"], name="clusters_certificate_end")]

    def __str__(self) -> str:
        return self.common_name or self.subject


class TlsListener(models.Model):
    """A listener of the inventory: one found in a broker's configuration, or an endpoint that a person entered."""

    class Origin(models.TextChoices):
        KAFKA = "kafka"
        SETTING = "setting"  # from another setting of the cluster, e.g. its Prometheus
        HAND = "hand"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="tls_listeners")
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=KINDS, default=CertificateKind.BROKER.value)
    speaks = models.CharField(max_length=8, default="kafka", choices=[("kafka", "kafka"), ("http", "http")])
    origin = models.CharField(max_length=8, choices=Origin.choices)
    broker = models.IntegerField(null=True)
    name = models.CharField(max_length=120, blank=True, default="")  # Kafka's name of the listener
    wants = models.CharField(max_length=12, blank=True, default="")  # ssl.client.auth as configured
    keystore = models.TextField(blank=True, default="")  # as configured, on the broker's own disk
    requested_at = models.DateTimeField(null=True)  # when somebody last asked for a probe
    probed_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "host", "port"],
                condition=Q(removed_at__isnull=True),
                name="clusters_tlslistener_once",
            ),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="clusters_tlslistener_port_range"),
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class TlsAddress(Judged):
    """What one address of a listener showed last, of each key type that is asked for. After a failure the last chain stays, with the time it was read."""

    listener = models.ForeignKey(TlsListener, on_delete=models.CASCADE, related_name="addresses")
    address = models.CharField(max_length=64, blank=True, default="")  # empty = the name did not resolve
    key_type = models.CharField(
        max_length=8, blank=True, default=""
    )  # that was asked for; empty = what is shown by preference
    leaf = models.ForeignKey(Certificate, null=True, on_delete=models.SET_NULL, related_name="served")
    chain = models.JSONField(default=list)  # fingerprints as sent
    version = models.CharField(max_length=12, blank=True, default="")
    client_auth = models.CharField(max_length=10, blank=True, default="")
    accepted_cas = models.JSONField(default=list)
    error = models.CharField(max_length=40, blank=True, default="")  # of the newest probe
    message = models.TextField(blank=True, default="")
    failing_since = models.DateTimeField(null=True)
    probed_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)  # newest probe that brought a chain
    changed_at = models.DateTimeField(null=True)  # when this leaf was first seen here

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["listener", "address", "key_type"], name="clusters_tlsaddress_once_per_listener"
            )
        ]

    def __str__(self) -> str:
        return f"{self.address} of {self.listener_id}"


class CertificateFile(models.Model):
    """A file with certificates: uploaded, or read again and again from a path that the settings name."""

    class Origin(models.TextChoices):
        UPLOAD = "upload"
        PATH = "path"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="certificate_files")
    name = models.CharField(max_length=1000)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    trusted = models.BooleanField(default=False)  # its certificates are anchors
    form = models.CharField(max_length=8, blank=True, default="")
    digest = models.CharField(max_length=64, blank=True, default="")  # SHA-256 of the content
    fingerprints = models.JSONField(default=list)  # in the order of the file
    problems = models.JSONField(default=list)
    error = models.CharField(max_length=40, blank=True, default="")
    message = models.TextField(blank=True, default="")
    read_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)  # when this content was first seen
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "name"], condition=Q(removed_at__isnull=True), name="clusters_certificatefile_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Rotation(models.Model):
    """One line of the rotation log, written by observation alone: a listener serves another leaf, or a key has a new version.

    The change happened between `old_seen_at` and `at`. A trigger refuses change and removal.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    at = models.DateTimeField()
    old_seen_at = models.DateTimeField()
    kind = models.CharField(max_length=12)  # of the certificate, or `key`
    place = models.CharField(max_length=400)  # host:port (address), or the key's name
    broker = models.IntegerField(null=True)
    subject = models.TextField(blank=True, default="")
    old_serial = models.TextField(blank=True, default="")
    new_serial = models.TextField(blank=True, default="")
    old_fingerprint = models.CharField(max_length=64, blank=True, default="")
    new_fingerprint = models.CharField(max_length=64, blank=True, default="")
    old_not_after = models.DateTimeField(null=True)
    new_not_after = models.DateTimeField(null=True)
    same_key = models.BooleanField(null=True)  # renewed, not rotated
    days_early = models.FloatField(null=True)  # that the old one had left
    healthy = models.BooleanField(null=True)  # nothing offline, nothing worse than before; null = nothing was measured
    health = models.JSONField(
        default=list
    )  # [{"name", "text", "good": bool|null, "during", "before", "unit"}] of the window

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(at__gte=F("old_seen_at")), name="clusters_rotation_window_ordered")
        ]
        indexes: ClassVar = [models.Index(fields=["cluster", "-at"], name="clusters_rotation_at")]

    def __str__(self) -> str:
        return f"{self.place}: {self.old_serial} -> {self.new_serial}"

    @property
    def harmed(self) -> str:
        """What the window showed: "" = no harm, `offline` = partitions were, `worse` = something was worse than before."""
        bad = {figure["name"] for figure in self.health if figure["good"] is False}
        return "offline" if "offline_partitions" in bad else "worse" if bad else ""


class ServiceKey(models.Model):
    """A key of the key service; the portal knows when it was rotated, never the key."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="service_keys")
    name = models.CharField(max_length=200)
    version = models.CharField(max_length=200, blank=True, default="")
    rotated_at = models.DateTimeField()
    rotation_days = models.FloatField(default=90)
    manual = models.BooleanField(default=False)  # asymmetric, HMAC and imported keys do not rotate by themselves
    owner = models.CharField(max_length=200, blank=True, default="")
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    entered_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "name"], condition=Q(removed_at__isnull=True), name="clusters_servicekey_once"
            ),
            models.CheckConstraint(condition=Q(rotation_days__gt=0), name="clusters_servicekey_days_positive"),
        ]

    def __str__(self) -> str:
        return self.name


class CertificatePolicy(models.Model):
    """Days before the end at which certificates of a kind are to be rotated, and at which it is an alarm. No row = default."""

    kind = models.CharField(max_length=12, choices=KINDS, unique=True)
    rotate_days = models.FloatField()
    alarm_days = models.FloatField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(alarm_days__gte=14, rotate_days__gte=F("alarm_days"), rotate_days__lte=3660),
                name="clusters_certificatepolicy_ordered",
            )
        ]

    def __str__(self) -> str:
        return self.kind
