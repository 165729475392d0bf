"""Live views of lag: the board of a cluster and one group. Rows as in interfaces.md 5, numbers cut to what a screen shows."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings

from accounts.policies import Scope, may
from accounts.roles import Right
from clusters.models import Cluster, Source
from clusters.ports import GroupState
from lag.board_columns import BOARD_COLUMNS, board_values, short, short_seconds
from lag.rows import BoardQuery, GroupDetail, GroupSummary, PartitionRow
from lag.selectors.board import MOST_ROWS, SORT_FIELDS, board_of
from lag.selectors.clusters import clusters_in
from lag.selectors.detail import detail_of, group_in_scope
from lag.selectors.freshness import freshness_of
from lag.verdicts import Verdict
from ops_portal.lib.live.views import Forbidden, Params, Snapshot, View, Watcher, register

# Columns of a partition row, then those that only the summary row has.
GROUP_COLUMNS = (
    "topic", "partition", "committed", "start", "end", "high_watermark", "lag_records", "lag_seconds", "lag_seconds_bound",
    "lag_seconds_method", "verdict", "flags", "member", "host", "observed_at",
    "client", "type", "state", "members", "worst_topic", "lag_records_max", "produce_rate", "consume_rate", "trend",
    "catch_up_seconds", "reason", "rule", "inputs", "stale", "id", "cluster", "group", "age_seconds",
)  # fmt: skip
_LONGEST_TEXT = 300


# --- board ---------------------------------------------------------------------------------------------------------------
def _board_params(raw: Params) -> dict[str, Any]:
    sort = _text(raw, "sort") or "severity"
    if sort.removeprefix("-") not in SORT_FIELDS:
        raise ValueError(f"cannot sort by {sort}")
    return {
        "cluster": _needed(raw, "cluster"),
        "q": _text(raw, "q"),
        "verdict": _words(raw, "verdict", [verdict.value for verdict in Verdict]),
        "client": _words(raw, "client", None),
        "state": _words(raw, "state", [state.value for state in GroupState]),
        "sort": sort,
        "limit": _limit(raw),
    }


def _board_scope(watcher: Watcher, params: Params) -> str:
    return _scope(watcher).key


def _board_snapshot(scope: str, params: Params) -> Snapshot:
    cluster = next((found for found in clusters_in(Scope.of_key(scope)) if found.name == params["cluster"]), None)
    if cluster is None:  # hidden and absent look alike
        return Snapshot({}, None)
    query = BoardQuery(
        q=params["q"], verdict=tuple(params["verdict"]), client=tuple(params["client"]), state=tuple(params["state"]),
        sort=params["sort"], limit=params["limit"],
    )  # fmt: skip
    page = board_of(Scope.of_key(scope), cluster, query)
    return Snapshot({str(item.id): board_values(item) for item in page.items}, _source_at(cluster))


# --- one group -------------------------------------------------------------------------------------------------------------
def _group_params(raw: Params) -> dict[str, Any]:
    return {"cluster": _needed(raw, "cluster"), "group": _needed(raw, "group")}


def _group_scope(watcher: Watcher, params: Params) -> str:
    scope = _scope(watcher)
    cluster = Cluster.objects.filter(name=params["cluster"], removed_at__isnull=True).first()
    if cluster is None or group_in_scope(scope, cluster, params["group"]) is None:
        raise Forbidden("there is no such group")
    return scope.key


def _group_snapshot(scope_key: str, params: Params) -> Snapshot:
    scope = Scope.of_key(scope_key)
    cluster = Cluster.objects.filter(name=params["cluster"], removed_at__isnull=True).first()
    if cluster is None:
        return Snapshot({}, None)
    group = group_in_scope(scope, cluster, params["group"])
    detail = detail_of(scope, cluster, group) if group is not None else None
    at = _source_at(cluster)
    return Snapshot(_group_rows(detail, at) if detail is not None else {}, at)


def _group_rows(detail: GroupDetail, source_at: float | None) -> dict[str, list[Any]]:
    at = _epoch(detail.summary)
    rows = {"": _summary_row(detail.summary, source_at)}
    for topic in detail.topics:
        for partition in topic.partitions:
            rows[f"{topic.topic}/{partition.partition}"] = _partition_row(topic.topic, partition, at)
    return rows


def _summary_row(item: GroupSummary, source_at: float | None) -> list[Any]:
    at = _epoch(item)
    age = None if at is None or source_at is None else round(source_at - at, 1)  # as of the view's own time
    return [
        None, None, None, None, None, None, item.lag_records, short_seconds(item.lag_seconds), short(item.lag_seconds_bound),
        item.lag_seconds_method, item.verdict.value, list(item.flags), None, None, at,
        item.client, item.type, item.state, item.members, item.worst_topic, item.lag_records_max, short(item.produce_rate),
        short(item.consume_rate), short(item.trend), short_seconds(item.catch_up_seconds), item.reason, item.rule, item.inputs,
        item.stale, item.id, item.cluster, item.group, age,
    ]  # fmt: skip


def _partition_row(topic: str, row: PartitionRow, at: float | None) -> list[Any]:
    figures = [
        topic, row.partition, row.committed, row.start, row.end, row.high_watermark, row.lag_records,
        short_seconds(row.lag_seconds), short(row.lag_seconds_bound), row.lag_seconds_method, row.verdict.value, list(row.flags),
        row.member, row.host, at,
    ]  # fmt: skip
    return figures + [None] * (len(GROUP_COLUMNS) - len(figures))


# --- shared ----------------------------------------------------------------------------------------------------------------
def _epoch(item: GroupSummary) -> float | None:
    return item.observed_at.timestamp() if item.observed_at else None


def _source_at(cluster: Cluster) -> float | None:
    at = freshness_of([cluster.pk])[cluster.pk].observed_at
    return at.timestamp() if at else None


def _scope(watcher: Watcher) -> Scope:
    sight = watcher.claims.sight
    if not may(sight, Right.SEE_LAG):
        raise Forbidden("this view needs the right to see lag")
    scope: Scope = sight.scope
    return scope


def _period(params: Params) -> float:
    """The default where there is no source, so that a cluster that is hidden is like one that is absent."""
    sources = Source.objects.filter(cluster__name=params["cluster"], cluster__removed_at__isnull=True, kind="lag")
    return sources.values_list("period_seconds", flat=True).first() or settings.LAG_PERIOD_SECONDS


def _needed(raw: Mapping[str, Any], name: str) -> str:
    text = _text(raw, name)
    if not text:
        raise ValueError(f"{name} is needed")
    return text


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name, "")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
        raise ValueError(f"{name} must be a text of at most {_LONGEST_TEXT} characters")
    return value


def _words(raw: Mapping[str, Any], name: str, known: Iterable[str] | None) -> list[str]:
    value = raw.get(name) or []
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or len(words) > 100 or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{name} must be a list of texts")
    if known is not None and (unknown := sorted(set(words) - set(known))):
        raise ValueError(f"{name} has no value {unknown[0]}")
    return sorted(set(words))


def _limit(raw: Mapping[str, Any]) -> int:
    try:
        limit = int(raw.get("limit") or 100)
    except (TypeError, ValueError):
        raise ValueError("limit must be a number") from None
    if not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"limit must lie between 1 and {MOST_ROWS}")
    return limit


def register_views() -> None:
    """Called once from `LagConfig.ready`."""
    register(
        View(
            "lag.board", BOARD_COLUMNS, _board_params, _board_scope, _board_snapshot, _period, time_column="observed_at"
        )
    )
    register(
        View(
            "lag.group",
            GROUP_COLUMNS,
            _group_params,
            _group_scope,
            _group_snapshot,
            _period,
            key="row",
            time_column="observed_at",
        )
    )
