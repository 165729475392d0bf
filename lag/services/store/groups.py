"""Groups as a poll found them: one row each, written only when it changed."""

from collections.abc import Sequence
from typing import Any

from clusters.models import Cluster
from clusters.services.findings import ownership_findings
from lag.compute.memory import GroupMemory
from lag.compute.types import GroupReading
from lag.cycle import Cycle
from lag.known import Known, KnownGroup
from lag.models import ConsumerGroup, GroupTopic, StoredMemory
from lag.services.store.values import AT_ONCE, json_text, milli, moment
from ops_portal.lib.bulk import ran, staged
from ops_portal.lib.clock import as_datetime


def group_meta(
    kind: Any, state: Any, client_id: int | None, conflict: bool, error_code: str, fresh: bool
) -> tuple[object, ...]:
    """What a group row holds beside the computed summary, to tell when it changed."""
    return (str(kind), str(state), client_id, conflict, error_code, fresh)


def new_groups_store(known: Known, cluster: Cluster, cycle: Cycle, version: int) -> None:
    """Rows of groups that were not there; one that comes back keeps its id."""
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
    for start in range(0, len(fresh), AT_ONCE):
        made = ConsumerGroup.objects.bulk_create(
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
            for name in fresh[start : start + AT_ONCE]
        )
        found.update({group.name: group.pk for group in made})
    for name, pk in found.items():
        known.groups[name] = KnownGroup(pk, cycle.memories.get(name) or GroupMemory(name))


def vanished_store(known: Known, cycle: Cycle, version: int) -> None:
    """Groups that a whole listing no longer has: their row stays, what depends on it goes."""
    if not cycle.vanished:
        return
    ids = [known.groups[name].id for name in cycle.vanished]
    known.unsaved_groups.difference_update(ids)
    ConsumerGroup.objects.filter(pk__in=ids).update(vanished_at=as_datetime(cycle.at), version=version)
    GroupTopic.objects.filter(group_id__in=ids).delete()
    StoredMemory.objects.filter(group_id__in=ids).delete()


def group_changed(known: Known, cycle: Cycle, name: str) -> bool:
    """The poll says other than the group's row."""
    group, result = known.groups[name], cycle.results.get(name)
    if result is not None and result.changed:
        return True
    return group.meta != _meta_of(cycle, name)


def _meta_of(cycle: Cycle, name: str) -> tuple[object, ...]:
    reading, owner = cycle.readings[name], cycle.owners.owner(name)
    result, error = cycle.results.get(name), cycle.failed.get(name)
    state = result.summary.state if result else reading.listing.state
    return group_meta(
        reading.listing.type, state, owner.client_id, owner.conflict, error.code if error else "", error is None
    )


_GROUP_COLUMNS = (
    "id bigint, type text, state text, client_id bigint, client_conflict boolean, verdict text, severity smallint, reason text,"
    " rule text, inputs text, members integer, worst_topic text, lag_records bigint, lag_records_max bigint,"
    " unread_since timestamptz, bound float8, method text, produce_rate float8, consume_rate float8, trend float8,"
    " catch_up_seconds float8, flags text[], error_code text, error text, member_list text, fresh boolean,"
    " observed_at timestamptz"
)


def groups_store(known: Known, cluster: Cluster, cycle: Cycle, changed: Sequence[str], version: int) -> int:
    """Update the rows of `changed` groups; the number written."""
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
        summary.verdict.value, summary.verdict.severity, summary.reason, summary.rule, json_text(summary.inputs),
        summary.members, summary.worst_topic or "", summary.lag_records, summary.lag_records_max,
        moment(summary.unread_since), milli(summary.bound), summary.method.value if summary.method else "",
        milli(summary.produce_rate), milli(summary.consume_rate), milli(summary.trend), milli(summary.catch_up_seconds),
        [flag.value for flag in summary.flags], error.code if error else "", error.message[:500] if error else "",
        _member_list(reading, summary.members), error is None, as_datetime(summary.observed_at or cycle.at),
    )  # fmt: skip


def _member_list(reading: GroupReading, members: int | None) -> str | None:
    """The members as last described; None = not described now, keep what is stored."""
    described = reading.description
    if described is not None and described.error is None:
        return json_text(
            [
                {"member_id": m.member_id, "client_id": m.client_id, "host": m.host, "partitions": len(m.partitions)}
                for m in described.members
            ]
        )
    return None if members else "[]"
