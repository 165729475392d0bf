"""Current state: what a poll found goes into PostgreSQL in one transaction, and comes back into a worker's memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import orjson
from django.db import transaction
from psycopg.types.json import Jsonb

from clusters.models import Cluster, Finding, Topic
from lag.compute.memory import GroupMemory
from lag.compute.types import GroupEvent, GroupReading, TopicResult
from lag.cycle import Cycle
from lag.history.cycles import cycle_append
from lag.known import Known, KnownGroup, KnownTopic
from lag.models import ConsumerGroup, GroupTopic, LagState, StoredKnots, StoredMemory
from lag.services.slos import ownership_findings, slos_judge
from ops_portal.lib.bulk import copied, ran, staged
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.live.publish import on_commit_publish

MEMORY_SECONDS = 20.0  # a memory that changed but has no news is stored at least this often
KNOTS_SECONDS = 30.0  # knots of a moving topic likewise; a restart in between costs a look-up, not an answer


class Overtaken(Exception):
    """Another worker has stored a newer poll of this cluster meanwhile; this one is dropped."""


@dataclass(slots=True)
class Stored:
    """What the transaction wrote."""

    groups: int = 0
    group_topics: int = 0
    memories: int = 0
    knots: int = 0
    events: int = 0
    history_bytes: int = 0


# --- reading -------------------------------------------------------------------------------------------------------------
def known_refresh(known: Known) -> None:
    """Bring the worker's memory up to what is stored: rows that others have written since, all of them the first time."""
    state, _ = LagState.objects.get_or_create(cluster_id=known.cluster_id)
    if state.version == known.version:
        return
    if state.version < known.version:  # the database was restored
        known.forget()
    known.observed_at = state.observed_at.timestamp() if state.observed_at else None
    _load_topics(known, known.version, set(state.unsaved_topics))
    _load_groups(known, known.version, set(state.unsaved_groups))
    known.version = state.version


def _load_topics(known: Known, since: int, unsaved: set[int]) -> None:
    stored = {}
    for topic in Topic.objects.filter(cluster_id=known.cluster_id, vanished_at__isnull=True):
        had = known.topics.get(topic.name)
        entry = had if had is not None and had.id == topic.pk else KnownTopic(topic.pk, None)
        entry.topic_id = topic.topic_id or None
        entry.partitions = topic.partitions
        entry.cleanup_policy, entry.timestamp_type = topic.cleanup_policy, topic.timestamp_type
        entry.client_id, entry.produce_rate = topic.client_id, topic.produce_rate
        stored[topic.name] = entry
    known.log.forget(known.topics.keys() - stored.keys())
    known.topics = stored
    if since < 0:
        findings = Finding.objects.filter(
            cluster_id=known.cluster_id, kind="ownership_conflict", closed_at__isnull=True
        )
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


def _load_groups(known: Known, since: int, unsaved: set[int]) -> None:
    rows = ConsumerGroup.objects.filter(cluster_id=known.cluster_id, vanished_at__isnull=True)
    columns = ("id", "name", "type", "state", "client_id", "client_conflict", "error_code", "fresh", "version")
    stored: dict[str, KnownGroup] = {}
    renewed: dict[int, KnownGroup] = {}  # written by others since
    for pk, name, kind, state, client_id, conflict, error_code, fresh, version in rows.values_list(*columns):
        entry = known.groups.get(name)
        if entry is None or entry.id != pk or version > since:
            entry = entry if entry is not None and entry.id == pk else KnownGroup(pk, GroupMemory(name))
            entry.meta = _meta(kind, state, client_id, conflict, error_code, fresh)
            entry.topics, entry.taken = {}, {}
            renewed[pk] = entry
        stored[name] = entry
    known.groups, known.unsaved_groups = stored, unsaved
    known.gaps -= renewed.keys()
    known.sampled = {series: mark for series, mark in known.sampled.items() if series[0] not in renewed}
    _load_memories(known, since, unsaved)
    for pk, topic_id in GroupTopic.objects.filter(group_id__in=list(renewed)).values_list("group_id", "topic_id"):
        renewed[pk].topics[topic_id] = 0


