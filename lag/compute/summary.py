"""From partitions to topics to the group: sums, the worst, rates, and the verdict with its reason."""

import math
from collections.abc import Iterable, Mapping

from lag.compute.memory import MEMBERLESS, NEVER, GroupMemory, TopicMemory
from lag.compute.reasons import WITHOUT_NUMBERS, partition_reason
from lag.compute.types import (
    GroupEvent,
    GroupReading,
    GroupResult,
    GroupSummary,
    Inputs,
    LagSettings,
    PartitionResult,
    TopicResult,
)
from lag.verdicts import EventKind, Flag, Method, Verdict

SECONDS_UNKNOWN: tuple[None, None, None] = (None, None, None)
Seconds = tuple[float | None, float | None, Method | None]


def take_sums(
    memory: GroupMemory, touched: set[str], bare: Mapping[str, list[PartitionResult]], before: float, now: float
) -> None:
    """Rebuild the results of topics in which something moved, or whose rates have not come to rest."""
    partitions: dict[str, list[PartitionResult]] = {}
    stale = {
        topic
        for topic, known in memory.topics.items()
        if topic in touched or topic in bare or known.result is None or not _at_rest(known.result)
    }
    for key, part in memory.parts.items():
        if key[0] in stale and part.result is not None:
            partitions.setdefault(key[0], []).append(part.result)
    for topic in stale:
        results = partitions.get(topic, []) + bare.get(topic, [])
        if not results:
            del memory.topics[topic]
            continue
        results.sort(key=lambda result: result.partition)
        _take_topic(memory.topics[topic], topic, results, before, now)


def _at_rest(result: TopicResult) -> bool:
    return not result.produce_rate and not result.consume_rate and not result.trend and result.trend is not None


def _take_topic(known: TopicMemory, topic: str, results: list[PartitionResult], before: float, now: float) -> None:
    unread = [result.lag_records for result in results if result.lag_records is not None]
    records = sum(unread) if unread else None
    known.advance(now, before, records)
    produced, consumed, trend = known.rates(now)
    since, bound, method = worst_seconds(results)
    known.worst = min(results, key=_badness)
    result = TopicResult(
        topic=topic,
        topic_id=known.topic_id,
        lag_records=records,
        lag_records_max=max(unread) if unread else None,
        unread_since=since,
        bound=bound,
        method=method,
        produce_rate=produced,
        consume_rate=consumed,
        trend=trend,
        verdict=known.worst.verdict,
        partitions=tuple(results),
    )
    known.result = result


def _badness(result: PartitionResult) -> tuple[int, int]:
    return result.verdict.severity, -(result.lag_records or 0)


def worst_seconds(results: Iterable[PartitionResult | TopicResult]) -> Seconds:
    """(unread since, bound, method) of the worst, so that the truth of the worst lies within.

    One that is only known as a lower bound, or not at all, makes the whole a lower bound.
    """
    since = earliest = math.inf
    worst: PartitionResult | TopicResult | None = None
    measured, certain = False, True
    for result in results:
        method = result.method
        if method is None:
            certain = certain and not result.lag_records
            continue
        measured = True
        if method is Method.CAUGHT_UP or result.unread_since is None:
            continue
        if result.bound is None:
            certain = False
        else:
            earliest = min(earliest, result.unread_since - result.bound)
        if result.unread_since < since:
            since, worst = result.unread_since, result
    if worst is None:
        return (None, 0.0, Method.CAUGHT_UP) if measured and certain else SECONDS_UNKNOWN
    if not certain or worst.bound is None:
        return since, None, Method.LOWER_BOUND
    return since, max(worst.bound, since - earliest), worst.method


