"""What the portal found that a person may have to act on."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Client
from clusters.models.clusters import Cluster


class Finding(models.Model):
    """Something the portal found that a person may have to act on (interfaces.md 6). Later parts only add kinds."""

    dedupe_key = models.CharField(max_length=400)
    kind = models.CharField(max_length=60)
    severity = models.CharField(max_length=10, choices=[("warning", "warning"), ("critical", "critical")])
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="findings")
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    entity = models.CharField(max_length=400)
    title = models.CharField(max_length=400)
    reason = models.TextField(blank=True, default="")
    inputs = models.JSONField(default=dict)
    opened_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["dedupe_key"], condition=Q(closed_at__isnull=True), name="clusters_finding_once_while_open"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["-opened_at"], name="clusters_finding_opened")]

    def __str__(self) -> str:
        return self.title