def _load_memories(known: Known, since: int, unsaved: set[int]) -> None:
    entries = {entry.id: entry for entry in known.groups.values()}
    rows = StoredMemory.objects.filter(
        version__gt=since, group__cluster_id=known.cluster_id, group__vanished_at__isnull=True
    )
    for pk, data in rows.values_list("group_id", "data"):
        entry = entries[pk]
        entry.memory = GroupMemory.from_plain(orjson.loads(bytes(data)))
        read_well = bool(entry.meta) and bool(entry.meta[-1])
        if read_well and pk not in unsaved and known.observed_at is not None:  # nothing has moved since it was stored
            entry.memory.observed_at = max(entry.memory.observed_at, known.observed_at)


def _meta(
    kind: Any, state: Any, client_id: int | None, conflict: bool, error_code: str, fresh: bool
) -> tuple[object, ...]:
    return (str(kind), str(state), client_id, conflict, error_code, fresh)


# --- writing -------------------------------------------------------------------------------------------------------------
@transaction.atomic
def cycle_store(*, cluster: Cluster, known: Known, cycle: Cycle) -> Stored:
    """Write one poll. Raises Overtaken when a newer one is stored. On any failure the caller must `known.forget()`."""
    version = _claim(known)
    at = as_datetime(cycle.at)
    _store_topics(known, cluster, cycle)
    _store_new_groups(known, cluster, cycle, version)
    _store_vanished(known, cycle, version)
    stored = Stored()
    changed = [name for name in cycle.readings if _group_changed(known, cycle, name)]
    stored.groups = _store_groups(known, cluster, cycle, changed, version)
    stored.group_topics = _store_group_topics(known, cycle, changed, version)
    stored.memories = _store_memories(known, cycle, version)
    stored.knots = _store_knots(known, cycle, version)
    stored.events = _store_events(known, cluster, cycle, slos_judge(known, cluster, cycle))
    stored.history_bytes = cycle_append(known, cycle, cluster.pk)
    LagState.objects.filter(cluster_id=cluster.pk).update(
        version=version,
        observed_at=at,
        unsaved_topics=sorted(known.topics[name].id for name in known.unsaved_topics if name in known.topics),
        unsaved_groups=sorted(known.unsaved_groups),
        **({"listed_at": at} if cycle.whole_listing else {}),
    )
    known.version, known.observed_at = version, cycle.at
    for name in cycle.vanished:
        del known.groups[name]
    on_commit_publish("lag.board", "lag.group", match=lambda params, _: params["cluster"] == cluster.name)
    return stored


def _claim(known: Known) -> int:
    """The version this poll writes. The row lock makes polls of one cluster follow each other."""
    state = LagState.objects.select_for_update().get(cluster_id=known.cluster_id)
    if state.version != known.version:
        raise Overtaken(f"version {state.version} is stored, this poll began at {known.version}")
    return state.version + 1


def _store_topics(known: Known, cluster: Cluster, cycle: Cycle) -> None:
    wanted = {topic.topic for result in cycle.results.values() if result.changed for topic in result.topics}
    wanted.update(cycle.topic_partitions, cycle.identities)
    gone = set(known.topics) - set(cycle.topic_partitions) - wanted if cycle.topic_partitions else set()
    for name, identity in cycle.identities.items():
        entry = known.topics.get(name)
        if entry and entry.topic_id and identity.topic_id and entry.topic_id != identity.topic_id:
            gone.add(name)
    if gone:
        _topics_vanish(known, gone, cycle)
    made = [
        Topic(cluster=cluster, name=name, **_topic_fields(name, known, cycle))
        for name in wanted
        if name not in known.topics
    ]
    for topic in Topic.objects.bulk_create(made, batch_size=2000):
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


