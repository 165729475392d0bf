"""The verdict rules of interfaces.md 4 for one partition: the first that holds, worst first, with what it looked at."""

from dataclasses import dataclass, field

from clusters.ports import Partition
from lag.compute.log import PartitionLog
from lag.compute.memory import NEVER, PartitionMemory, Trough
from lag.compute.types import GroupEvent, LagSettings, Looked
from lag.verdicts import Verdict

TAIL_RECORDS = 2  # transaction markers at the end of a log are never read
OPEN_TXN_SECONDS = 30.0  # a transaction open for longer is worth a flag
REBALANCE_GRACE_SECONDS = 15.0  # a small step back in a rebalance is a duplicate commit until it stays
NOISE_SECONDS = 2.0  # lag that changed by less within a minute neither falls nor grows
BATCH_SHARE = 1.5  # lag of a batch committer is normal up to this many commit intervals
SECONDS, RECORDS = "seconds", "records"  # what a change of lag is counted in
REFRESH_SHARE = 0.1  # a standing alarm tells its duration anew each time it grew by a tenth


@dataclass(slots=True)
class Surroundings:
    """What a partition needs to know of its group and of the cycle."""

    settings: LagSettings
    now: float
    before: float  # previous good reading, or now at the first
    memberless_since: float | None  # None = has members
    memberless_before: bool  # also at the previous reading, of a group that is known to work with members
    standalone: bool  # commits without ever being a member
    rebalancing: bool  # now or a moment ago
    group_interval: float  # longest commit interval of the group
    assignment: dict[Partition, tuple[str, str]]  # member id and host
    events: list[GroupEvent] = field(default_factory=list)


def judge(
    part: PartitionMemory, offset: int, records: int, log: PartitionLog, around: Surroundings
) -> tuple[Verdict, str, Looked, float | None]:
    """(verdict, rule, what the rule looked at, seconds to catch up); the first rule that holds, worst first."""
    now, settings = around.now, around.settings
    due = _clerical_due(part, log, settings, now)
    if part.truncation_confirmed and log.start is not None:
        part.next_due = due
        return Verdict.TRUNCATED, "truncated", (offset, log.start, log.start - offset), None
    if records == 0:
        part.rewound_from = None  # whatever it went back from, everything is read
        part.next_due = due
        return Verdict.OK, "caught_up", (0,), 0.0
    tail_at = log.end_at + 2 * settings.period
    is_tail = records <= TAIL_RECORDS and now >= tail_at
    if is_tail:
        part.next_due = due
        return Verdict.OK, "tail", (records, now - log.end_at), 0.0
    idle_rule = _no_progress(part, records, around)
    if idle_rule is not None and idle_rule[0] is not None:
        part.next_due = min(due, now + max(settings.period, REFRESH_SHARE * idle_rule[1]))
        return idle_rule[0], idle_rule[0].value, idle_rule[2], None
    if idle_rule is not None:
        due = min(due, idle_rule[1])
    if part.rewound_from is not None:
        grace_until = part.rewound_at + REBALANCE_GRACE_SECONDS
        if now >= grace_until:
            part.next_due = due
            return Verdict.REWOUND, "rewound", (part.rewound_from, offset), None
        due = min(due, grace_until)
    verdict, rule, looked_at, catch_up = _late(part, records, around)
    if rule != "within_target":
        due = now
    elif part.since is not None:
        due = min(due, part.since + _target(part, around))
    if records <= TAIL_RECORDS:
        due = min(due, tail_at)
    part.next_due = due
    return verdict, rule, looked_at, catch_up


def _clerical_due(part: PartitionMemory, log: PartitionLog, settings: LagSettings, now: float) -> float:
    if not part.settled or (part.truncated_after is not None and not part.truncation_confirmed):
        return now
    if settings.read_committed and log.open_since is not None and now < log.open_since + OPEN_TXN_SECONDS:
        return log.open_since + OPEN_TXN_SECONDS
    return NEVER


