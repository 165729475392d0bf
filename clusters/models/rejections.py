"""What was refused: series, their minutes, totals, and how far each feed has been read."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Client
from clusters.models.clusters import Cluster
from clusters.rejections.types import Kind, Origin


class Rejection(models.Model):
    """Equal refusals folded into one row. `key` is a hash of everything but when and how many (clusters.rejections.fold)."""

    key = models.CharField(max_length=32, unique=True)
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="rejections")
    origin = models.CharField(max_length=10, choices=[(one.value, one.value) for one in Origin])
    kind = models.CharField(max_length=20, choices=[(one.value, one.label) for one in Kind])
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    client_named = models.BooleanField(default=False)  # by whoever reported it: rules of ownership do not change it
    principal = models.TextField(blank=True, default="")
    resource_type = models.CharField(max_length=40, blank=True, default="")
    resource = models.TextField(blank=True, default="")
    pattern = models.CharField(max_length=20, blank=True, default="")
    subject = models.TextField(blank=True, default="")
    host = models.CharField(max_length=255, blank=True, default="")
    listener = models.CharField(max_length=255, blank=True, default="")
    operation = models.CharField(max_length=60, blank=True, default="")
    request = models.CharField(max_length=60, blank=True, default="")
    rule = models.TextField(blank=True, default="")
    count = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(count__gte=1), name="clusters_rejection_happened"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-last_at"], name="clusters_rejection_last"),
            models.Index(fields=["client", "-last_at"], name="clusters_rejection_client_last"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.principal or self.host} {self.operation} {self.resource or self.subject}"


class RejectionMinute(models.Model):
    """How often within one minute."""

    rejection = models.ForeignKey(Rejection, on_delete=models.CASCADE, related_name="minutes")
    at = models.DateTimeField()  # start of the minute
    count = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rejection", "at"], name="clusters_rejectionminute_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["at"], name="clusters_rejectionminute_at")]

    def __str__(self) -> str:
        return f"{self.count} in the minute of {self.at}"


class RejectionTotal(models.Model):
    """Everything ever counted for a client, for /metrics: it never goes down, whatever is pruned. No client = nobody's."""

    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20)
    count = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "client", "kind"], nulls_distinct=False, name="clusters_rejectiontotal_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.kind} of {self.client_id}"


class RejectionFeed(models.Model):
    """A file that a shipper sends. What lies before `position` has been counted; a batch that begins elsewhere is not."""

    stream = models.CharField(max_length=200)  # shipper's name of the file's content: survives rotation, not truncation
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="rejection_feeds")
    label = models.CharField(max_length=400, blank=True, default="")  # host and file, for people
    position = models.BigIntegerField(default=0)  # bytes
    lines = models.BigIntegerField(default=0)
    unread = models.BigIntegerField(default=0)
    unread_line = models.TextField(blank=True, default="")  # the newest that could not be read
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "stream"], name="clusters_rejectionfeed_once"),
        ]

    def __str__(self) -> str:
        return self.label or self.stream


class RejectionBatch(models.Model):
    """A batch that was counted, by the id its sender gave it: the same id again is not."""

    batch = models.CharField(max_length=200, unique=True)
    received_at = models.DateTimeField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return self.batch


class RejectionCounter(models.Model):
    """The last value of a counter series in Prometheus, so that what it grew by can be told."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    series = models.CharField(max_length=500)  # name and labels
    value = models.FloatField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "series"], name="clusters_rejectioncounter_once"),
        ]

    def __str__(self) -> str:
        return self.series
