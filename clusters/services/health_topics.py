"""Rows of topics: written only where something changed, in bulk."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clusters.health.admin import TopicCounts
from clusters.models import Cluster
from clusters.ports import FoundOffset, Partition
from ops_portal.lib.bulk import ran, staged
from ops_portal.lib.clock import as_datetime

SETTINGS_KEPT = (
    "cleanup.policy", "retention.ms", "retention.bytes", "min.insync.replicas", "segment.bytes", "segment.ms",
    "max.message.bytes", "compression.type", "message.timestamp.type", "unclean.leader.election.enable",
    "min.compaction.lag.ms", "max.compaction.lag.ms", "delete.retention.ms", "local.retention.ms", "remote.storage.enable",
)  # fmt: skip

_LAYOUT = """
INSERT INTO clusters_topichealth AS kept (cluster_id, name, partitions, replication, min_in_sync, under_replicated, under_min,
    offline, reassigning, layout, layout_at, offsets, settings, settings_at)
SELECT %(cluster)s, name, partitions, replication, min_in_sync, under_replicated, under_min, offline, reassigning,
    layout::jsonb, %(at)s, '{}'::jsonb, settings::jsonb, %(at)s FROM health_topics
ON CONFLICT (cluster_id, name) DO UPDATE SET partitions = excluded.partitions, replication = excluded.replication,
    min_in_sync = excluded.min_in_sync, under_replicated = excluded.under_replicated, under_min = excluded.under_min,
    offline = excluded.offline, reassigning = excluded.reassigning, layout = excluded.layout, settings = excluded.settings,
    layout_at = CASE WHEN kept.layout = excluded.layout THEN kept.layout_at ELSE excluded.layout_at END,
    settings_at = excluded.settings_at
"""
_OFFSETS = """
UPDATE clusters_topichealth t SET offsets = s.offsets::jsonb, offsets_at = %(at)s
FROM health_offsets s WHERE t.cluster_id = %(cluster)s AND t.name = s.name
"""
_FIGURES = """
UPDATE clusters_topichealth t SET records_in_rate = s.records, bytes_in_rate = s.bytes_in, bytes_out_rate = s.bytes_out,
    size_bytes = coalesce(s.size, t.size_bytes), growth_bytes_per_hour = coalesce(s.growth, t.growth_bytes_per_hour),
    figures_at = %(at)s
FROM health_topic_figures s WHERE t.cluster_id = %(cluster)s AND t.name = s.name
"""


@dataclass(frozen=True, slots=True)
class Offsets:
    """Starts and ends of logs, read at `at`."""

    starts: Mapping[Partition, FoundOffset]
    ends: Mapping[Partition, FoundOffset]
    at: float


def topics_store(
    cluster: Cluster,
    topics: Mapping[str, TopicCounts],
    written: dict[str, int],
    settings: Mapping[str, Mapping[str, str | None]],
    offsets: Offsets | None,
    at: float,
) -> int:
    """Write the topics that differ from `written` (topic -> hash), remove those that are gone; returns how many were written.

    Joins the caller's transaction. An empty `written` writes all and removes whatever else the table has.
    """
    fresh = not written
    changed = []
    for name, topic in topics.items():
        mark = hash((topic, tuple(sorted(_kept(settings.get(name, {})).items()))))
        if written.get(name) != mark:
            written[name] = mark
            changed.append(topic)
    if changed:
        columns = (
            "name text, partitions int4, replication int2, min_in_sync int2, under_replicated int4, under_min int4,"
            " offline int4, reassigning int4, layout text, settings text"
        )
        staged("health_topics", columns, (_layout(topic, settings.get(topic.topic, {})) for topic in changed))
        ran(_LAYOUT, {"cluster": cluster.pk, "at": as_datetime(at)})
    gone = [name for name in written if name not in topics]
    for name in gone:
        del written[name]
    if fresh:
        ran("DELETE FROM clusters_topichealth WHERE cluster_id = %s AND NOT name = ANY(%s)", [cluster.pk, list(topics)])
    elif gone:
        ran("DELETE FROM clusters_topichealth WHERE cluster_id = %s AND name = ANY(%s)", [cluster.pk, gone])
    if offsets is not None:
        staged("health_offsets", "name text, offsets text", _offset_rows(offsets))
        ran(_OFFSETS, {"cluster": cluster.pk, "at": as_datetime(offsets.at)})
    return len(changed)


def topic_figures_store(cluster: Cluster, figures: Mapping[str, Mapping[str, float]], at: float) -> None:
    """Rates and sizes by topic: name -> {records, bytes_in, bytes_out, size, growth}, whatever is known."""
    names = ("records", "bytes_in", "bytes_out", "size", "growth")
    columns = "name text, records float8, bytes_in float8, bytes_out float8, size float8, growth float8"
    rows = ((name, *(found.get(key) for key in names)) for name, found in figures.items())
    staged("health_topic_figures", columns, rows)
    ran(_FIGURES, {"cluster": cluster.pk, "at": as_datetime(at)})


def _layout(topic: TopicCounts, settings: Mapping[str, str | None]) -> tuple[Any, ...]:
    layout = [[one.partition, one.leader, list(one.replicas), list(one.in_sync)] for one in topic.partitions]
    return (
        topic.topic, len(topic.partitions), topic.replication, topic.min_in_sync, topic.under_replicated, topic.under_min,
        topic.offline, topic.reassigning, json.dumps(layout), json.dumps(_kept(settings)),
    )  # fmt: skip


def _kept(settings: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name: settings[name] for name in SETTINGS_KEPT if name in settings}


def _offset_rows(offsets: Offsets) -> Iterable[tuple[str, str]]:
    by_topic: dict[str, dict[int, list[int | None]]] = {}
    for (topic, number), end in offsets.ends.items():
        start = offsets.starts.get((topic, number))
        by_topic.setdefault(topic, {})[number] = [start.offset if start is not None else None, end.offset]
    return ((topic, json.dumps(found)) for topic, found in by_topic.items())
