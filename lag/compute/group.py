"""One group in one cycle: members, partitions, sums, rates, verdict and events."""

from clusters.ports import GroupType
from lag.compute.log import ClusterLog
from lag.compute.membership import take_description, take_listing
from lag.compute.memory import GroupMemory, PartitionMemory, TopicMemory
from lag.compute.partition import assess_partition, blank
from lag.compute.rules import REBALANCE_GRACE_SECONDS, Surroundings
from lag.compute.summary import summarise, take_sums, without_numbers
from lag.compute.types import (
    Committed,
    GroupEvent,
    GroupReading,
    GroupResult,
    LagSettings,
    PartitionResult,
)
from lag.verdicts import EventKind, Flag, Verdict
from ops_portal.lib.units import is_stale

COMMITS_ALONE = 2  # polls with progress and no member: the group works without membership


def assess_group(
    memory: GroupMemory,
    reading: GroupReading,
    log: ClusterLog,
    settings: LagSettings,
    now: float,
    *,
    listed_before: float | None = None,
) -> GroupResult:
    """Advance `memory` by one reading and say what it means. At most once per group and cycle.

    `log` has observed this cycle; `now` is its time. `listed_before` = when the cluster's groups were listed last; None
    = never, so that a new group is no news.
    Nothing moved and nothing was due: the last result comes back with the new time, at next to no cost.
    """
    events: list[GroupEvent] = []
    is_new = memory.first_seen == 0.0
    if is_new:
        memory.first_seen = now
        if listed_before is not None:
            events.append(GroupEvent(EventKind.GROUP_APPEARED, min(listed_before, now), now))
    read = reading.committed
    if reading.listing.type is GroupType.UNMEASURED:
        return without_numbers(memory, reading, now, events, "unmeasured", Flag.NOT_MEASURED)
    members_changed = _take_group(memory, reading, now, events)
    if read is None or read.error is not None:
        return _unread(memory, reading, settings, now, events)
    quiet = not members_changed and not events and now < memory.next_due and memory.is_quiet(read.offsets, log)
    if quiet and memory.result is not None:
        memory.observed_at = now
        summary = memory.result.summary._replace(observed_at=now)
        return memory.result._replace(summary=summary, events=(), changed=False)
    before = min(memory.observed_at or now, now)
    touched = _take_topics(memory, read.offsets, log, before, now, events)
    around = _surroundings(memory, read.offsets, settings, before, now, events)
    touched |= _take_partitions(memory, read.offsets, log, around, everything=members_changed)
    bare = _take_bare(memory, read.offsets, log, around)
    take_sums(memory, touched, bare, before, now)
    result = summarise(memory, reading, settings, now, events)
    memory.observed_at = now
    memory.next_due = result.next_due
    memory.searching = any(not part.settled for part in memory.parts.values())
    memory.result = result
    return result


def group_vanished(memory: GroupMemory, now: float) -> GroupEvent:
    """The event of a group that a complete listing no longer has."""
    return GroupEvent(EventKind.GROUP_VANISHED, min(memory.listed_at or now, now), now, before=memory.state)


def _unread(
    memory: GroupMemory, reading: GroupReading, settings: LagSettings, now: float, events: list[GroupEvent]
) -> GroupResult:
    """The commits were not read: the last result stays, with its old time, until it is stale."""
    error = reading.committed.error if reading.committed else None
    if error is not None and error.code == "not_allowed":
        return without_numbers(memory, reading, now, events, "not_allowed", Flag.NOT_ALLOWED)
    if memory.result is None or is_stale(now - memory.observed_at, settings.period):
        return without_numbers(memory, reading, now, events, "commits_not_read")
    return memory.result._replace(events=tuple(events), changed=False)


def _take_group(memory: GroupMemory, reading: GroupReading, now: float, events: list[GroupEvent]) -> bool:
    """Follow state and members; True when something that partitions show or are judged by changed."""
    state, memberless = memory.state, memory.memberless_since
    take_listing(memory, reading.listing, now, events)
    described = reading.description is not None and take_description(memory, reading.description, now, events)
    return described or state is not memory.state or memberless != memory.memberless_since


