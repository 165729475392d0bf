"""Topics as a poll found them: what they are, who owns them, what is produced into them."""

from typing import Any

from clusters.models import Cluster, Topic
from clusters.services.findings import ownership_findings
from lag.cycle import Cycle
from lag.known import Known, KnownTopic
from lag.models import GroupTopic, StoredKnots
from lag.services.store.values import AT_ONCE
from ops_portal.lib.bulk import ran, staged
from ops_portal.lib.clock import as_datetime


def topics_store(known: Known, cluster: Cluster, cycle: Cycle) -> None:
    """Make, change and vanish topic rows; `known.topics` follows."""
    wanted = {topic.topic for result in cycle.results.values() if result.changed for topic in result.topics}
    wanted.update(cycle.topic_partitions, cycle.identities)
    gone = set(known.topics) - set(cycle.topic_partitions) - wanted if cycle.topic_partitions else set()
    for name, identity in cycle.identities.items():
        entry = known.topics.get(name)
        if entry and entry.topic_id and identity.topic_id and entry.topic_id != identity.topic_id:
            gone.add(name)
    if gone:
        _topics_vanish(known, gone, cycle)
    new = [name for name in wanted if name not in known.topics]
    for start in range(0, len(new), AT_ONCE):
        made = Topic.objects.bulk_create(
            Topic(cluster=cluster, name=name, **_topic_fields(name, known, cycle))
            for name in new[start : start + AT_ONCE]
        )
        for topic in made:
            known.topics[topic.name] = KnownTopic(
                topic.pk,
                topic.topic_id or None,
                topic.partitions,
                topic.cleanup_policy,
                topic.timestamp_type,
                topic.client_id,
            )
    _topics_update(known, cluster, cycle)


def _topic_fields(name: str, known: Known, cycle: Cycle) -> dict[str, Any]:
    identity, entry = cycle.identities.get(name), known.topics.get(name)
    return {
        "topic_id": (identity and identity.topic_id) or (entry and entry.topic_id) or "",
        "cleanup_policy": (identity.cleanup_policy or "") if identity else (entry.cleanup_policy if entry else ""),
        "timestamp_type": (identity.timestamp_type or "") if identity else (entry.timestamp_type if entry else ""),
        "partitions": cycle.topic_partitions.get(name, entry.partitions if entry else 0),
        "client_id": cycle.topic_owners.owner(name).client_id,
    }


def _topics_update(known: Known, cluster: Cluster, cycle: Cycle) -> None:
    rates = _produce_rates(cycle)
    rows = []
    conflicts: dict[str, bool] = {}
    for name in cycle.identities.keys() | cycle.topic_partitions.keys() | rates.keys():
        entry = known.topics.get(name)
        if entry is None:
            continue
        fields = _topic_fields(name, known, cycle)
        if entry.conflict != cycle.topic_owners.owner(name).conflict:
            entry.conflict = conflicts[name] = not entry.conflict
        rate = rates.get(name, entry.produce_rate)
        new = (
            fields["topic_id"] or None,
            fields["partitions"],
            fields["cleanup_policy"],
            fields["timestamp_type"],
            fields["client_id"],
            rate,
        )
        old = (
            entry.topic_id,
            entry.partitions,
            entry.cleanup_policy,
            entry.timestamp_type,
            entry.client_id,
            entry.produce_rate,
        )
        if new != old:
            (
                entry.topic_id,
                entry.partitions,
                entry.cleanup_policy,
                entry.timestamp_type,
                entry.client_id,
                entry.produce_rate,
            ) = new
            rows.append((entry.id, new[0] or "", *new[1:]))
    ownership_findings(cluster, conflicts, "topic")
    if not rows:
        return
    staged(
        "staged_topic",
        "id bigint, topic_id text, partitions integer, cleanup_policy text, timestamp_type text, client_id bigint, produce_rate float8",
        rows,
    )
    ran(
        "UPDATE clusters_topic t SET topic_id = s.topic_id, partitions = s.partitions, cleanup_policy = s.cleanup_policy,"
        " timestamp_type = s.timestamp_type, client_id = s.client_id, produce_rate = s.produce_rate"
        " FROM staged_topic s WHERE t.id = s.id"
    )


def _produce_rates(cycle: Cycle) -> dict[str, float]:
    """Records per second by topic, as the group that has watched it longest sees them."""
    rates: dict[str, float] = {}
    for result in cycle.results.values():
        if result.changed:
            for topic in result.topics:
                if topic.produce_rate is not None:
                    rates[topic.topic] = max(rates.get(topic.topic, 0.0), round(topic.produce_rate, 2))
    return rates


def _topics_vanish(known: Known, names: set[str], cycle: Cycle) -> None:
    ids = [known.topics[name].id for name in names]
    Topic.objects.filter(pk__in=ids).update(vanished_at=as_datetime(cycle.at))
    GroupTopic.objects.filter(topic_id__in=ids).delete()
    StoredKnots.objects.filter(topic_id__in=ids).delete()
    for group in known.groups.values():
        for topic_id in ids:
            group.topics.pop(topic_id, None)
    for name in names:
        del known.topics[name]
