"""The board: groups of a cluster as somebody may see them, filtered, sorted and paged in the database."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from accounts.policies import Person, Scope, scope_of
from clusters.models import Cluster
from lag.models import GroupSetting
from lag.rows import BoardPage, BoardQuery, GroupSummary
from lag.selectors.freshness import Freshness, freshness_of
from lag.selectors.settings import longest_match
from lag.verdicts import Flag, Verdict
from ops_portal.lib.clock import as_datetime

MOST_ROWS = 500
# What a summary's inputs may not tell about a topic that several clients share.
SHARED_SECRETS = frozenset({"start", "end", "high_watermark", "produce_rate", "log_start", "lost", "past", "records"})
RULES_THAT_TELL_OFFSETS = frozenset({"truncated", "beyond_end", "no_commits", "no_commit_yet"})

_AT = "CASE WHEN g.fresh THEN %(observed_at)s ELSE g.observed_at END"
_STALE = "(%(stale)s OR NOT g.fresh AND g.observed_at < %(cutoff)s)"
_VERDICT = f"CASE WHEN {_STALE} THEN 'unknown' ELSE g.verdict END"
_SEVERITY = f"CASE WHEN {_STALE} THEN {Verdict.UNKNOWN.severity} ELSE g.severity END"
# Against the time of the first page, so that later pages go on in the same order although time has passed.
_SORT_SECONDS = (
    "CASE WHEN g.lag_seconds_method = 'caught_up' THEN 0::float8 WHEN g.unread_since IS NOT NULL THEN greatest(0, extract(epoch FROM"
    " CASE WHEN g.fresh THEN %(sort_at)s ELSE g.observed_at END - g.unread_since))::float8 END"
)
_SORTS = {
    "severity": _SEVERITY,
    "group": "g.name",
    "client": "c.name",
    "members": "g.members",
    "lag_records": "g.lag_records",
    "lag_seconds": _SORT_SECONDS,
    "produce_rate": "g.produce_rate",
    "consume_rate": "g.consume_rate",
    "catch_up_seconds": "g.catch_up_seconds",
    "observed_at": f"extract(epoch FROM {_AT})::float8",
}
SORT_FIELDS = tuple(_SORTS)
_TEXT_SORTS = {"group", "client"}

_COLUMNS = (
    f"g.id, g.name, g.type, g.state, {_VERDICT}, g.reason, g.rule, g.inputs::text, c.name, g.members, g.worst_topic, g.lag_records,"
    " g.lag_records_max, g.unread_since, g.lag_seconds_bound, g.lag_seconds_method, g.produce_rate, g.consume_rate, g.trend,"
    f" g.catch_up_seconds, g.flags, {_AT}, {_STALE}, g.error"
)
_FROM = "FROM lag_consumergroup g LEFT JOIN accounts_client c ON c.id = g.client_id"


class BadCursor(ValueError):
    """The cursor is not one of this list, or belongs to other filters or another sort."""


class BadSort(ValueError):
    """There is no such field to sort by."""


def group_board(user: Person, cluster: Cluster, query: BoardQuery) -> BoardPage:
    """One page of the cluster's groups that the user may see. Raises BadCursor and BadSort."""
    return board_of(scope_of(user), cluster, query)


def board_of(scope: Scope, cluster: Cluster, query: BoardQuery) -> BoardPage:
    """As `group_board`, for live views, whose key holds the scope."""
    fresh = freshness_of([cluster.pk])[cluster.pk]
    sort, descending = query.sort.removeprefix("-"), query.sort.startswith("-")
    if sort not in _SORTS:
        raise BadSort(f"cannot sort by {sort}")
    limit = max(1, min(MOST_ROWS, query.limit))
    mark = _mark_of(query, scope)
    position = _position(query.cursor, mark, sort) if query.cursor else None
    where, params = _filtered(scope, cluster.pk, query, fresh)
    params["sort_at"] = as_datetime(position[0]) if position else fresh.observed_at
    counts = _verdict_counts(where, params)
    if query.verdict:
        where += f" AND {_VERDICT} = ANY(%(verdicts)s)"
        params["verdicts"] = list(query.verdict)
    total = sum(count for verdict, count in counts.items() if not query.verdict or verdict in query.verdict)
    key = _SORTS[sort]
    after = _after(position, key, descending, params) if position else ""
    order = f"{key} {'DESC' if descending else 'ASC'} NULLS LAST, g.name, g.id"
    rows = _rows(f"SELECT {_COLUMNS}, {key} {_FROM} WHERE {where}{after} ORDER BY {order} LIMIT {limit + 1}", params)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        at = params["sort_at"].timestamp() if params["sort_at"] else 0.0
        cursor = _cursor(mark, at, last[-1], last[1], last[0])
    items = _summaries(rows[:limit], scope, cluster, fresh)
    return BoardPage(items, cursor, total, counts)


