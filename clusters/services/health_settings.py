"""What a person tells of a cluster's health: which label is its, the canary topic, queries of the REST tier."""

import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from accounts.services import audit_record
from clusters.models import Cluster, ClusterHealth, HealthSettings

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_FIELDS = ("matchers", "host_matchers", "canary_topic", "rest_queries")


@transaction.atomic(durable=True)
def health_settings_set(
    *,
    cluster: Cluster,
    matchers: Mapping[str, str] | None = None,
    host_matchers: Mapping[str, str] | None = None,
    canary_topic: str | None = None,
    rest_queries: list[dict[str, Any]] | None = None,
    acting_user: User | None,
) -> HealthSettings:
    """Set what is given and leave the rest; empty values take a setting back. Raises ValidationError."""
    settings, _ = HealthSettings.objects.select_for_update().get_or_create(cluster=cluster)
    before = _shown(settings)
    if matchers is not None:
        settings.matchers = _labels(matchers)
    if host_matchers is not None:
        settings.host_matchers = _labels(host_matchers)
    if canary_topic is not None:
        if canary_topic and (not _TOPIC.fullmatch(canary_topic) or canary_topic in {".", ".."}):
            raise ValidationError(f"{canary_topic!r} is no name of a topic.")
        settings.canary_topic = canary_topic
    if rest_queries is not None:
        settings.rest_queries = [_query(row) for row in rest_queries]
    settings.save()
    ClusterHealth.objects.filter(cluster=cluster).update(dialect="", detected_at=None)  # found out anew
    after = _shown(settings)
    if after != before:
        audit_record(
            action="clusters.health_settings_changed", entity=f"cluster {cluster.name}", before=before, after=after,
            acting_user=acting_user,
        )  # fmt: skip
    return settings


def _shown(settings: HealthSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in _FIELDS}


def _labels(found: Mapping[str, str]) -> dict[str, str]:
    for label, value in found.items():
        if not _LABEL.fullmatch(label):
            raise ValidationError(f"{label!r} is no name of a label.")
        if not value or value[0] in "!~":
            raise ValidationError(f"The label {label} needs a plain value.")
    return dict(found)


def _query(row: Mapping[str, Any]) -> dict[str, Any]:
    name, query = str(row.get("name", "")), str(row.get("query", "")).strip()
    if not _NAME.fullmatch(name) or not query or len(query) > 4000:
        raise ValidationError(
            "A query of the REST tier needs a name of lower-case words and PromQL of at most 4,000 characters."
        )
    numbers = {key: row.get(key) for key in ("warn", "critical")}
    if any(value is not None and not isinstance(value, int | float) for value in numbers.values()):
        raise ValidationError(f"The thresholds of {name} are numbers.")
    return {
        "name": name,
        "title": str(row.get("title") or name)[:100],
        "query": query,
        "unit": str(row.get("unit", ""))[:20],
        **numbers,
    }
