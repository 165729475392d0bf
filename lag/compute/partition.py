"""One partition of a group in one cycle: its commit, unread records and their age; rules.py gives the verdict."""

from clusters.ports import Partition
from lag.compute.log import PartitionLog
from lag.compute.memory import INTERVALS_KEPT, NEVER, SAMPLE_STEP_SECONDS, WINDOW_SECONDS, PartitionMemory
from lag.compute.rules import OPEN_TXN_SECONDS, Surroundings, judge
from lag.compute.seconds import locate
from lag.compute.types import GroupEvent, LagSettings, Looked, PartitionResult, TopicFacts
from lag.verdicts import EventKind, Flag, Method, Verdict
from ops_portal.lib.units import is_stale


def assess_partition(
    part: PartitionMemory,
    partition: Partition,
    offset: int,
    log: PartitionLog | None,
    facts: TopicFacts,
    around: Surroundings,
) -> PartitionResult:
    """Advance the memory of one partition by one reading and judge it. Sets `part.next_due`."""
    settings, now = around.settings, around.now
    moved = offset != part.committed
    if moved:
        _take_commit(part, partition, offset, around)
    end = log.measured(settings.read_committed) if log is not None else None
    if log is None or log.start is None or end is None or log.end is None:
        return _unknown(part, partition, log, around, "not_read", ())
    if is_stale(now - log.read_at, settings.period):
        return _unknown(part, partition, log, around, "stale", (now - log.read_at,))
    if offset > log.end:
        return _unknown(part, partition, log, around, "beyond_end", (offset, log.end, offset - log.end))
    _take_start(part, partition, offset, log.start, around)
    position = max(offset, log.start)
    records = max(0, end - position)
    part.waiting_since = None if records == 0 else part.waiting_since or now
    _take_seconds(part, position, records, log, facts, around)
    _take_trough(part, records, moved, around)
    part.end = end
    verdict, rule, looked_at, catch_up = judge(part, offset, records, log, around)
    part.verdict = verdict
    part.result = blank(partition, offset, log, around)._replace(
        lag_records=records,
        unread_since=part.since,
        bound=part.bound,
        method=part.method,
        verdict=verdict,
        rule=rule,
        looked_at=looked_at,
        flags=_flags(part, log, settings, now),
        lost=max(0, log.start - offset),
        committed_at=part.committed_at,
        catch_up_seconds=catch_up,
    )
    return part.result


def blank(
    partition: Partition, committed: int | None, log: PartitionLog | None, around: Surroundings
) -> PartitionResult:
    """Offsets and owner of a partition, and nothing said of its lag."""
    member_id, host = around.assignment.get(partition, (None, None))
    return PartitionResult(
        topic=partition[0],
        partition=partition[1],
        committed=committed,
        start=log.start if log else None,
        end=log.measured(around.settings.read_committed) if log else None,
        high_watermark=log.end if log else None,
        lag_records=None,
        unread_since=None,
        bound=None,
        method=None,
        verdict=Verdict.OK,
        rule="",
        looked_at=(),
        flags=(),
        lost=0,
        member_id=member_id,
        host=host,
        committed_at=None,
        catch_up_seconds=None,
    )


def _unknown(
    part: PartitionMemory,
    partition: Partition,
    log: PartitionLog | None,
    around: Surroundings,
    rule: str,
    looked_at: Looked,
) -> PartitionResult:
    """Offsets that say nothing of lag: nothing is made up, the evidence stays in what was looked at."""
    part.verdict, part.next_due = Verdict.UNKNOWN, NEVER
    part.position = part.since = part.bound = part.method = part.trough = None
    part.settled = True
    part.troughs = ()
    part.result = blank(partition, part.committed, log, around)._replace(
        verdict=Verdict.UNKNOWN,
        rule=rule,
        looked_at=looked_at,
        flags=(Flag.BEYOND_END,) if rule == "beyond_end" else (),
        committed_at=part.committed_at,
    )
    return part.result


