"""Current state of consumer groups, settings, SLOs and events. History tables are made by SQL (lag/history)."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Client, User
from clusters.models import Cluster, Topic
from clusters.ports import GroupState, GroupType
from lag.verdicts import EventKind, Verdict


class ConsumerGroup(models.Model):
    """The newest summary of one group. Seconds are stored as the moment since when records are unread, so that a group
    in which nothing moves needs no write: lag_seconds = time of the newest reading - unread_since."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="groups")
    name = models.TextField()
    type = models.CharField(max_length=10, choices=[(word.value, word.value) for word in GroupType])
    state = models.CharField(max_length=24, choices=[(word.value, word.value) for word in GroupState])
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    client_conflict = models.BooleanField(default=False)  # two clients' globs match: it belongs to none

    verdict = models.CharField(max_length=20, choices=[(word.value, word.label) for word in Verdict])
    severity = models.PositiveSmallIntegerField()  # Verdict.severity, 0 = worst, for sorting
    reason = models.TextField(blank=True, default="")
    rule = models.CharField(max_length=60, blank=True, default="")
    inputs = models.JSONField(default=dict)
    verdict_since = models.DateTimeField()
    members = models.PositiveIntegerField(null=True)
    worst_topic = models.CharField(max_length=249, blank=True, default="")
    lag_records = models.BigIntegerField(null=True)
    lag_records_max = models.BigIntegerField(null=True)
    unread_since = models.DateTimeField(null=True)  # null with method caught_up = 0 s; null without a method = unknown
    lag_seconds_bound = models.FloatField(null=True)
    lag_seconds_method = models.CharField(max_length=12, blank=True, default="")
    produce_rate = models.FloatField(null=True)
    consume_rate = models.FloatField(null=True)
    trend = models.FloatField(null=True)
    catch_up_seconds = models.FloatField(null=True)
    flags = ArrayField(models.CharField(max_length=20), default=list)
    error_code = models.CharField(max_length=60, blank=True, default="")  # this group's own failure, e.g. not_allowed
    error = models.CharField(max_length=500, blank=True, default="")
    member_list = models.JSONField(default=list)  # [{"member_id", "client_id", "host", "partitions"}]
    # The newest poll read this group well: its time is LagState.observed_at, else the group's own `observed_at`.
    fresh = models.BooleanField(default=True)
    observed_at = models.DateTimeField()
    appeared_at = models.DateTimeField(db_default=Now())
    vanished_at = models.DateTimeField(null=True, blank=True)
    version = models.BigIntegerField(default=0)  # LagState.version that wrote this row

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "name"], condition=Q(vanished_at__isnull=True), name="lag_group_once_while_present"
            ),
            models.CheckConstraint(
                condition=Q(lag_records__isnull=True) | Q(lag_records__gte=0), name="lag_group_lag_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(type__in=[GroupType.CLASSIC, GroupType.CONSUMER])
                | (Q(lag_records__isnull=True) & Q(members__isnull=True) & Q(unread_since__isnull=True)),
                name="lag_group_unmeasured_has_no_numbers",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["cluster", "severity", "name"], name="lag_group_board")]

    def __str__(self) -> str:
        return self.name


class LagState(models.Model):
    """The newest poll of a cluster. A worker's memory of the cluster is good while it knows `version`; a poll that finds
    another version than it started from was overtaken and is dropped."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="lag_state", primary_key=True)
    version = models.BigIntegerField(default=0)
    observed_at = models.DateTimeField(null=True)
    listed_at = models.DateTimeField(null=True)  # newest whole listing of groups
    # Row ids whose knots or memories are older than this poll: what was loaded of them says nothing of `observed_at`.
    unsaved_topics = ArrayField(models.BigIntegerField(), default=list)
    unsaved_groups = ArrayField(models.BigIntegerField(), default=list)

    def __str__(self) -> str:
        return f"lag of {self.cluster_id}"


class GroupTopic(models.Model):
    """Per-partition figures of one group on one topic. Written only when changed; fields as lag.compute.TopicResult."""

    group = models.ForeignKey(ConsumerGroup, on_delete=models.CASCADE, related_name="topics")
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="groups")
    lag_records = models.BigIntegerField(null=True)
    unread_since = models.DateTimeField(null=True)
    method = models.CharField(max_length=12, blank=True, default="")
    consume_rate = models.FloatField(null=True)
    verdict = models.CharField(max_length=20, default=Verdict.OK.value)
    # orjson of {"members": [[member id, host]], "partitions": [[partition, committed, start, end, high watermark, lag
    # records, unread since (epoch seconds), bound, method, verdict, flags, index into members or null]]}
    rows = models.BinaryField(default=bytes)
    version = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "topic"], name="lag_grouptopic_once_per_group_topic")
        ]

    def __str__(self) -> str:
        return f"group {self.group_id} on topic {self.topic_id}"


class StoredMemory(models.Model):
    """lag.compute.GroupMemory of a group, orjson: what the verdicts remember from poll to poll, whichever worker polls."""

    group = models.OneToOneField(ConsumerGroup, on_delete=models.CASCADE, related_name="+", primary_key=True)
    data = models.BinaryField()
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"memory of group {self.group_id}"


class StoredKnots(models.Model):
    """lag.compute's knots of one topic, orjson: (offset, time) per partition."""

    topic = models.OneToOneField(Topic, on_delete=models.CASCADE, related_name="+", primary_key=True)
    data = models.BinaryField()
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"knots of topic {self.topic_id}"


