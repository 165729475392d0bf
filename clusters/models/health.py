"""Health of clusters: what each source says now, what happened, and the settings that a person gives.

History of signals is in two tables without a model, partitioned by day (`clusters.services.health_history`).
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from clusters.health.states import Health, HealthEventKind, Source
from clusters.models.clusters import Cluster

_STATES = [(state.value, state.label) for state in Health]


class HealthSettings(models.Model):
    """What the portal cannot find out by itself. A cluster without a row has the defaults."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="health_settings")
    matchers = models.JSONField(default=dict)  # label -> value that sets this cluster's series apart; empty = found out
    host_matchers = models.JSONField(default=dict)  # likewise for node_exporter
    canary_topic = models.CharField(max_length=249, blank=True, default="")  # empty = no canary
    rest_queries = models.JSONField(default=list)  # [{"name", "title", "query", "unit", "warn", "critical"}]

    def __str__(self) -> str:
        return f"health settings of {self.cluster_id}"


class ClusterHealth(models.Model):
    """The newest figures of a cluster. Each source writes columns of its own; shapes are in `clusters.selectors.health`."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="health")
    verdict = models.CharField(max_length=10, choices=_STATES, default=Health.UNKNOWN.value)
    verdict_since = models.DateTimeField(null=True)
    known_brokers = models.JSONField(default=list)  # brokers that were seen, also those that are down
    brokers = models.JSONField(default=list)  # rows of the broker table as the metadata shows them
    figures = models.JSONField(default=dict)  # totals of the metadata
    log_dirs = models.JSONField(default=dict)  # broker id -> directories
    brokers_at = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(null=True)  # up to here availability is counted
    dialect = models.CharField(max_length=20, blank=True, default="")
    target = models.JSONField(default=dict)  # matchers that were found out
    instances = models.JSONField(default=dict)  # instance -> broker id, or null
    broker_figures = models.JSONField(default=dict)  # broker id -> figures of Prometheus
    performance = models.JSONField(default=dict)  # throughput, latency, phases, storage, REST tier
    prometheus_at = models.DateTimeField(null=True)
    detected_at = models.DateTimeField(null=True)
    warnings = models.JSONField(default=list)  # of Prometheus: its answers were partial

    def __str__(self) -> str:
        return f"health of {self.cluster_id}"


class SignalState(models.Model):
    """What one source says of one signal, with what its next judgement needs to know."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="signals")
    signal = models.CharField(max_length=40)
    source = models.CharField(max_length=12, choices=[(source.value, source.value) for source in Source])
    state = models.CharField(max_length=10, choices=_STATES)
    value = models.FloatField(null=True)
    entity = models.CharField(max_length=200, blank=True, default="")  # the one whose value it is, '' = the cluster
    reason = models.TextField(blank=True, default="")
    query = models.TextField(blank=True, default="")
    observed_at = models.DateTimeField()
    since = models.DateTimeField()  # in this state
    parts = models.JSONField(default=list)  # [[entity, state, value]], worst first
    memory = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "signal", "source"], name="clusters_signalstate_once_per_source")
        ]

    def __str__(self) -> str:
        return f"{self.signal} of {self.cluster_id}: {self.state}"


class HealthEvent(models.Model):
    """Something that happened to a cluster between `at_earliest` and `at`: never finer than the poll."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="health_events")
    at_earliest = models.DateTimeField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=24, choices=[(kind.value, kind.label) for kind in HealthEventKind])
    broker = models.IntegerField(null=True)
    topic = models.CharField(max_length=249, blank=True, default="")
    count = models.IntegerField(default=1)
    text = models.CharField(max_length=500)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(at__gte=F("at_earliest")), name="clusters_healthevent_window_ordered")
        ]
        indexes: ClassVar = [models.Index(fields=["cluster", "-at"], name="clusters_healthevent_at")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.cluster_id}"


class TopicHealth(models.Model):
    """A topic as the metadata, its settings and Prometheus show it."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="topic_health")
    name = models.CharField(max_length=249)
    partitions = models.PositiveIntegerField(default=0)
    replication = models.PositiveSmallIntegerField(default=0)
    min_in_sync = models.PositiveSmallIntegerField(null=True)
    under_replicated = models.PositiveIntegerField(default=0)
    under_min = models.PositiveIntegerField(default=0)
    offline = models.PositiveIntegerField(default=0)
    reassigning = models.PositiveIntegerField(default=0)
    layout = models.JSONField(default=list)  # [[partition, leader, [replicas], [in sync]]]
    layout_at = models.DateTimeField(null=True)  # when the layout changed last
    offsets = models.JSONField(default=dict)  # partition -> [start, end]
    offsets_at = models.DateTimeField(null=True)
    settings = models.JSONField(default=dict)
    settings_at = models.DateTimeField(null=True)
    size_bytes = models.FloatField(null=True)  # on all brokers
    growth_bytes_per_hour = models.FloatField(null=True)
    bytes_in_rate = models.FloatField(null=True)  # a second
    bytes_out_rate = models.FloatField(null=True)
    records_in_rate = models.FloatField(null=True)
    figures_at = models.DateTimeField(null=True)  # of the sizes and rates

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "name"], name="clusters_topichealth_once_per_cluster")
        ]

    def __str__(self) -> str:
        return self.name


class PlatformSloCount(models.Model):
    """Seconds of five minutes in which a target of the platform was met, missed, or could not be told."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    slo = models.CharField(max_length=40)
    at = models.DateTimeField()  # begin of the five minutes
    good = models.FloatField(default=0)
    bad = models.FloatField(default=0)
    unknown = models.FloatField(default=0)
    worst = models.FloatField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "slo", "at"], name="clusters_platformslocount_once")
        ]

    def __str__(self) -> str:
        return f"{self.slo} of {self.cluster_id} at {self.at}"


class CanaryResult(models.Model):
    """The newest canary record of a cluster and whether it was acknowledged."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="canary")
    at = models.DateTimeField(db_default=Now())
    seconds = models.FloatField(null=True)  # null = not acknowledged
    error = models.CharField(max_length=300, blank=True, default="")
    acknowledged_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"canary of {self.cluster_id}"