def _store_new_groups(known: Known, cluster: Cluster, cycle: Cycle, version: int) -> None:
    new = [name for name in cycle.readings if name not in known.groups]
    if not new:
        return
    at = as_datetime(cycle.at)
    rows = ran(
        "WITH newest AS (SELECT DISTINCT ON (name) id FROM lag_consumergroup"
        " WHERE cluster_id = %s AND name = ANY(%s) AND vanished_at IS NOT NULL ORDER BY name, id DESC)"
        " UPDATE lag_consumergroup g SET vanished_at = NULL, appeared_at = %s FROM newest WHERE g.id = newest.id"
        " RETURNING g.name, g.id",
        [cluster.pk, new, at],
    )
    found = dict(rows)
    fresh = [name for name in new if name not in found]
    made = ConsumerGroup.objects.bulk_create(
        [
            ConsumerGroup(
                cluster=cluster,
                name=name,
                type=cycle.readings[name].listing.type,
                state=cycle.readings[name].listing.state,
                verdict="unknown",
                severity=7,
                verdict_since=at,
                observed_at=at,
                appeared_at=at,
                fresh=False,
                version=version,
            )
            for name in fresh
        ],
        batch_size=2000,
    )
    found.update({group.name: group.pk for group in made})
    for name, pk in found.items():
        known.groups[name] = KnownGroup(pk, cycle.memories.get(name) or GroupMemory(name))


def _store_vanished(known: Known, cycle: Cycle, version: int) -> None:
    if not cycle.vanished:
        return
    ids = [known.groups[name].id for name in cycle.vanished]
    known.unsaved_groups.difference_update(ids)
    ConsumerGroup.objects.filter(pk__in=ids).update(vanished_at=as_datetime(cycle.at), version=version)
    GroupTopic.objects.filter(group_id__in=ids).delete()
    StoredMemory.objects.filter(group_id__in=ids).delete()


def _group_changed(known: Known, cycle: Cycle, name: str) -> bool:
    group, result = known.groups[name], cycle.results.get(name)
    if result is not None and result.changed:
        return True
    return group.meta != _meta_of(cycle, name)


def _meta_of(cycle: Cycle, name: str) -> tuple[object, ...]:
    reading, owner = cycle.readings[name], cycle.owners.owner(name)
    result, error = cycle.results.get(name), cycle.failed.get(name)
    state = result.summary.state if result else reading.listing.state
    return _meta(
        reading.listing.type, state, owner.client_id, owner.conflict, error.code if error else "", error is None
    )


_GROUP_COLUMNS = (
    "id bigint, type text, state text, client_id bigint, client_conflict boolean, verdict text, severity smallint, reason text,"
    " rule text, inputs text, members integer, worst_topic text, lag_records bigint, lag_records_max bigint,"
    " unread_since timestamptz, bound float8, method text, produce_rate float8, consume_rate float8, trend float8,"
    " catch_up_seconds float8, flags text[], error_code text, error text, member_list text, fresh boolean,"
    " observed_at timestamptz"
)


def _store_groups(known: Known, cluster: Cluster, cycle: Cycle, changed: Sequence[str], version: int) -> int:
    rows = [_group_row(known, cycle, name) for name in changed if name in cycle.results]
    if rows:
        staged("staged_group", _GROUP_COLUMNS, rows)
        ran(
            "UPDATE lag_consumergroup g SET type = s.type, state = s.state, client_id = s.client_id,"
            " client_conflict = s.client_conflict, verdict = s.verdict, severity = s.severity, reason = s.reason,"
            " rule = s.rule, inputs = s.inputs::jsonb, members = s.members, worst_topic = s.worst_topic,"
            " lag_records = s.lag_records, lag_records_max = s.lag_records_max, unread_since = s.unread_since,"
            " lag_seconds_bound = s.bound, lag_seconds_method = s.method, produce_rate = s.produce_rate,"
            " consume_rate = s.consume_rate, trend = s.trend, catch_up_seconds = s.catch_up_seconds, flags = s.flags,"
            " error_code = s.error_code, error = s.error, fresh = s.fresh, observed_at = s.observed_at, version = %(version)s,"
            " member_list = coalesce(s.member_list::jsonb, g.member_list),"
            " verdict_since = CASE WHEN g.verdict = s.verdict THEN g.verdict_since ELSE %(at)s END"
            " FROM staged_group s WHERE g.id = s.id",
            {"version": version, "at": as_datetime(cycle.at)},
        )
    conflicts: dict[str, bool] = {}
    for name in changed:
        group, meta = known.groups[name], _meta_of(cycle, name)
        if cycle.owners.owner(name).conflict != (bool(group.meta) and group.meta[3]):
            conflicts[name] = cycle.owners.owner(name).conflict
        group.meta = meta
    ownership_findings(cluster, conflicts, "group")
    return len(rows)