def _take_commit(part: PartitionMemory, partition: Partition, offset: int, around: Surroundings) -> None:
    old, part.committed, part.committed_at = part.committed, offset, around.now
    waiting_since, part.waiting_since = part.waiting_since, None
    member = around.assignment.get(partition, (None, None))[0]
    if offset < old:
        around.events.append(
            GroupEvent(EventKind.REWOUND, around.before, around.now, *partition, member, old, offset, old - offset)
        )
        small = around.rebalancing and old - offset <= max(part.advance, 10)
        part.rewound_at = around.now if small else 0.0
        part.rewound_from = max(old, part.rewound_from or 0)
        return
    part.advance = offset - old
    if waiting_since is not None:
        part.intervals = (*part.intervals[1 - INTERVALS_KEPT :], max(0.0, around.now - waiting_since))
    if part.rewound_from is not None and offset >= part.rewound_from:
        part.rewound_from = None
    if around.memberless_before and around.memberless_since is not None and not around.standalone:
        around.events.append(
            GroupEvent(EventKind.SKIPPED, around.before, around.now, *partition, member, old, offset, offset - old)
        )


def _take_start(part: PartitionMemory, partition: Partition, offset: int, start: int, around: Surroundings) -> None:
    """Commits are read before starts, so a commit below the start counts only when the next commit read agrees."""
    if offset >= start:
        part.truncated_after, part.truncation_confirmed = None, False
    elif part.truncated_after is None:
        part.truncated_after = around.before
    elif not part.truncation_confirmed:
        part.truncation_confirmed = True
        member = around.assignment.get(partition, (None, None))[0]
        around.events.append(
            GroupEvent(
                EventKind.TRUNCATED, part.truncated_after, around.now, *partition, member, offset, start, start - offset
            )
        )


def _take_seconds(
    part: PartitionMemory, position: int, records: int, log: PartitionLog, facts: TopicFacts, around: Surroundings
) -> None:
    if records == 0:
        part.position, part.since, part.bound, part.method = position, None, 0.0, Method.CAUGHT_UP
        part.approximate, part.settled = False, True
        return
    if part.knows(position):
        return
    same = part.position == position and part.method not in (None, Method.CAUGHT_UP)
    estimate = locate(log, facts, position, around.now)
    if not same:
        part.position, part.since, part.bound, part.method, part.approximate = position, None, None, None, False
    part.settled = estimate is None or estimate.settled
    if estimate is not None and (
        part.since is None
        or (estimate.bound is not None and (part.bound is None or estimate.bound < part.bound))
        or (part.bound is None and estimate.since < part.since)
    ):
        part.since, part.bound = estimate.since, estimate.bound
        part.method, part.approximate = estimate.method, estimate.approximate


def _take_trough(part: PartitionMemory, records: int, moved: bool, around: Surroundings) -> None:
    """Keep lag right after commits, for those that are late; a partition within half its target has no past to compare."""
    now = around.now
    if records == 0 or part.since is None or now - part.since <= around.settings.target_seconds / 2:
        part.troughs = ()
        part.trough = None
        return
    if moved or (part.committed_at is None and not part.troughs):
        part.trough = (now, part.since if part.bound is not None else None, records)
        if not part.troughs or now - part.troughs[-1][0] >= SAMPLE_STEP_SECONDS:
            part.troughs = (*part.troughs, part.trough)
    while len(part.troughs) > 1 and part.troughs[1][0] <= now - WINDOW_SECONDS:
        part.troughs = part.troughs[1:]


def _flags(part: PartitionMemory, log: PartitionLog, settings: LagSettings, now: float) -> tuple[Flag, ...]:
    approximate = part.approximate and part.method is not Method.CAUGHT_UP
    held = settings.read_committed and log.open_since is not None and now - log.open_since >= OPEN_TXN_SECONDS
    if not approximate and not held:
        return ()
    return ((Flag.APPROXIMATE,) if approximate else ()) + ((Flag.OPEN_TXN,) if held else ())
