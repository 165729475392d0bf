"""Lag and the health of its sources in Prometheus' text format (interfaces.md 7, docs/metrics.md).

All from stored rows, so every web process answers alike. What is unknown or stale has no series: a scrape never carries a
last value in disguise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.db import connection

from lag.selectors.board import seconds_between
from lag.selectors.freshness import Freshness, freshness_of
from ops_portal.lib.exposition import escaped
from ops_portal.lib.units import is_stale

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Name -> help text. Every metric is a gauge.
METRICS = {
    "ops_portal_consumer_group_lag": "Unread records of a group on a partition.",
    "ops_portal_consumer_group_lag_sum": "Unread records of a group over all partitions with a commit.",
    "ops_portal_consumer_group_lag_seconds": "Age in seconds of the first unread record of the group's worst partition.",
    "ops_portal_consumer_group_members": "Members of a group.",
    "ops_portal_consumer_group_verdict": "1 for the verdict that holds for the group now.",
    "ops_portal_source_age_seconds": "Seconds since a source was last read well; absent when it never was.",
    "ops_portal_source_stale": "1 when a source has missed two slots or was never read, else 0.",
    "ops_portal_poll_duration_seconds": "How long the newest finished poll of a source took.",
}
# The same under kafka_exporter's names, with METRICS_KAFKA_EXPORTER_NAMES=1.
KAFKA_EXPORTER_METRICS = {
    "kafka_consumergroup_lag": "Unread records of a consumer group at topic and partition.",
    "kafka_consumergroup_lag_sum": "Unread records of a consumer group over all partitions of a topic.",
    "kafka_consumergroup_current_offset": "Committed offset of a consumer group at topic and partition.",
    "kafka_consumergroup_members": "Members of a consumer group.",
    "kafka_topic_partitions": "Partitions of a topic.",
    "kafka_brokers": "Brokers of the cluster.",
}

_GROUPS = """
SELECT g.id, g.name, CASE WHEN g.fresh THEN %(observed_at)s ELSE g.observed_at END, g.verdict, g.members, g.lag_records,
       g.unread_since, g.lag_seconds_method
FROM lag_consumergroup g
WHERE g.cluster_id = %(cluster)s AND g.vanished_at IS NULL AND (g.fresh OR g.observed_at >= %(cutoff)s)
ORDER BY g.name
"""
_PARTITIONS = """
SELECT gt.group_id, t.name, gt.lag_records, gt.rows
FROM lag_grouptopic gt JOIN clusters_topic t ON t.id = gt.topic_id
WHERE gt.group_id = ANY(%s) ORDER BY gt.group_id, t.name
"""
_SOURCES = """
SELECT c.name, s.kind, s.period_seconds, extract(epoch FROM clock_timestamp() - s.last_success_at)::float8, r.seconds
FROM clusters_source s JOIN clusters_cluster c ON c.id = s.cluster_id
LEFT JOIN LATERAL (
    SELECT extract(epoch FROM ended_at - started_at)::float8 AS seconds FROM clusters_pollrun
    WHERE source_id = s.id AND ended_at IS NOT NULL AND status IN ('ok', 'partial', 'failed') ORDER BY slot DESC LIMIT 1
) r ON true
WHERE c.removed_at IS NULL AND s.enabled ORDER BY c.name, s.kind
"""


@dataclass(slots=True)
class _Lines:
    """Sample lines by metric, because the format wants each metric's lines together."""

    by_metric: dict[str, list[str]] = field(default_factory=dict)

    def of(self, metric: str) -> list[str]:
        return self.by_metric.setdefault(metric, [])

    def render(self, texts: dict[str, str]) -> Iterator[str]:
        for metric, text in texts.items():
            if found := self.by_metric.get(metric):
                yield f"# HELP {metric} {text}\n# TYPE {metric} gauge\n"
                yield "".join(found)


def exposition() -> bytes:
    """The whole scrape."""
    lines = _Lines()
    clusters = _rows(
        "SELECT id, name, jsonb_array_length(brokers) FROM clusters_cluster WHERE removed_at IS NULL ORDER BY name"
    )
    fresh = freshness_of([row[0] for row in clusters])
    for pk, name, brokers in clusters:
        if not fresh[pk].stale:
            _cluster(lines, pk, name, fresh[pk], brokers)
    _sources(lines)
    texts = METRICS | (KAFKA_EXPORTER_METRICS if settings.METRICS_KAFKA_EXPORTER_NAMES else {})
    return "".join(lines.render(texts)).encode()


