"""Load tests that were brought in: what their files say, and how the reading of them goes on."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from clusters.load_tests.states import Status, Via
from clusters.models.clusters import Cluster


class LoadTest(models.Model):
    """One run of a load generator. Shapes of the JSON columns are those of `clusters.load_tests.run.Run`."""

    name = models.CharField(max_length=120)
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="load_tests")
    brought_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    brought_by_name = models.CharField(max_length=150)  # stays when the account goes
    via = models.CharField(max_length=10, choices=[(one.value, one.value) for one in Via])
    created_at = models.DateTimeField(db_default=Now())
    status = models.CharField(
        max_length=10, choices=[(one.value, one.label) for one in Status], default=Status.IMPORTING.value
    )
    error = models.CharField(max_length=500, blank=True, default="")  # why it failed

    directory = models.CharField(max_length=40)  # of its files while they are read, below PORTAL_VAR/load-tests
    cancel_asked = models.BooleanField(default=False)
    claimed_at = models.DateTimeField(null=True)  # a worker began to read
    told_at = models.DateTimeField(db_default=Now())  # progress was last heard of
    ended_at = models.DateTimeField(null=True)  # of the reading
    step = models.CharField(max_length=160, blank=True, default="")
    bytes_read = models.BigIntegerField(default=0)
    bytes_total = models.BigIntegerField(default=0)

    run_started_at = models.DateTimeField(null=True)
    run_ended_at = models.DateTimeField(null=True)
    files = models.JSONField(default=list)
    thresholds = models.JSONField(default=list)  # as they were asked for
    verdicts = models.JSONField(default=list)
    contradictions = models.JSONField(default=list)
    metrics = models.JSONField(default=list)
    series = models.JSONField(default=dict)
    problems = models.JSONField(default=list)
    problem_count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=[one.value for one in Status]), name="clusters_loadtest_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status=Status.IMPORTING.value, ended_at__isnull=True)
                | (~Q(status=Status.IMPORTING.value) & Q(ended_at__isnull=False)),
                name="clusters_loadtest_ended_once_over",
            ),
            models.CheckConstraint(
                condition=Q(run_started_at__isnull=True, run_ended_at__isnull=True)
                | Q(run_ended_at__gte=F("run_started_at")),
                name="clusters_loadtest_run_ordered",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.FAILED.value) | ~Q(error=""), name="clusters_loadtest_failure_said"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["-created_at"], name="clusters_loadtest_newest")]

    def __str__(self) -> str:
        return self.name
