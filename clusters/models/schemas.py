"""Schema registries, their subjects, and schemas that were offered and refused."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.models import Client
from clusters.models.clusters import Cluster


class SchemaRegistry(models.Model):
    """A registry with Confluent's API, of one cluster. `secrets` holds user name and password, encrypted (clusters.secrets)."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="schema_registry")
    url = models.CharField(max_length=500)
    secrets = models.JSONField(default=dict)
    compatibility = models.CharField(max_length=40, blank=True, default="")  # of subjects without one of their own
    read_at = models.DateTimeField(null=True, blank=True)  # when the list of subjects was last read whole

    def __str__(self) -> str:
        return f"registry of {self.cluster_id}"


class SchemaSubject(models.Model):
    """A subject as last read. `schema` is the text of its latest version."""

    registry = models.ForeignKey(SchemaRegistry, on_delete=models.CASCADE, related_name="subjects")
    name = models.CharField(max_length=500)
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    versions = models.JSONField(default=list)  # numbers
    version = models.PositiveIntegerField(null=True)
    schema_id = models.BigIntegerField(null=True)
    schema_type = models.CharField(max_length=20, blank=True, default="")
    schema = models.TextField(blank=True, default="")
    compatibility = models.CharField(max_length=40, blank=True, default="")  # in force
    compatibility_own = models.BooleanField(default=False)  # False = the registry's default is in force
    read_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True)  # when the portal first saw this latest version
    error = models.CharField(max_length=500, blank=True, default="")
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["registry", "name"], name="clusters_schemasubject_once"),
        ]

    def __str__(self) -> str:
        return self.name


class SchemaOffer(models.Model):
    """A schema that somebody offered, as a check or an ingest brought it, with the answer."""

    class Via(models.TextChoices):
        CHECK = "check"
        REPORT = "report"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="schema_offers")
    subject = models.CharField(max_length=500)
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    via = models.CharField(max_length=10, choices=Via.choices)
    schema_type = models.CharField(max_length=20, blank=True, default="")
    schema = models.TextField()
    compatible = models.BooleanField()
    reason = models.TextField(blank=True, default="")
    accepted_version = models.PositiveIntegerField(null=True)  # what it was held against
    accepted_schema = models.TextField(blank=True, default="")
    actor_name = models.CharField(max_length=150, blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [models.Index(fields=["cluster", "subject", "-at"], name="clusters_schemaoffer_newest")]

    def __str__(self) -> str:
        return f"offer for {self.subject}"