class GroupSetting(models.Model):
    """What Kafka does not tell of a group, by glob; the longest matching glob wins (manage.py set_group)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="group_settings")
    glob = models.CharField(max_length=260)
    read_committed = models.BooleanField(default=False)
    commit_interval_seconds = models.FloatField(null=True, blank=True)
    target_seconds = models.FloatField(null=True, blank=True)
    muted_until = models.DateTimeField(null=True, blank=True)
    mute_reason = models.CharField(max_length=300, blank=True, default="")
    muted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "glob"], name="lag_groupsetting_once_per_cluster_glob"),
            models.CheckConstraint(
                condition=Q(muted_until__isnull=True) | ~Q(mute_reason=""), name="lag_groupsetting_mute_has_reason"
            ),
            models.CheckConstraint(
                condition=Q(commit_interval_seconds__isnull=True) | Q(commit_interval_seconds__gt=0),
                name="lag_groupsetting_interval_positive",
            ),
            models.CheckConstraint(
                condition=Q(target_seconds__isnull=True) | Q(target_seconds__gt=0),
                name="lag_groupsetting_target_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.glob


class Slo(models.Model):
    """A promise on the lag of a group or a pattern of groups: records, seconds or both."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="slos")
    name = models.CharField(max_length=120)
    glob = models.CharField(max_length=260)
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    max_records = models.BigIntegerField(null=True, blank=True)
    max_seconds = models.FloatField(null=True, blank=True)
    for_seconds = models.FloatField(default=30)  # sustained this long before a breach opens
    objective = models.FloatField(default=0.999)  # share of time within the promise, for the error budget
    severity = models.CharField(
        max_length=10, default="critical", choices=[("warning", "warning"), ("critical", "critical")]
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "name"], name="lag_slo_once_per_cluster_name"),
            models.CheckConstraint(
                condition=Q(max_records__isnull=False) | Q(max_seconds__isnull=False), name="lag_slo_has_a_limit"
            ),
            models.CheckConstraint(condition=Q(objective__gt=0) & Q(objective__lt=1), name="lag_slo_objective_range"),
        ]

    def __str__(self) -> str:
        return self.name


class SloState(models.Model):
    """How one group stands against one SLO: since when over, the open breach, and counted seconds for the budget."""

    slo = models.ForeignKey(Slo, on_delete=models.CASCADE, related_name="states")
    group = models.ForeignKey(ConsumerGroup, on_delete=models.CASCADE, related_name="slo_states")
    over_since = models.DateTimeField(null=True, blank=True)
    within_since = models.DateTimeField(null=True, blank=True)
    breached_at = models.DateTimeField(null=True, blank=True)  # set while a breach is open
    counted_seconds = models.FloatField(default=0)
    breached_seconds = models.FloatField(default=0)
    counted_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["slo", "group"], name="lag_slostate_once_per_slo_group"),
            models.CheckConstraint(
                condition=Q(breached_seconds__lte=F("counted_seconds")), name="lag_slostate_breached_within_counted"
            ),
        ]

    def __str__(self) -> str:
        return f"slo {self.slo_id} of group {self.group_id}"


class GroupEvent(models.Model):
    """Something that happened to a group, with the values before and after. `at` is the latest, `at_earliest` the earliest
    moment it can have happened: never finer than the poll."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(ConsumerGroup, on_delete=models.CASCADE, related_name="events")
    at_earliest = models.DateTimeField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=20, choices=[(word.value, word.label) for word in EventKind])
    topic = models.CharField(max_length=249, blank=True, default="")
    partition = models.IntegerField(null=True)
    member = models.CharField(max_length=400, blank=True, default="")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    records = models.BigIntegerField(null=True)
    seconds = models.FloatField(null=True)  # longest possible length, for the end of a rebalance

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(at__gte=F("at_earliest")), name="lag_event_window_ordered")
        ]
        indexes: ClassVar = [
            models.Index(fields=["group", "-at"], name="lag_event_group_at"),
            models.Index(fields=["cluster", "-at"], name="lag_event_cluster_at"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of group {self.group_id}"


class HistoryStatus(models.Model):
    """How the keeping of history fares: one row per job (pack, roll_up, partitions), shown beside the sources."""

    job = models.CharField(max_length=20, unique=True)
    last_success_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")
    failing_since = models.DateTimeField(null=True)
    counts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.job


class HistoryProgress(models.Model):
    """Up to where a cluster's history of one level is written; the row is the lock of the job that goes on from there."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    level = models.CharField(max_length=10)  # raw | minute | hour
    done_until = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "level"], name="lag_historyprogress_once_per_cluster_level")
        ]

    def __str__(self) -> str:
        return f"{self.level} history of {self.cluster_id}"


class HistoryCycle(models.Model):
    """The samples of one poll that no block holds yet (lag.history.blocks). Shard 0 = group totals, 1... = topics."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    shard = models.PositiveSmallIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "shard", "at"], name="lag_historycycle_once_per_cycle")
        ]

    def __str__(self) -> str:
        return f"samples of {self.cluster_id} at {self.at}"


class HistoryCoverage(models.Model):
    """When a cluster was polled well within one minute: milliseconds after it. A minute without a row is a gap."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    minute = models.DateTimeField()
    offsets = ArrayField(models.IntegerField())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "minute"], name="lag_historycoverage_once_per_minute")
        ]

    def __str__(self) -> str:
        return f"polls of {self.cluster_id} in {self.minute}"