def _cluster(lines: _Lines, pk: int, name: str, fresh: Freshness, brokers: int) -> None:
    params = {"cluster": pk, "observed_at": fresh.observed_at, "cutoff": fresh.cutoff}
    groups = _rows(_GROUPS, params)
    cluster = f'cluster="{escaped(name)}"'
    labels = {}
    for group_id, group, at, verdict, members, lag, unread_since, method in groups:
        labels[group_id] = (f'{cluster},group="{escaped(group)}"', f'consumergroup="{escaped(group)}",{cluster}')
        _group(lines, labels[group_id], verdict, members, lag, seconds_between(unread_since, method, at))
    for group_id, topic, lag, rows in _rows(_PARTITIONS, [list(labels)]):
        _partitions(lines, labels[group_id], f'topic="{escaped(topic)}"', lag, orjson.loads(bytes(rows))["partitions"])
    if settings.METRICS_KAFKA_EXPORTER_NAMES:
        _topics(lines, pk, cluster, brokers)


def _group(
    lines: _Lines, labels: tuple[str, str], verdict: str, members: int | None, lag: int | None, seconds: float | None
) -> None:
    own, theirs = labels
    lines.of("ops_portal_consumer_group_verdict").append(
        f'ops_portal_consumer_group_verdict{{{own},verdict="{verdict}"}} 1\n'
    )
    if members is not None:
        lines.of("ops_portal_consumer_group_members").append(f"ops_portal_consumer_group_members{{{own}}} {members}\n")
        lines.of("kafka_consumergroup_members").append(f"kafka_consumergroup_members{{{theirs}}} {members}\n")
    if lag is not None:
        lines.of("ops_portal_consumer_group_lag_sum").append(f"ops_portal_consumer_group_lag_sum{{{own}}} {lag}\n")
    if seconds is not None:
        lines.of("ops_portal_consumer_group_lag_seconds").append(
            f"ops_portal_consumer_group_lag_seconds{{{own}}} {seconds}\n"
        )


def _partitions(
    lines: _Lines, labels: tuple[str, str], topic: str, lag: int | None, rows: Sequence[Sequence[Any]]
) -> None:
    """Rows as in GroupTopic.rows: partition first, then the commit; lag in sixth place."""
    prefix = f"ops_portal_consumer_group_lag{{{labels[0]},{topic},partition="
    lines.of("ops_portal_consumer_group_lag").extend(
        [f'{prefix}"{row[0]}"}} {row[5]}\n' for row in rows if row[5] is not None]
    )
    if not settings.METRICS_KAFKA_EXPORTER_NAMES:
        return
    theirs = f"{labels[1]},{topic}"
    if lag is not None:
        lines.of("kafka_consumergroup_lag_sum").append(f"kafka_consumergroup_lag_sum{{{theirs}}} {lag}\n")
    prefix = f"kafka_consumergroup_lag{{{theirs},partition="
    lines.of("kafka_consumergroup_lag").extend(
        [f'{prefix}"{row[0]}"}} {row[5]}\n' for row in rows if row[5] is not None]
    )
    prefix = f"kafka_consumergroup_current_offset{{{theirs},partition="
    lines.of("kafka_consumergroup_current_offset").extend(
        [f'{prefix}"{row[0]}"}} {row[1]}\n' for row in rows if row[1] is not None]
    )


def _topics(lines: _Lines, pk: int, cluster: str, brokers: int) -> None:
    statement = (
        "SELECT name, partitions FROM clusters_topic WHERE cluster_id = %s AND vanished_at IS NULL ORDER BY name"
    )
    lines.of("kafka_topic_partitions").extend(
        [
            f'kafka_topic_partitions{{{cluster},topic="{escaped(name)}"}} {count}\n'
            for name, count in _rows(statement, [pk])
        ]
    )
    if brokers:
        lines.of("kafka_brokers").append(f"kafka_brokers{{{cluster}}} {brokers}\n")


def _sources(lines: _Lines) -> None:
    for cluster, kind, period, age, duration in _rows(_SOURCES):
        labels = f'cluster="{escaped(cluster)}",kind="{escaped(kind)}"'
        lines.of("ops_portal_source_stale").append(
            f"ops_portal_source_stale{{{labels}}} {int(is_stale(age, period))}\n"
        )
        if age is not None:
            lines.of("ops_portal_source_age_seconds").append(
                f"ops_portal_source_age_seconds{{{labels}}} {max(0.0, age):.3f}\n"
            )
        if duration is not None:
            lines.of("ops_portal_poll_duration_seconds").append(
                f"ops_portal_poll_duration_seconds{{{labels}}} {duration:.6f}\n"
            )


def _rows(statement: str, params: dict[str, Any] | list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())
