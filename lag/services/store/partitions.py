"""Partitions of a group on a topic: one row per topic, written only when it changed."""

from collections.abc import Iterable
from typing import Any

import orjson

from lag.compute.types import TopicResult
from lag.cycle import Cycle
from lag.known import Known, KnownSeries
from lag.services.store.values import milli, moment
from ops_portal.lib.bulk import ran, staged
from ops_portal.lib.memory import fitted

_GROUP_TOPIC_COLUMNS = (
    "group_id bigint, topic_id bigint, lag_records bigint, unread_since timestamptz, method text, consume_rate float8,"
    " verdict text, rows bytea"
)


def group_topics_store(known: Known, cycle: Cycle, changed: Iterable[str], version: int) -> int:
    """Update what `changed` groups hold per topic; the number of rows written."""
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
            series = group.topics.get(topic_id)
            if series is None:
                series = group.topics[topic_id] = KnownSeries()
            if series.row_of is topic:  # nothing in it has moved
                continue
            row = _group_topic_row(group.id, topic_id, topic)
            mark, series.row_of = hash(row), topic
            if series.row != mark:
                series.row = mark
                rows.append(row)
        for topic_id in group.topics.keys() - seen:
            gone.append((group.id, topic_id))
            del group.topics[topic_id]
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
                milli(part.unread_since),
                milli(part.bound),
                part.method,
                part.verdict,
                part.flags,
                member,
            ]
        )
    data = fitted(orjson.dumps({"members": list(members), "partitions": partitions}))
    return (
        group_id, topic_id, topic.lag_records, moment(topic.unread_since), topic.method.value if topic.method else "",
        milli(topic.consume_rate), topic.verdict.value, data,
    )  # fmt: skip