def summaries_of(scope: Scope, cluster: Cluster, group_ids: Iterable[int]) -> tuple[GroupSummary, ...]:
    """Summaries of some groups by id, in no order; what the scope may not see is left out."""
    fresh = freshness_of([cluster.pk])[cluster.pk]
    where, params = _filtered(scope, cluster.pk, BoardQuery(), fresh)
    params["ids"] = list(group_ids)
    rows = _rows(f"SELECT {_COLUMNS} {_FROM} WHERE {where} AND g.id = ANY(%(ids)s)", params)
    return _summaries(rows, scope, cluster, fresh)


def verdict_counts(user: Person, cluster: Cluster) -> dict[str, int]:
    """How many groups that the user may see have which verdict; verdicts without a group are left out."""
    where, params = _filtered(scope_of(user), cluster.pk, BoardQuery(), freshness_of([cluster.pk])[cluster.pk])
    return _verdict_counts(where, params)


def shared_group_ids(scope: Scope, group_ids: Sequence[int]) -> set[int]:
    """Groups that read a topic which clients outside the scope share."""
    return {group_id for group_id, _ in shared_pairs(scope, group_ids)}


def shared_pairs(scope: Scope, group_ids: Sequence[int]) -> set[tuple[int, int]]:
    """(group id, topic row id) where clients outside the scope own the topic or read it too."""
    if scope.everything or not group_ids:
        return set()
    rows = _rows(
        "SELECT gt.group_id, gt.topic_id FROM lag_grouptopic gt JOIN clusters_topic t ON t.id = gt.topic_id"
        " WHERE gt.group_id = ANY(%(ids)s) AND (t.client_id <> ALL(%(clients)s) OR EXISTS ("
        "SELECT 1 FROM lag_grouptopic o JOIN lag_consumergroup og ON og.id = o.group_id"
        " WHERE o.topic_id = gt.topic_id AND og.vanished_at IS NULL AND og.client_id <> ALL(%(clients)s)))",
        {"ids": list(group_ids), "clients": sorted(scope.client_ids)},
    )
    return {(row[0], row[1]) for row in rows}


def _filtered(scope: Scope, cluster_id: int, query: BoardQuery, fresh: Freshness) -> tuple[str, dict[str, Any]]:
    where = "g.cluster_id = %(cluster)s AND g.vanished_at IS NULL"
    params: dict[str, Any] = {
        "cluster": cluster_id,
        "observed_at": fresh.observed_at,
        "stale": fresh.stale,
        "cutoff": fresh.cutoff,
    }
    if not scope.everything:
        where += " AND g.client_id = ANY(%(scope)s)"
        params["scope"] = sorted(scope.client_ids)
    if query.q:
        where += " AND strpos(lower(g.name), lower(%(q)s)) > 0"
        params["q"] = query.q
    if query.client:
        where += " AND c.name = ANY(%(client)s)"
        params["client"] = list(query.client)
    if query.state:
        where += " AND g.state = ANY(%(state)s)"
        params["state"] = list(query.state)
    return where, params


def _verdict_counts(where: str, params: dict[str, Any]) -> dict[str, int]:
    rows = _rows(f"SELECT {_VERDICT} AS effective, count(*) {_FROM} WHERE {where} GROUP BY effective", params)
    found = {row[0]: row[1] for row in rows}
    return {verdict.value: found[verdict.value] for verdict in Verdict if verdict.value in found}


def _summaries(
    rows: Sequence[Sequence[Any]], scope: Scope, cluster: Cluster, fresh: Freshness
) -> tuple[GroupSummary, ...]:
    shared = shared_group_ids(scope, [row[0] for row in rows])
    mutes = list(GroupSetting.objects.filter(cluster=cluster, muted_until__gt=fresh.now))
    mutes.sort(key=lambda mute: -len(mute.glob))
    return tuple(
        _shown(_summary(row, cluster.name, fresh, with_errors=scope.everything), row[0] in shared, mutes)
        for row in rows
    )


