"""Clusters, their sources and poll runs, and topics."""

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Client

CLUSTER_NAME = r"[a-z0-9-]{1,63}"


class Cluster(models.Model):
    """A Kafka cluster the portal watches. `secrets` holds encrypted properties (clusters.secrets)."""

    name = models.CharField(max_length=63, validators=[RegexValidator(rf"^{CLUSTER_NAME}\Z")])
    bootstrap = models.CharField(max_length=1000)
    properties = models.JSONField(default=dict)  # client properties that are not secret
    secrets = models.JSONField(default=dict)  # property -> ciphertext, bound to this row and property
    prometheus_url = models.CharField(max_length=500, blank=True, default="")
    controllers = models.CharField(max_length=1000, blank=True, default="")
    group_allow = models.JSONField(default=list)  # globs; empty = all
    group_deny = models.JSONField(default=list)
    topic_allow = models.JSONField(default=list)
    topic_deny = models.JSONField(default=list)
    kafka_cluster_id = models.CharField(max_length=64, blank=True, default="")
    brokers = models.JSONField(default=list)  # [{"id", "host", "port", "rack"}] as last read
    configuration_version = models.PositiveIntegerField(default=1)  # raised on change: workers rebuild their client
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(name__regex=rf"^{CLUSTER_NAME}$"), name="clusters_cluster_name_form"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(removed_at__isnull=True), name="clusters_cluster_name_once_while_present"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Source(models.Model):
    """One thing that is polled: (cluster, kind) with a period. State of the breaker and of the last success live here."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="sources")
    kind = models.CharField(max_length=40)
    period_seconds = models.PositiveSmallIntegerField(default=5)
    enabled = models.BooleanField(default=True)
    enqueued_slot = models.BigIntegerField(default=-1)  # newest slot a message was sent for
    claimed_slot = models.BigIntegerField(default=-1)  # newest slot any worker has claimed
    last_started_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)  # database time of the newest good reading
    last_error = models.CharField(max_length=500, blank=True, default="")
    last_error_code = models.CharField(max_length=60, blank=True, default="")
    entity_errors = models.JSONField(default=list)  # [{"entity", "code", "message", "since"}]
    breaker_state = models.CharField(
        max_length=10, default="closed", choices=[("closed", "closed"), ("open", "open"), ("half_open", "half_open")]
    )
    breaker_outcomes = models.CharField(max_length=10, blank=True, default="")  # ops_portal.lib.resilience.Breaker
    breaker_probe_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)  # first failure since the last success
    requests = models.JSONField(default=dict)  # of the newest run: API name -> count

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "kind"], name="clusters_source_once_per_cluster_kind"),
            models.CheckConstraint(
                condition=Q(period_seconds__gte=1) & Q(period_seconds__lte=3600), name="clusters_source_period_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.cluster_id}"


class PollRun(models.Model):
    """What one run of a source did. One row per claimed slot."""

    class Status(models.TextChoices):
        RUNNING = "running"
        OK = "ok"
        PARTIAL = "partial"  # some entities failed
        FAILED = "failed"
        SKIPPED = "skipped"  # breaker open

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="runs")
    slot = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=60, blank=True, default="")
    error = models.CharField(max_length=500, blank=True, default="")
    entity_errors = models.JSONField(default=list)
    counts = models.JSONField(default=dict)  # groups, partitions, seconds per stage ...
    requests = models.JSONField(default=dict)
    worker = models.CharField(max_length=80, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "slot"], name="clusters_pollrun_once_per_slot"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="clusters_pollrun_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return f"slot {self.slot} of source {self.source_id}"


class Topic(models.Model):
    """A topic by Kafka's topic id: a re-created topic is a new row."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="topics")
    name = models.CharField(max_length=249)
    topic_id = models.CharField(max_length=36, blank=True, default="")  # empty where the broker has no ids
    partitions = models.PositiveIntegerField(default=0)
    cleanup_policy = models.CharField(max_length=30, blank=True, default="")
    timestamp_type = models.CharField(max_length=20, blank=True, default="")
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    produce_rate = models.FloatField(null=True)  # records per second over the last minute
    first_seen_at = models.DateTimeField(db_default=Now())
    vanished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "name"],
                condition=Q(vanished_at__isnull=True),
                name="clusters_topic_once_while_present",
            )
        ]

    def __str__(self) -> str:
        return self.name