def summarise(
    memory: GroupMemory, reading: GroupReading, settings: LagSettings, now: float, events: list[GroupEvent]
) -> GroupResult:
    """The group's result from its topics', and what becomes due when."""
    known = list(memory.topics.values())
    topics = tuple(entry.result for _, entry in sorted(memory.topics.items()) if entry.result is not None)
    worst = min((entry.worst for entry in known if entry.worst is not None), key=_badness, default=None)
    unread = [topic.lag_records for topic in topics if topic.lag_records is not None]
    records = sum(unread) if unread else None
    since, bound, method = worst_seconds(topics)
    members = member_count(memory)
    if worst is None:
        verdict, rule, inputs = Verdict.OK, "nothing_committed", Inputs()
        reason = WITHOUT_NUMBERS[rule]
    else:
        verdict, rule = worst.verdict, worst.rule
        inputs = {"topic": worst.topic, "partition": worst.partition, "members": members, **worst.inputs}
        alike = sum(1 for topic in topics if topic.verdict is verdict for p in topic.partitions if p.rule == rule) - 1
        reason = partition_reason(memory.group, members, worst, inputs, alike)
    flags = {flag for topic in topics for partition in topic.partitions for flag in partition.flags}
    summary = GroupSummary(
        group=memory.group,
        type=reading.listing.type,
        state=reading.listing.state,
        verdict=verdict,
        reason=reason,
        rule=rule,
        inputs=inputs,
        members=members,
        worst_topic=worst.topic if worst else None,
        lag_records=records,
        lag_records_max=max((t.lag_records_max for t in topics if t.lag_records_max is not None), default=None),
        unread_since=since,
        bound=bound,
        method=method,
        produce_rate=_sum(topic.produce_rate for topic in topics),
        consume_rate=_sum(topic.consume_rate for topic in topics),
        trend=_sum(topic.trend for topic in topics),
        catch_up_seconds=_catch_up(topics),
        flags=tuple(sorted(flags)),
        observed_at=now,
    )
    note_verdict(memory, verdict, now, events)
    next_due = _next_due(memory, topics, settings, now)
    return GroupResult(summary, topics, tuple(memory.members.values()), tuple(events), True, next_due)


def note_verdict(memory: GroupMemory, verdict: Verdict, now: float, events: list[GroupEvent]) -> None:
    """A verdict that changed is an event."""
    if memory.verdict is not None and verdict is not memory.verdict:
        earliest = min(memory.observed_at or now, now)
        events.append(GroupEvent(EventKind.VERDICT_CHANGED, earliest, now, before=memory.verdict, after=verdict))
    memory.verdict = verdict


def member_count(memory: GroupMemory) -> int | None:
    """Members as last described; 0 by the state alone; None when never described."""
    if memory.state in MEMBERLESS:
        return 0
    return len(memory.members) if memory.described_at and memory.members else None


def _sum(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def _catch_up(topics: Iterable[TopicResult]) -> float | None:
    """That of the slowest partition; None as soon as one does not converge."""
    slowest: float | None = None
    for topic in topics:
        for partition in topic.partitions:
            if partition.lag_records is None:
                continue
            if partition.catch_up_seconds is None:
                return None
            slowest = max(slowest or 0.0, partition.catch_up_seconds)
    return slowest


def _next_due(memory: GroupMemory, topics: Iterable[TopicResult], settings: LagSettings, now: float) -> float:
    if any(not _at_rest(topic) for topic in topics):
        return now
    due = min((part.next_due for part in memory.parts.values()), default=NEVER)
    waits = [since + settings.no_commits_seconds for since, _ in memory.bare.values()]
    return min([due, *(wait for wait in waits if wait > now)])


def without_numbers(
    memory: GroupMemory,
    reading: GroupReading,
    now: float,
    events: list[GroupEvent],
    rule: str,
    flag: Flag | None = None,
) -> GroupResult:
    """A group that is listed and nothing more: every number unknown."""
    note_verdict(memory, Verdict.UNKNOWN, now, events)
    error = reading.committed.error if reading.committed else None
    reason = WITHOUT_NUMBERS[rule] + (f": {error.message}" if error is not None else "")
    summary = GroupSummary(
        group=memory.group,
        type=reading.listing.type,
        state=reading.listing.state,
        verdict=Verdict.UNKNOWN,
        reason=reason,
        rule=rule,
        inputs={"error": error.code} if error is not None else {},
        members=None,
        worst_topic=None,
        lag_records=None,
        lag_records_max=None,
        unread_since=None,
        bound=None,
        method=None,
        produce_rate=None,
        consume_rate=None,
        trend=None,
        catch_up_seconds=None,
        flags=(flag,) if flag else (),
        observed_at=memory.observed_at if rule == "commits_not_read" and memory.observed_at else now,
    )
    last = memory.result
    same = last is not None and last.summary._replace(observed_at=summary.observed_at) == summary
    memory.next_due = 0.0
    memory.result = GroupResult(summary, (), (), (), False, now)
    return memory.result._replace(events=tuple(events), changed=not same)
