"""What is stored, back into a worker's memory."""

import orjson

from clusters.models import Finding, Topic
from clusters.services.findings import OWNERSHIP
from lag.compute.memory import GroupMemory
from lag.known import Known, KnownGroup, KnownSeries, KnownTopic
from lag.models import ConsumerGroup, GroupTopic, StoredKnots, StoredMemory
from lag.services.store.groups import group_meta


def topics_load(known: Known, since: int, unsaved: set[int]) -> None:
    """Topics that are there, and the knots that others stored since version `since` (-1 = all). `unsaved` = topic row ids
    whose knots are older than the newest poll."""
    stored = {}
    topics = Topic.objects.filter(cluster_id=known.cluster_id, vanished_at__isnull=True)
    facts = ("topic_id", "partitions", "cleanup_policy", "timestamp_type", "client_id", "produce_rate")
    for pk, name, topic_id, *others in topics.values_list("id", "name", *facts):
        had = known.topics.get(name)
        entry = stored[name] = had if had is not None and had.id == pk else KnownTopic(pk, None)
        entry.topic_id = topic_id or None
        entry.partitions, entry.cleanup_policy, entry.timestamp_type, entry.client_id, entry.produce_rate = others
    known.log.forget(known.topics.keys() - stored.keys())
    known.topics = stored
    if since < 0:
        findings = Finding.objects.filter(cluster_id=known.cluster_id, kind=OWNERSHIP, closed_at__isnull=True)
        for entity in findings.values_list("entity", flat=True):
            if entity.startswith("topic ") and entity[6:] in stored:
                stored[entity[6:]].conflict = True
    names = {entry.id: name for name, entry in stored.items()}
    known.unsaved_topics = {names[pk] for pk in unsaved if pk in names}
    knots = StoredKnots.objects.filter(
        topic__cluster_id=known.cluster_id, topic__vanished_at__isnull=True, version__gt=since
    )
    for pk, data in knots.values_list("topic_id", "data"):
        seen_at = 0.0 if pk in unsaved else known.observed_at or 0.0
        known.log.load_topic(names[pk], orjson.loads(bytes(data)), seen_at)


def groups_load(known: Known, since: int, unsaved: set[int]) -> None:
    """Groups that are there, and what others stored of them since version `since`; `unsaved` = group row ids whose memory
    is older than the newest poll."""
    rows = ConsumerGroup.objects.filter(cluster_id=known.cluster_id, vanished_at__isnull=True)
    columns = ("id", "name", "type", "state", "client_id", "client_conflict", "error_code", "fresh", "version")
    stored: dict[str, KnownGroup] = {}
    renewed: dict[int, KnownGroup] = {}  # written by others since
    for pk, name, kind, state, client_id, conflict, error_code, fresh, version in rows.values_list(*columns):
        entry = known.groups.get(name)
        if entry is None or entry.id != pk or version > since:
            entry = entry if entry is not None and entry.id == pk else KnownGroup(pk, GroupMemory(name))
            entry.meta = group_meta(kind, state, client_id, conflict, error_code, fresh)
            entry.topics, entry.sample = {}, None
            renewed[pk] = entry
        stored[name] = entry
    known.groups, known.unsaved_groups = stored, unsaved
    known.gaps -= renewed.keys()
    _load_memories(known, since, unsaved)
    for pk, topic_id in GroupTopic.objects.filter(group_id__in=list(renewed)).values_list("group_id", "topic_id"):
        renewed[pk].topics[topic_id] = KnownSeries()


def _load_memories(known: Known, since: int, unsaved: set[int]) -> None:
    entries = {entry.id: entry for entry in known.groups.values()}
    rows = StoredMemory.objects.filter(
        version__gt=since, group__cluster_id=known.cluster_id, group__vanished_at__isnull=True
    )
    for pk, data in rows.values_list("group_id", "data"):
        entry = entries[pk]
        entry.memory = GroupMemory.from_plain(orjson.loads(bytes(data)), known.log)
        read_well = bool(entry.meta) and bool(entry.meta[-1])
        if read_well and pk not in unsaved and known.observed_at is not None:  # nothing has moved since it was stored
            entry.memory.observed_at = max(entry.memory.observed_at, known.observed_at)