def _group_row(known: Known, cycle: Cycle, name: str) -> tuple[Any, ...]:
    summary, reading = cycle.results[name].summary, cycle.readings[name]
    owner, error = cycle.owners.owner(name), cycle.failed.get(name)
    return (
        known.groups[name].id, summary.type.value, summary.state.value, owner.client_id, owner.conflict,
        summary.verdict.value, summary.verdict.severity, summary.reason, summary.rule, _json(summary.inputs),
        summary.members, summary.worst_topic or "", summary.lag_records, summary.lag_records_max,
        _moment(summary.unread_since), _milli(summary.bound), summary.method.value if summary.method else "",
        _milli(summary.produce_rate), _milli(summary.consume_rate), _milli(summary.trend), _milli(summary.catch_up_seconds),
        [flag.value for flag in summary.flags], error.code if error else "", error.message[:500] if error else "",
        _member_list(reading, summary.members), error is None, as_datetime(summary.observed_at or cycle.at),
    )  # fmt: skip


def _member_list(reading: GroupReading, members: int | None) -> str | None:
    """The members as last described; None = not described now, keep what is stored."""
    described = reading.description
    if described is not None and described.error is None:
        return _json(
            [
                {"member_id": m.member_id, "client_id": m.client_id, "host": m.host, "partitions": len(m.partitions)}
                for m in described.members
            ]
        )
    return None if members else "[]"


_GROUP_TOPIC_COLUMNS = (
    "group_id bigint, topic_id bigint, lag_records bigint, unread_since timestamptz, method text, consume_rate float8,"
    " verdict text, rows bytea"
)


def _store_group_topics(known: Known, cycle: Cycle, changed: Iterable[str], version: int) -> int:
    rows: list[tuple[Any, ...]] = []
    gone: list[tuple[int, int]] = []
    for name in changed:
        result, group = cycle.results.get(name), known.groups[name]
        if result is None or not result.changed:
            continue
        seen = set()
        for topic in result.topics:
            topic_id = known.topics[topic.topic].id
            seen.add(topic_id)
            if topic_id in group.topics and group.taken.get(topic_id) is topic:  # nothing in it has moved
                continue
            group.taken[topic_id] = topic
            row = _group_topic_row(group.id, topic_id, topic)
            mark = hash(row)
            if group.topics.get(topic_id) != mark:
                group.topics[topic_id] = mark
                rows.append(row)
        for topic_id in group.topics.keys() - seen:
            gone.append((group.id, topic_id))
            del group.topics[topic_id]
            group.taken.pop(topic_id, None)
    if gone:
        ran(
            "DELETE FROM lag_grouptopic WHERE (group_id, topic_id) IN (SELECT * FROM unnest(%s::bigint[], %s::bigint[]))",
            [[pair[0] for pair in gone], [pair[1] for pair in gone]],
        )
    if rows:
        staged("staged_grouptopic", _GROUP_TOPIC_COLUMNS, rows)
        ran(
            "INSERT INTO lag_grouptopic (group_id, topic_id, lag_records, unread_since, method, consume_rate, verdict, rows, version)"
            " SELECT s.*, %s FROM staged_grouptopic s ON CONFLICT (group_id, topic_id) DO UPDATE SET"
            " lag_records = excluded.lag_records, unread_since = excluded.unread_since, method = excluded.method,"
            " consume_rate = excluded.consume_rate, verdict = excluded.verdict, rows = excluded.rows, version = excluded.version",
            [version],
        )
    return len(rows)


def _group_topic_row(group_id: int, topic_id: int, topic: TopicResult) -> tuple[Any, ...]:
    members: dict[tuple[str, str | None], int] = {}
    partitions = []
    for part in topic.partitions:
        member = None
        if part.member_id is not None:
            member = members.setdefault((part.member_id, part.host), len(members))
        partitions.append(
            [
                part.partition,
                part.committed,
                part.start,
                part.end,
                part.high_watermark,
                part.lag_records,
                _milli(part.unread_since),
                _milli(part.bound),
                part.method,
                part.verdict,
                part.flags,
                member,
            ]
        )
    data = orjson.dumps({"members": list(members), "partitions": partitions})
    return (
        group_id, topic_id, topic.lag_records, _moment(topic.unread_since), topic.method.value if topic.method else "",
        _milli(topic.consume_rate), topic.verdict.value, data,
    )  # fmt: skip


