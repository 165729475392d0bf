"""One group: its topics, partitions, members and events."""

from collections.abc import Sequence
from typing import Any

import orjson

from accounts.policies import Person, Scope, scope_of
from clusters.models import Cluster
from lag.compute.types import seconds_at
from lag.models import ConsumerGroup, GroupEvent, GroupTopic
from lag.rows import EventPage, EventRow, GroupDetail, GroupSummary, MemberRow, PartitionRow, TopicRow
from lag.selectors.board import BadCursor, seconds_between, shared_pairs, summaries_of
from lag.verdicts import Flag, Method, Verdict


def group_by_path(user: Person, cluster: Cluster, path: str) -> ConsumerGroup | None:
    """The group that a path names, `name` or `~<id>`, if the user may see it; None for both absent and hidden."""
    return group_in_scope(scope_of(user), cluster, path)


def group_in_scope(scope: Scope, cluster: Cluster, path: str) -> ConsumerGroup | None:
    """As `group_by_path`, for live views."""
    groups = ConsumerGroup.objects.filter(cluster=cluster, vanished_at__isnull=True)
    if not scope.everything:
        groups = groups.filter(client_id__in=scope.client_ids)
    if path.startswith("~"):
        number = path[1:]
        return (
            groups.filter(pk=int(number)).first()
            if number.isascii() and number.isdigit() and len(number) < 19
            else None
        )
    return None if "\0" in path else groups.filter(name=path).first()


def group_detail(user: Person, cluster: Cluster, group: ConsumerGroup) -> GroupDetail | None:
    """The group with topics and members; None when it went away or out of sight meanwhile."""
    return detail_of(scope_of(user), cluster, group)


def detail_of(scope: Scope, cluster: Cluster, group: ConsumerGroup) -> GroupDetail | None:
    """As `group_detail`, for live views."""
    summaries = summaries_of(scope, cluster, [group.pk])
    if not summaries:
        return None
    summary = summaries[0]
    shared = {topic_id for _, topic_id in shared_pairs(scope, [group.pk])}
    topics = GroupTopic.objects.filter(group=group).select_related("topic").order_by("topic__name")
    rows = tuple(_topic(row, summary, row.topic_id in shared) for row in topics)
    group.refresh_from_db(fields=["member_list"])
    return GroupDetail(summary, rows, group_member_list(group))


def group_member_list(group: ConsumerGroup) -> tuple[MemberRow, ...]:
    """Members as last described, by client and id."""
    members = (MemberRow(**member) for member in group.member_list)
    return tuple(sorted(members, key=lambda member: (member.client_id, member.member_id)))


def _topic(row: GroupTopic, summary: GroupSummary, shared: bool) -> TopicRow:
    at = summary.observed_at
    return TopicRow(
        topic=row.topic.name,
        topic_id=row.topic.topic_id or None,
        lag_records=row.lag_records,
        lag_seconds=seconds_between(row.unread_since, row.method, at),
        partitions=partition_rows(bytes(row.rows), at.timestamp() if at else 0.0, stale=summary.stale, shared=shared),
    )


def partition_rows(data: bytes, at: float, *, stale: bool = False, shared: bool = False) -> tuple[PartitionRow, ...]:
    """Partitions out of `GroupTopic.rows`, with seconds at time `at`."""
    plain = orjson.loads(data)
    members = plain["members"]
    return tuple(_partition(row, members, at, stale, shared) for row in plain["partitions"])


def _partition(
    row: Sequence[Any], members: Sequence[Sequence[str]], at: float, stale: bool, shared: bool
) -> PartitionRow:
    number, committed, start, end, watermark, lag, since, bound, method, verdict, flags, member = row
    seconds = seconds_at(since, Method(method) if method else None, at)
    if shared:
        start = end = watermark = None
        flags = [*flags, Flag.SHARED_TOPIC.value]
    member_id, host = members[member] if member is not None else (None, None)
    return PartitionRow(
        partition=number, committed=committed, start=start, end=end, high_watermark=watermark, lag_records=lag,
        lag_seconds=None if seconds is None else round(seconds, 3), lag_seconds_bound=bound, lag_seconds_method=method,
        verdict=Verdict.UNKNOWN if stale else Verdict(verdict), flags=tuple(flags), member=member_id, host=host,
    )  # fmt: skip


def group_events(
    user: Person, group: ConsumerGroup, *, kinds: Sequence[str] = (), limit: int = 100, cursor: str | None = None
) -> EventPage:
    """Events of a group that the user may see, newest first. Raises BadCursor."""
    scope = scope_of(user)
    events = GroupEvent.objects.filter(group=group)
    if not scope.everything:
        events = events.filter(group__client_id__in=scope.client_ids)
    if kinds:
        events = events.filter(kind__in=kinds)
    total = events.count()
    if cursor:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise BadCursor("the cursor cannot be read")
        events = events.filter(pk__lt=int(cursor))
    found = list(events.order_by("-pk")[: limit + 1])
    after = str(found[limit - 1].pk) if len(found) > limit else None
    return EventPage(tuple(_event(event) for event in found[:limit]), after, total)


def _event(event: GroupEvent) -> EventRow:
    return EventRow(
        id=event.pk, at=event.at, at_earliest=event.at_earliest, kind=event.kind, topic=event.topic or None,
        partition=event.partition, member=event.member or None, before=event.before, after=event.after,
        records=event.records, seconds=event.seconds,
    )  # fmt: skip
