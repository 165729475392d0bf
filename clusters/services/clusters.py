"""Adding, changing, testing and removing clusters, each with its audit row. Secrets are sealed and never in audit or log."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts.models import User
from accounts.services import audit_record
from clusters import secrets
from clusters.gateways import prometheus
from clusters.gateways.connect import properties_of
from clusters.gateways.kafka_probe import ConnectionTest, probe_connection
from clusters.gateways.kafka_process import end_children
from clusters.models import CLUSTER_NAME, Cluster, Finding, SchemaRegistry, Source
from clusters.ports import GatewayFailed
from clusters.properties import Properties, PropertiesRefused, check_bootstrap
from clusters.services.findings import finding_close
from clusters.services.schedule import sources_ensure
from ops_portal.lib.database import database_clock
from ops_portal.lib.live import publish

logger = logging.getLogger(__name__)
TABLE = Cluster._meta.db_table
_GLOB_LIMIT = 260


@dataclass(frozen=True, slots=True)
class Filters:
    """Globs (case-sensitive, `*` and `?`) of groups and topics to read; an empty allow list means all, deny wins."""

    group_allow: tuple[str, ...] = ()
    group_deny: tuple[str, ...] = ()
    topic_allow: tuple[str, ...] = ()
    topic_deny: tuple[str, ...] = ()


def cluster_name_check(*, name: str) -> None:
    """Whether a cluster can be added under this name. Raises ValidationError."""
    if not re.fullmatch(CLUSTER_NAME, name):
        raise ValidationError({"name": ["A name has 1 to 63 lower-case letters, digits and dashes."]})
    if Cluster.objects.filter(name=name, removed_at__isnull=True).exists():
        raise ValidationError({"name": [f"There is a cluster named {name} already."]})


@transaction.atomic(durable=True)
def cluster_add(
    *,
    name: str,
    bootstrap: str,
    properties: Properties | None = None,
    prometheus_url: str = "",
    controllers: str = "",
    filters: Filters | None = None,
    acting_user: User | None,
) -> Cluster:
    """Add a cluster and a source of every kind. Raises ValidationError with field -> texts."""
    cluster_name_check(name=name)
    properties = properties or Properties()
    cluster = Cluster(name=name)
    _fill(cluster, bootstrap, prometheus_url, controllers, filters or Filters())
    cluster.properties = dict(properties.plain)
    _clean(cluster)
    try:
        with transaction.atomic():
            cluster.save()
    except IntegrityError as error:  # somebody else was faster
        raise ValidationError({"name": [f"There is a cluster named {name} already."]}) from error
    cluster.secrets = secrets.seal_all(properties.secret, table=TABLE, pk=cluster.pk)
    cluster.save(update_fields=["secrets"])
    sources_ensure(cluster=cluster)
    _record("clusters.cluster_added", cluster, None, _shown(cluster), acting_user)
    _publish()
    return cluster


@transaction.atomic(durable=True)
def cluster_change(
    *,
    cluster: Cluster,
    bootstrap: str,
    properties: Properties,
    prometheus_url: str,
    controllers: str,
    filters: Filters,
    keep_secrets: bool = True,
    acting_user: User | None,
) -> Cluster:
    """Change a cluster; every worker builds a new client for the next run.

    With `keep_secrets` a secret that is not given stays as it is, for forms that never show it. Raises ValidationError.
    """
    cluster = Cluster.objects.select_for_update().get(pk=cluster.pk, removed_at__isnull=True)
    before = _shown(cluster)
    _fill(cluster, bootstrap, prometheus_url, controllers, filters)
    cluster.properties = dict(properties.plain)
    sealed = secrets.seal_all(properties.secret, table=TABLE, pk=cluster.pk)
    cluster.secrets = {**cluster.secrets, **sealed} if keep_secrets else sealed
    cluster.configuration_version += 1
    _clean(cluster)
    cluster.save()
    # What the old settings led to says nothing about the new ones.
    Source.objects.filter(cluster=cluster).update(breaker_state="closed", breaker_outcomes="", breaker_probe_at=None)
    _record("clusters.cluster_changed", cluster, before, _shown(cluster), acting_user)
    transaction.on_commit(lambda: end_children(cluster.pk))
    _publish()
    return cluster


@transaction.atomic(durable=True)
def cluster_remove(*, cluster: Cluster, acting_user: User | None) -> None:
    """Stop watching a cluster: it goes from every page at once, its open findings close, its name is free again."""
    cluster = Cluster.objects.select_for_update().get(pk=cluster.pk, removed_at__isnull=True)
    for key in Finding.objects.filter(cluster=cluster, closed_at__isnull=True).values_list("dedupe_key", flat=True):
        finding_close(dedupe_key=key)
    Source.objects.filter(cluster=cluster).update(enabled=False)
    _record("clusters.cluster_removed", cluster, _shown(cluster), None, acting_user)
    # Credentials of a cluster nobody watches are of no use to anybody but a thief.
    Cluster.objects.filter(pk=cluster.pk).update(removed_at=Now(), secrets={})
    SchemaRegistry.objects.filter(cluster=cluster).update(secrets={})
    transaction.on_commit(lambda: end_children(cluster.pk))
    _publish()


@transaction.atomic(durable=True)
def source_change(*, source: Source, period_seconds: int, enabled: bool, acting_user: User | None) -> Source:
    """Change how often a source is read, or whether. Raises ValidationError."""
    source = Source.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=source.pk)
    if not 1 <= period_seconds <= 3600:
        raise ValidationError({"period_seconds": ["Must be from 1 to 3600 seconds."]})
    before = {"period_seconds": source.period_seconds, "enabled": source.enabled}
    if period_seconds != source.period_seconds:
        source.claimed_slot = source.enqueued_slot = -1  # slots of another length are counted anew
    source.period_seconds, source.enabled = period_seconds, enabled
    source.save(update_fields=["period_seconds", "enabled", "claimed_slot", "enqueued_slot"])
    audit_record(
        action="clusters.source_changed",
        entity=f"source {source.kind} of {source.cluster.name}",
        before=before,
        after={"period_seconds": period_seconds, "enabled": enabled},
        acting_user=acting_user,
    )
    _publish()
    return source


@transaction.atomic(durable=True)
def secrets_rotate() -> int:
    """Seal every stored secret with the newest key; returns how many were sealed anew. Raises SecretUnreadable."""
    count = 0
    rows: list[Cluster | SchemaRegistry] = [
        *Cluster.objects.select_for_update().exclude(secrets={}),
        *SchemaRegistry.objects.select_for_update().exclude(secrets={}),
    ]
    for row in rows:
        table = row._meta.db_table
        old = {name: text for name, text in row.secrets.items() if not secrets.sealed_with_newest(text)}
        if old:
            texts = secrets.unseal_all(old, table=table, pk=row.pk)
            row.secrets = {**row.secrets, **secrets.seal_all(texts, table=table, pk=row.pk)}
            row.save(update_fields=["secrets"])
            count += len(old)
    if count:
        audit_record(
            action="clusters.secrets_rotated",
            entity="field keys",
            before=None,
            after={"secrets": count},
            acting_user=None,
        )
    return count


def connection_test(*, bootstrap: str, properties: Properties, seconds: float = 12.0) -> ConnectionTest:
    """Does a cluster with these settings answer? Within `seconds`; changes nothing."""
    try:
        address = check_bootstrap(bootstrap)
    except PropertiesRefused as refused:
        return ConnectionTest(False, "configuration", " ".join(refused.fields.values()), 0.0)
    return probe_connection(address, properties.all, clock=database_clock(), seconds=seconds)


def cluster_connection_test(*, cluster: Cluster, seconds: float = 12.0) -> ConnectionTest:
    """Does the cluster as it is stored answer?"""
    try:
        properties = properties_of(cluster)
    except GatewayFailed as failure:
        return ConnectionTest(False, failure.code, failure.message, 0.0)
    return probe_connection(cluster.bootstrap, properties, clock=database_clock(), seconds=seconds)


def cluster_secrets(*, cluster: Cluster) -> dict[str, str]:
    """The stored secrets, for forms that never show them; those that do not open are as if they were not stored."""
    try:
        return secrets.unseal_all(cluster.secrets, table=TABLE, pk=cluster.pk)
    except secrets.SecretUnreadable:
        logger.exception("cluster.secrets_unreadable %s", cluster.name)
        return {}


def changed_connection_test(
    *, cluster: Cluster, bootstrap: str, properties: Properties, keep_secrets: bool, seconds: float = 12.0
) -> ConnectionTest:
    """Does a cluster answer under settings that are not stored yet? With `keep_secrets` stored ones fill the gaps."""
    kept = cluster_secrets(cluster=cluster) if keep_secrets else {}
    whole = Properties(properties.plain, {**kept, **properties.secret})
    return connection_test(bootstrap=bootstrap, properties=whole, seconds=seconds)


def prometheus_test(*, url: str) -> str:
    """One sentence about the server at this address; empty when it answers."""
    try:
        prometheus.check_answers(prometheus.check_url(url))
    except (ValueError, prometheus.PrometheusFailed) as problem:
        return str(problem)
    return ""


def _fill(cluster: Cluster, bootstrap: str, prometheus_url: str, controllers: str, filters: Filters) -> None:
    problems: dict[str, list[str]] = {}
    try:
        cluster.bootstrap = check_bootstrap(bootstrap)
    except PropertiesRefused as refused:
        problems["bootstrap"] = list(refused.fields.values())
    try:
        cluster.controllers = check_bootstrap(controllers) if controllers.strip() else ""
    except PropertiesRefused as refused:
        problems["controllers"] = list(refused.fields.values())
    try:
        cluster.prometheus_url = prometheus.check_url(prometheus_url) if prometheus_url.strip() else ""
    except ValueError as error:
        problems["prometheus_url"] = [str(error)]
    for field in ("group_allow", "group_deny", "topic_allow", "topic_deny"):
        globs = _globs(getattr(filters, field))
        if any(len(glob) > _GLOB_LIMIT for glob in globs):
            problems[field] = [f"A pattern has at most {_GLOB_LIMIT} characters."]
        setattr(cluster, field, globs)
    if problems:
        raise ValidationError(problems)


def _globs(given: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(glob.strip() for glob in given if glob.strip()))


def _clean(cluster: Cluster) -> None:
    cluster.clean_fields(
        exclude=["secrets", "properties", "brokers", "group_allow", "group_deny", "topic_allow", "topic_deny"]
    )


def _shown(cluster: Cluster) -> dict[str, Any]:
    """What audit may hold: of secrets only which are set."""
    return {
        "name": cluster.name,
        "bootstrap": cluster.bootstrap,
        "properties": _short(cluster.properties),
        "secrets": sorted(cluster.secrets),
        "prometheus_url": cluster.prometheus_url,
        "controllers": cluster.controllers,
        "group_allow": cluster.group_allow,
        "group_deny": cluster.group_deny,
        "topic_allow": cluster.topic_allow,
        "topic_deny": cluster.topic_deny,
    }


def _short(properties: Mapping[str, str]) -> dict[str, str]:
    return {name: value if len(value) <= 200 else f"{len(value)} characters" for name, value in properties.items()}


def _record(action: str, cluster: Cluster, before: Any, after: Any, acting_user: User | None) -> None:
    audit_record(action=action, entity=f"cluster {cluster.name}", before=before, after=after, acting_user=acting_user)


def _publish() -> None:
    publish.on_commit_publish("ops.sources")