def _store_memories(known: Known, cycle: Cycle, version: int) -> int:
    rows = []
    for name, result in cycle.results.items():
        group = known.groups[name]
        if not result.changed and not result.events and group.id not in known.unsaved_groups:
            continue
        due = _has_its_turn(group.id, group.stored_at, cycle.at, MEMORY_SECONDS)
        if due or result.events or result.summary.verdict is not group.stored_verdict:
            rows.append((group.id, orjson.dumps(group.memory.to_plain()), version))
            group.stored_at, group.stored_verdict = cycle.at, result.summary.verdict
            known.unsaved_groups.discard(group.id)
        else:
            known.unsaved_groups.add(group.id)
    if rows:
        _upsert("lag_storedmemory", "group_id", rows)
    return len(rows)


def _store_knots(known: Known, cycle: Cycle, version: int) -> int:
    numbers: dict[str, list[int]] | None = None
    rows = []
    for name in known.log.changed_topics | known.unsaved_topics:
        topic = known.topics.get(name)
        if topic is None:
            continue
        if not _has_its_turn(topic.id, topic.knots_at, cycle.at, KNOTS_SECONDS):
            known.unsaved_topics.add(name)
            continue
        if numbers is None:
            numbers = known.log.topics()
        if name in numbers:
            rows.append((topic.id, orjson.dumps(known.log.topic_to_plain(name, numbers[name])), version))
        topic.knots_at = cycle.at
        known.unsaved_topics.discard(name)
    if rows:
        _upsert("lag_storedknots", "topic_id", rows)
    return len(rows)


def _has_its_turn(pk: int, stored_at: float, now: float, seconds: float) -> bool:
    """Every `seconds`, each row at a time of its own, so that no poll has to write them all."""
    return (now + pk) // seconds != (stored_at + pk) // seconds


def _upsert(table: LiteralString, key: LiteralString, rows: Sequence[tuple[Any, ...]]) -> None:
    staged(f"staged_{table}", f"{key} bigint, data bytea, version bigint", rows)
    ran(
        f"INSERT INTO {table} ({key}, data, version) SELECT * FROM staged_{table}"  # noqa: S608  # constants
        f" ON CONFLICT ({key}) DO UPDATE SET data = excluded.data, version = excluded.version"
    )


def _store_events(known: Known, cluster: Cluster, cycle: Cycle, more: Iterable[tuple[int, GroupEvent]]) -> int:
    found = [(known.groups[name].id, event) for name, result in cycle.results.items() for event in result.events]
    found += [(known.groups[name].id, event) for name, events in cycle.vanished.items() for event in events]
    found += more
    events_store(cluster_id=cluster.pk, rows=found)
    return len(found)


_EVENT_NAMES = "cluster_id, group_id, at_earliest, at, kind, topic, partition, member, before, after, records, seconds"
_EVENT_TYPES = (
    "int8", "int8", "timestamptz", "timestamptz", "varchar", "varchar", "int4", "varchar", "jsonb", "jsonb", "int8", "float8"
)  # fmt: skip


def events_store(*, cluster_id: int, rows: Iterable[tuple[int, GroupEvent]]) -> None:
    """Append events as (group row id, event)."""
    plain = [
        (
            cluster_id,
            group_id,
            as_datetime(min(event.at_earliest, event.at)),
            as_datetime(event.at),
            event.kind.value,
            event.topic or "",
            event.partition,
            (event.member or "")[:400],
            _jsonb(event.before),
            _jsonb(event.after),
            event.records,
            event.seconds,
        )
        for group_id, event in rows
    ]
    if plain:
        copied("lag_groupevent", _EVENT_NAMES, _EVENT_TYPES, plain)


def _moment(seconds: float | None) -> Any:
    return None if seconds is None else as_datetime(seconds)


def _milli(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _jsonb(value: Any) -> Any:
    return None if value is None else Jsonb(value)