def _summary(row: Sequence[Any], cluster: str, fresh: Freshness, *, with_errors: bool) -> GroupSummary:
    (
        pk, name, kind, state, verdict, reason, rule, inputs, client, members, worst_topic, lag_records, lag_records_max,
        unread_since, bound, method, produce_rate, consume_rate, trend, catch_up, flags, at, stale, error,
    ) = row[:24]  # fmt: skip
    if stale:
        rule, inputs = "stale", "{}"
        reason = fresh.reason(with_error=with_errors)
        if not fresh.stale:
            reason = (
                f"This group was last read {fresh.age(at):.0f} s ago{f': {error}' if error and with_errors else '.'}"
            )
    return GroupSummary(
        id=pk, cluster=cluster, group=name, type=kind, state=state, verdict=Verdict(verdict), reason=reason, rule=rule,
        inputs=orjson.loads(inputs), client=client, members=members, worst_topic=worst_topic or None,
        lag_records=lag_records, lag_records_max=lag_records_max, lag_seconds=seconds_between(unread_since, method, at),
        lag_seconds_bound=bound, lag_seconds_method=method or None, produce_rate=produce_rate, consume_rate=consume_rate,
        trend=trend, catch_up_seconds=catch_up, flags=tuple(flags), observed_at=at, age_seconds=fresh.age(at), stale=stale,
    )  # fmt: skip


def seconds_between(unread_since: datetime | None, method: str, at: datetime | None) -> float | None:
    """Lag in seconds at a reading (lag.compute.types.seconds_at, on stored columns)."""
    if method == "caught_up":
        return 0.0
    if unread_since is None or not method or at is None:
        return None
    seconds = max(0.0, (at - unread_since).total_seconds())
    return None if method == "lower_bound" and seconds <= 0.0 else round(seconds, 3)


def _shown(summary: GroupSummary, shared: bool, mutes: Sequence[GroupSetting]) -> GroupSummary:
    mute = longest_match(mutes, summary.group)
    if mute is not None:
        summary = replace(summary, muted_until=mute.muted_until)
    if not shared:
        return summary
    inputs = {name: value for name, value in summary.inputs.items() if name not in SHARED_SECRETS}
    reason = summary.reason
    if summary.rule in RULES_THAT_TELL_OFFSETS:
        reason = f"{summary.group}: {summary.verdict.label}"
    flags = (*summary.flags, Flag.SHARED_TOPIC.value)
    return replace(summary, produce_rate=None, reason=reason, inputs=inputs, flags=flags)


# --- cursors -----------------------------------------------------------------------------------------------------------------
Position = tuple[float, Any, str, int]  # time of the first page, sort value, name and id of the last row


def _mark_of(query: BoardQuery, scope: Scope) -> str:
    parts = [query.q, sorted(query.verdict), sorted(query.client), sorted(query.state), query.sort, scope.key]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:12]


def _cursor(mark: str, at: float, value: Any, name: str, pk: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([mark, at, value, name, pk])).decode().rstrip("=")


def _position(cursor: str, mark: str, sort: str) -> Position:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        of, at, value, name, pk = found
        fits = value is None or isinstance(value, str if sort in _TEXT_SORTS else (int, float))
        if of != mark or not fits or not isinstance(name, str) or not isinstance(pk, int) or "\0" in f"{name}{value}":
            raise BadCursor("the cursor belongs to another list, filter or sort")
        as_datetime(at)
    except (binascii.Error, orjson.JSONDecodeError, TypeError, OverflowError, OSError, UnicodeError) as error:
        raise BadCursor("the cursor cannot be read") from error
    except ValueError as error:
        raise error if isinstance(error, BadCursor) else BadCursor("the cursor cannot be read") from error
    return at, value, name, pk


def _after(position: Position, key: str, descending: bool, params: dict[str, Any]) -> str:
    _, value, name, pk = position
    params |= {"after_value": value, "after_name": name, "after_id": pk}
    tie = "(g.name, g.id) > (%(after_name)s, %(after_id)s)"
    if value is None:
        return f" AND {key} IS NULL AND {tie}"
    compare = "<" if descending else ">"
    return f" AND ({key} {compare} %(after_value)s OR {key} = %(after_value)s AND {tie} OR {key} IS NULL)"


def _rows(statement: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())