def _no_progress(
    part: PartitionMemory, records: int, around: Surroundings
) -> tuple[Verdict | None, float, Looked] | None:
    """(verdict, seconds without progress, what was looked at), or (None, time at which it would be one, ())."""
    settings, now = around.settings, around.now
    longest = part.longest_interval or around.group_interval
    threshold = max(settings.stalled_seconds, 3 * longest, settings.commit_interval or 0.0)
    since, verdict = part.waiting_since or now, Verdict.STALLED
    if around.memberless_since is not None:
        verdict = Verdict.STOPPED
        if around.standalone:  # never had members: what counts is whether it commits
            since = max(since, part.committed_at or 0.0)
        else:
            since, threshold = max(around.memberless_since, part.committed_at or 0.0), settings.stopped_seconds
    idle = now - since
    if idle < threshold:
        return None, since + threshold, ()
    looked_at: Looked = (records, round(idle, 1), threshold)
    if verdict is Verdict.STALLED:
        looked_at += (round(longest, 1), settings.commit_interval)
    return verdict, idle, looked_at


def _longest(part: PartitionMemory, around: Surroundings) -> float:
    """The longest time between commits that is normal for the partition."""
    return max(part.longest_interval or around.group_interval, around.settings.commit_interval or 0.0)


def _target(part: PartitionMemory, around: Surroundings) -> float:
    """Lag in seconds above which the partition is late."""
    return max(around.settings.target_seconds, BATCH_SHARE * _longest(part, around))


def _late(part: PartitionMemory, records: int, around: Surroundings) -> tuple[Verdict, str, Looked, float | None]:
    now, target = around.now, _target(part, around)
    if part.since is None:
        return Verdict.OK, "within_target", (records, target), None
    seconds = now - part.since
    catch_up = _catch_up(part, records, around) if part.troughs else 0.0
    if seconds <= target:
        return Verdict.OK, "within_target", (records, target), catch_up
    change = _change(part, records, _longest(part, around), around)
    if change is None:
        return Verdict.UNKNOWN, "first_reading", (records, target, round(seconds, 1)), None
    difference, apart, noise, unit = change
    changed = (round(difference, 1), None) if unit == SECONDS else (None, int(difference))
    looked_at = (records, target, round(seconds, 1), *changed, round(apart, 1))
    falling = difference < -noise or (difference <= noise and part.verdict is Verdict.CATCHING_UP)
    if falling:
        return Verdict.CATCHING_UP, "catching_up", looked_at, catch_up
    return Verdict.FALLING_BEHIND, "falling_behind", looked_at, None


def _change(
    part: PartitionMemory, records: int, longest: float, around: Surroundings
) -> tuple[float, float, float, str] | None:
    """(lag now minus about a minute ago, seconds between, noise, unit); None when there is one reading only.

    Lag right after a commit is compared with lag right after an earlier commit: between commits lag grows a second per
    second, which says nothing. Only a partition that commits no more is measured by the clock.
    """
    now, settings = around.now, around.settings
    if part.since is None:
        return None
    current: Trough = (now, part.since if part.bound is not None else None, records)
    commits = part.committed_at is not None and now - part.committed_at <= max(2 * longest, 2 * settings.period)
    if commits and part.trough is not None:
        current = part.trough
    if not part.troughs:
        return now - part.since, now - part.since, NOISE_SECONDS, SECONDS  # no commit since it was in time
    then = part.troughs[0]
    apart = current[0] - then[0]
    if apart <= 0:
        if now <= part.first_seen:
            return None
        current, apart = (now, part.since if part.bound is not None else None, records), now - then[0]
        if apart <= 0:
            return now - part.since, 0.0, NOISE_SECONDS, SECONDS
    if current[1] is None or then[1] is None:  # lower bounds do not compare, records do
        return float(current[2] - then[2]), apart, 0.0, RECORDS
    return (current[0] - current[1]) - (then[0] - then[1]), apart, max(NOISE_SECONDS, part.bound or 0.0), SECONDS


def _catch_up(part: PartitionMemory, records: int, around: Surroundings) -> float | None:
    """Seconds until nothing is unread at the speed of the last minute; None when it does not converge."""
    then = part.troughs[0]
    last = part.trough or (around.now, part.since, records)
    if last[0] <= then[0] or last[2] >= then[2]:
        return None
    return records * (last[0] - then[0]) / (then[2] - last[2])
