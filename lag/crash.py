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


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """One reading of one partition. `read_at` = when the commit was read."""

    read_at: float
    committed: int | None
    start: int | None
    end: int | None


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
class Resumption:
    """How one partition went on. None = not seen.

    The last commit is the last one read while the member was certainly there, so that what it says holds in any case.
    `reread_at_most`: end at the loss minus last commit, as many records can have been read twice. `skipped`: records that
    no consumer can have read, because the log start or a reset went past them.
    """

    topic: str
    partition: int
    last_commit: int | None
    last_commit_read_at: float | None
    first_commit: int | None
    first_commit_read_at: float | None
    end_at_loss: int | None
    reread_at_most: int | None
    skipped: int


@dataclass(frozen=True, slots=True)
class Crash:
    """One loss of members and what followed. `recovered` None = not back to normal yet."""

    members: tuple[str, ...]
    lost: Window
    detected_at: float
    rebalance_started: Window | None
    rebalanced: Window | None
    partitions: tuple[Resumption, ...]
    reread_at_most: int | None
    skipped: int
    lag_before: int | None
    lag_peak: int | None
    lag_peak_at: float | None
    recovered: Window | None
    recovery_seconds: Window | None  # shortest and longest possible


def crashes(
    events: Sequence[GroupEvent],
    partitions: Mapping[Partition, Sequence[PartitionSample]],
    samples: Sequence[GroupSample],
) -> list[Crash]:
    """The crashes in these events, newest first. Events and samples of one group, oldest first."""
    losses = [event for event in events if event.kind is EventKind.MEMBER_LEFT]
    found: list[list[GroupEvent]] = []
    for event in losses:
        if found and event.at - found[-1][-1].at <= LOSSES_TOGETHER_SECONDS:
            found[-1].append(event)
        else:
            found.append([event])
    starts = [group[0].at_earliest for group in found]
    ends = [*starts[1:], math.inf][: len(starts)]
    stories = [_story(group, events, partitions, samples, until) for group, until in zip(found, ends, strict=True)]
    return stories[::-1]


def _story(
    losses: list[GroupEvent],
    events: Sequence[GroupEvent],
    partitions: Mapping[Partition, Sequence[PartitionSample]],
    samples: Sequence[GroupSample],
    until: float,
) -> Crash:
    lost = Window(losses[0].at_earliest, losses[-1].at)
    started, ended = _rebalance(events, lost, until)
    affected = _affected(losses, partitions)
    resumed = tuple(_resumption(key, partitions.get(key, ()), lost, events, until) for key in affected)
    rereads = [entry.reread_at_most for entry in resumed if entry.reread_at_most is not None]
    before, peak, peak_at, recovered = _lag(samples, lost, until)
    recovery = None
    if recovered is not None:
        recovery = Window(max(0.0, recovered.earliest - lost.latest), recovered.latest - lost.earliest)
    return Crash(
        members=tuple(event.member or "" for event in losses),
        lost=lost,
        detected_at=losses[0].at,
        rebalance_started=started,
        rebalanced=ended,
        partitions=resumed,
        reread_at_most=sum(rereads) if rereads else None,
        skipped=sum(entry.skipped for entry in resumed),
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


def _affected(losses: list[GroupEvent], partitions: Mapping[Partition, Sequence[PartitionSample]]) -> list[Partition]:
    """The partitions of the lost members; all of the group's where their assignment was not known."""
    owned: set[Partition] = set()
    for event in losses:
        known = event.before.get("partitions") if isinstance(event.before, dict) else None
        if not known:
            return sorted(partitions)
        owned |= {(topic, number) for topic, number in known}
    return sorted(owned)


def _resumption(
    key: Partition, samples: Sequence[PartitionSample], lost: Window, events: Sequence[GroupEvent], until: float
) -> Resumption:
    before = after = at_loss = None
    for sample in samples:
        if sample.read_at >= until:
            break
        if sample.read_at <= lost.latest:
            at_loss = sample
        if sample.committed is None:
            continue
        if sample.read_at <= lost.earliest:
            before = sample
        elif after is None and (before is None or sample.committed != before.committed):
            after = sample
    last = before.committed if before else None
    end = at_loss.end if at_loss else None
    first = after.committed if after else None
    reread = max(0, end - last) if end is not None and last is not None else None
    return Resumption(
        topic=key[0],
        partition=key[1],
        last_commit=last,
        last_commit_read_at=before.read_at if before else None,
        first_commit=first,
        first_commit_read_at=after.read_at if after else None,
        end_at_loss=end,
        reread_at_most=reread,
        skipped=_skipped(key, last, after, lost, events, until),
    )


def _skipped(
    key: Partition,
    last: int | None,
    after: PartitionSample | None,
    lost: Window,
    events: Sequence[GroupEvent],
    until: float,
) -> int:
    """Records below the log start at the next commit, or passed by a commit that no member can have made."""
    below = 0
    if last is not None and after is not None and after.start is not None:
        below = max(0, min(after.start, after.committed or 0) - last)
    reset = sum(
        event.records or 0
        for event in events
        if event.kind is EventKind.SKIPPED
        and (event.topic, event.partition) == key
        and lost.earliest <= event.at < until
    )
    return max(below, reset)


def _lag(
    samples: Sequence[GroupSample], lost: Window, until: float
) -> tuple[int | None, int | None, float | None, Window | None]:
    """(usual lag before, peak, when, back to normal)."""
    usual = [sample.lag_records for sample in samples if sample.at <= lost.earliest and sample.lag_records is not None]
    before = max(usual[-12:], default=None)
    normal = NORMAL_SLACK + int(NORMAL_SHARE * (before or 0))
    peak: tuple[int, float] | None = None
    previous = lost.latest
    disturbed = False
    for sample in samples:
        if sample.at <= lost.earliest:
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
                and sample.at > lost.latest
                and (disturbed or sample.at - lost.latest >= LOSSES_TOGETHER_SECONDS)
            ):
                window = Window(previous if disturbed else lost.latest, sample.at)
                return before, peak[0], peak[1], window
        previous = sample.at
    return before, peak[0] if peak else None, peak[1] if peak else None, None