def _take_topics(
    memory: GroupMemory, committed: Committed, log: ClusterLog, before: float, now: float, events: list[GroupEvent]
) -> set[str]:
    """Drop what has no commit any more and start anew where a topic was made again; topics that changed shape."""
    touched: set[str] = set()
    if memory.parts.keys() != committed.keys():
        for partition in [partition for partition in memory.parts if partition not in committed]:
            del memory.parts[partition]
            touched.add(partition[0])
    for topic in {partition[0] for partition in committed} | {partition[0] for partition in memory.assignment}:
        known, topic_id = memory.topics.get(topic), log.facts_of(topic).topic_id
        if known is None:
            memory.topics[topic] = TopicMemory(topic_id)
        elif topic_id != known.topic_id:
            if known.topic_id is not None and topic_id is not None:
                for partition in [partition for partition in memory.parts if partition[0] == topic]:
                    del memory.parts[partition]
                events.append(
                    GroupEvent(EventKind.TOPIC_RECREATED, before, now, topic, before=known.topic_id, after=topic_id)
                )
                memory.topics[topic] = TopicMemory(topic_id)
            known.topic_id = topic_id
            touched.add(topic)
    return touched


def _surroundings(
    memory: GroupMemory,
    committed: Committed,
    settings: LagSettings,
    before: float,
    now: float,
    events: list[GroupEvent],
) -> Surroundings:
    since = memory.memberless_since
    alone = since is not None and since <= before
    if alone and any(part.committed < committed.get(key, 0) for key, part in memory.parts.items()):
        memory.commits_alone += 1
    members = memory.members
    return Surroundings(
        settings=settings,
        now=now,
        before=before,
        memberless_since=since,
        memberless_before=alone and memory.had_members,
        standalone=memory.commits_alone >= (COMMITS_ALONE if memory.had_members else 1),
        rebalancing=now - memory.rebalanced_at < REBALANCE_GRACE_SECONDS,
        group_interval=memory.longest_interval,
        assignment={key: (owner, members[owner].host) for key, owner in memory.assignment.items() if owner in members},
        events=events,
    )


def _take_partitions(
    memory: GroupMemory, committed: Committed, log: ClusterLog, around: Surroundings, *, everything: bool
) -> set[str]:
    """Assess the partitions that moved or are due; the topics they are of."""
    touched: set[str] = set()
    parts, logs, changed, now = memory.parts, log.partitions, log.changed, around.now
    for partition, offset in committed.items():
        part = parts.get(partition)
        if part is None:
            part = parts[log.place_of(partition)] = PartitionMemory(offset, now)
        elif (
            offset == part.committed
            and now < part.next_due
            and partition not in changed
            and part.result is not None
            and not everything
        ):
            continue
        place = log.place_of(partition)
        topic = place[0]
        end, consumed = part.end, offset - part.committed
        assess_partition(part, place, offset, logs.get(place), log.facts_of(topic), around)
        counters = memory.topics[topic]
        if end is not None and part.end is not None:
            counters.moved += max(0, part.end - end)
        counters.read += max(0, consumed)
        touched.add(topic)
    return touched


def _take_bare(
    memory: GroupMemory, committed: Committed, log: ClusterLog, around: Surroundings
) -> dict[str, list[PartitionResult]]:
    """Partitions by topic that are assigned but have no commit.

    Where the group commits elsewhere, old records alone are no alarm: some clients commit only what they have read.
    """
    waiting: dict[str, list[PartitionResult]] = {}
    known, memory.bare = memory.bare, {}
    settings, now = around.settings, around.now
    for partition in memory.assignment:
        entry = log.partitions.get(partition)
        if partition in committed or entry is None or entry.end is None:
            continue
        since, end = known.get(partition, (now, entry.end))
        if committed and end == entry.end:
            since = now
        memory.bare[partition] = since, end
        records = entry.end - (entry.start or 0)
        late = records > 0 and now - since >= settings.no_commits_seconds
        result = blank(partition, None, entry, around)._replace(
            verdict=Verdict.NO_COMMITS if late else Verdict.OK,
            rule="no_commits" if late else "no_commit_yet",
            looked_at=(records, round(now - since, 1)),
        )
        waiting.setdefault(partition[0], []).append(result)
    return waiting
