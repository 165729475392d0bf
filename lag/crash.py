"""The crash view: what happened after a group lost a member, on one timeline. Pure: events and samples in, a story out.

Every time is a window [earliest, latest] between two readings: never finer than the poll. Records that were read again are
an upper bound ("at most"): a consumer may have read more than it had committed when it died, never more than was there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clusters.ports import Partition
from lag.compute.types import GroupEvent
from lag.verdicts import EventKind, Verdict

LOSSES_TOGETHER_SECONDS = 15.0  # members that go within this time are one crash
RECOVERY_LIMIT_SECONDS = 3600.0
NORMAL_SHARE = 1.2  # back to normal: no more unread than this share of what was usual before, and some records of slack
NORMAL_SLACK = 100
USUAL_SECONDS = 300.0  # before the loss
USUAL_QUANTILE = 0.75  # not the most: a member is dead for up to its session timeout before it is lost
ROUNDING_SECONDS = 0.002  # samples know the time of their poll to a millisecond


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """One reading of one partition. `start` may be None where the commit is not below it."""

    read_at: float
    committed: int | None
    start: int | None
    end: int | None  # that consumers of the group can read up to


@dataclass(frozen=True, slots=True)
class GroupSample:
    """One reading of the group: unread records of all partitions, and the verdict."""

    at: float
    lag_records: int | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Window:
    """Some time between two readings, epoch seconds."""

    earliest: float
    latest: float


@dataclass(frozen=True, slots=True)
class Loss:
    """Members that went together. `until` = when the next loss began, infinite for the last."""

    events: tuple[GroupEvent, ...]
    until: float

    @property
    def window(self) -> Window:
        return Window(self.events[0].at_earliest, self.events[-1].at)

    @property
    def partitions(self) -> set[Partition] | None:
        """What the members held; None = not known of all of them."""
        held: set[Partition] = set()
        for event in self.events:
            known = event.before.get("partitions") if isinstance(event.before, dict) else None
            if not known:
                return None
            held |= {(topic, number) for topic, number in known}
        return held


@dataclass(frozen=True, slots=True)
class Resumption:
    """How one partition went on. None = not seen.

    The last commit is the last one read while the member was certainly there, so that what it says holds in any case;
    `last_commit_seen_at` = the first reading that had it. The first commit after is the first other one read later; it
    was made after the reading before, `first_commit_earliest`.
    `reread_at_most`: end at the loss minus last commit, as many records can have been read twice. `skipped`: records that
    whoever went on cannot have read, because the log start or a reset went past them.
    """

    topic: str
    partition: int
    last_commit: int | None
    last_commit_seen_at: float | None
    last_commit_read_at: float | None
    first_commit: int | None
    first_commit_earliest: float | None
    first_commit_read_at: float | None
    end_at_loss: int | None
    reread_at_most: int | None
    skipped: int | None

    @property
    def waits(self) -> bool:
        """There was something to read at the loss, and no commit since."""
        return self.first_commit is None and (self.end_at_loss is None or self.reread_at_most != 0)


@dataclass(frozen=True, slots=True)
class Crash:
    """One loss of members and what followed. `recovered` None = not back to normal yet.

    `reread_at_most` and `skipped` are sums over the partitions of which they are known, None where of none.
    """

    members: tuple[str, ...]
    lost: Window
    detected_at: float
    rebalance_started: Window | None
    rebalanced: Window | None
    partitions: tuple[Resumption, ...]
    reread_at_most: int | None
    skipped: int | None
    unknown: int  # partitions without a reading of the commit before the loss, or of the end at it
    lag_before: int | None
    lag_peak: int | None
    lag_peak_at: float | None
    recovered: Window | None
    recovery_seconds: Window | None  # shortest and longest possible


def losses_of(events: Sequence[GroupEvent]) -> list[Loss]:
    """The losses of members in the events of one group, oldest first as these."""
    found: list[list[GroupEvent]] = []
    for event in events:
        if event.kind is not EventKind.MEMBER_LEFT:
            continue
        if found and event.at - found[-1][-1].at <= LOSSES_TOGETHER_SECONDS:
            found[-1].append(event)
        else:
            found.append([event])
    ends = [*(group[0].at_earliest for group in found[1:]), math.inf]
    return [Loss(tuple(group), until) for group, until in zip(found, ends, strict=False)]


def crash_of(
    loss: Loss,
    events: Sequence[GroupEvent],
    partitions: Mapping[Partition, Sequence[PartitionSample]],
    samples: Sequence[GroupSample],
) -> Crash:
    """What followed a loss. Events and samples of the group, oldest first; also those of other times do no harm."""
    lost, until = loss.window, loss.until
    started, ended = _rebalance(events, lost, until)
    held = loss.partitions
    affected = sorted(partitions if held is None else held)
    resumed = tuple(_resumption(key, partitions.get(key, ()), lost, events, until) for key in affected)
    rereads = [entry.reread_at_most for entry in resumed if entry.reread_at_most is not None]
    skipped = [entry.skipped for entry in resumed if entry.skipped is not None]
    before, peak, peak_at, recovered = _lag(samples, lost, until)
    recovery = None
    if recovered is not None:
        recovery = Window(max(0.0, recovered.earliest - lost.latest), recovered.latest - lost.earliest)
    return Crash(
        members=tuple(event.member or "" for event in loss.events),
        lost=lost,
        detected_at=loss.events[0].at,
        rebalance_started=started,
        rebalanced=ended,
        partitions=resumed,
        reread_at_most=sum(rereads) if rereads else None,
        skipped=sum(skipped) if skipped else None,
        unknown=len(resumed) - len(rereads),
        lag_before=before,
        lag_peak=peak,
        lag_peak_at=peak_at,
        recovered=recovered,
        recovery_seconds=recovery,
    )


def _rebalance(events: Sequence[GroupEvent], lost: Window, until: float) -> tuple[Window | None, Window | None]:
    """When the group began to redistribute, and when it had. A group that rebalanced between two readings shows as
    the arrival of its next member or not at all."""
    started = ended = None
    for event in events:
        if event.kind is not EventKind.REBALANCE or event.at < lost.earliest or event.at_earliest >= until:
            continue
        if event.seconds is None:
            started = started or Window(event.at_earliest, event.at)
            ended = None  # it rebalanced once more before it was done
        else:
            ended = Window(event.at_earliest, event.at)
    return started, ended


def _resumption(
    key: Partition, samples: Sequence[PartitionSample], lost: Window, events: Sequence[GroupEvent], until: float
) -> Resumption:
    before = after = at_loss = seen_at = earliest = None
    start: int | None = None  # of the log, the highest seen since the loss until the next commit
    oldest = samples[0] if samples else None
    previous: PartitionSample | None = None
    for sample in samples:
        if sample.read_at > until + ROUNDING_SECONDS:
            break
        if sample.read_at <= lost.latest + ROUNDING_SECONDS:
            at_loss = sample
        elif after is not None:
            break
        if after is not None:
            continue
        if sample.start is not None and sample.read_at > lost.earliest:
            start = max(start or 0, sample.start)
        if sample.committed is not None and sample.read_at <= lost.earliest + ROUNDING_SECONDS:
            if before is None or before.committed != sample.committed:
                seen_at = sample.read_at if sample is not oldest else None
            before = sample
        elif sample.committed is not None and (before is None or sample.committed != before.committed):
            after, earliest = sample, previous.read_at if previous else None
        previous = sample
    last, end = before.committed if before else None, at_loss.end if at_loss else None
    return Resumption(
        topic=key[0],
        partition=key[1],
        last_commit=last,
        last_commit_seen_at=seen_at,
        last_commit_read_at=before.read_at if before else None,
        first_commit=after.committed if after else None,
        first_commit_earliest=earliest,
        first_commit_read_at=after.read_at if after else None,
        end_at_loss=end,
        reread_at_most=max(0, end - last) if end is not None and last is not None else None,
        skipped=_skipped(key, last, after, start, lost, events, until),
    )


def _skipped(
    key: Partition,
    last: int | None,
    after: PartitionSample | None,
    start: int | None,
    lost: Window,
    events: Sequence[GroupEvent],
    until: float,
) -> int | None:
    """Records below the log start at the next commit, or passed by a commit that no member can have made."""
    resets = [
        event.records or 0
        for event in events
        if event.kind is EventKind.SKIPPED
        and (event.topic, event.partition) == key
        and lost.earliest <= event.at < until
    ]
    if last is None:
        return sum(resets) if resets else None
    below = 0
    if after is not None and start is not None:
        below = max(0, min(start, after.committed or 0) - last)
    return max(below, sum(resets))


def _lag(
    samples: Sequence[GroupSample], lost: Window, until: float
) -> tuple[int | None, int | None, float | None, Window | None]:
    """(usual lag before, peak, when, back to normal)."""
    usual = sorted(
        sample.lag_records
        for sample in samples
        if lost.earliest - USUAL_SECONDS <= sample.at <= lost.earliest + ROUNDING_SECONDS
        and sample.lag_records is not None
    )
    before = usual[int(len(usual) * USUAL_QUANTILE)] if usual else None
    normal = NORMAL_SLACK + int(NORMAL_SHARE * (before or 0))
    peak: tuple[int, float] | None = None
    previous = lost.latest
    disturbed = False
    for sample in samples:
        if sample.at < lost.earliest - ROUNDING_SECONDS:  # the reading before may find a member that is dead already
            continue
        if sample.at >= min(until, lost.latest + RECOVERY_LIMIT_SECONDS):
            break
        if sample.lag_records is not None:
            if peak is None or sample.lag_records > peak[0]:
                peak = (sample.lag_records, sample.at)
            healthy = sample.lag_records <= normal and sample.verdict in (Verdict.OK, Verdict.CATCHING_UP)
            disturbed = disturbed or not healthy
            if (
                healthy
                and sample.at > lost.latest + ROUNDING_SECONDS
                and (disturbed or sample.at - lost.latest >= LOSSES_TOGETHER_SECONDS)
            ):
                window = Window(max(previous, lost.earliest) if disturbed else lost.latest, sample.at)
                return before, peak[0], peak[1], window
        previous = sample.at
    return before, peak[0] if peak else None, peak[1] if peak else None, None
