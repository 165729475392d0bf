"""Does a group keep its promise on lag: opens a breach when lag stays over a limit, closes it with hysteresis."""

from dataclasses import dataclass, replace

from lag.compute.types import GroupResult
from lag.verdicts import Method
from ops_portal.lib.formats import duration, exact

CLEAN_SHARE = 0.8  # a breach closes only when every figure is down to this share of its limit
CLEAN_SECONDS = 60.0  # and stays there as long as it took to open, but no longer than this
LONGEST_STEP_SECONDS = 120.0  # time between two readings that still counts for the budget


@dataclass(frozen=True, slots=True)
class Promise:
    """At most `max_records` unread and `max_seconds` behind, where set; a breach opens after `for_seconds` over a limit."""

    max_records: int | None = None
    max_seconds: float | None = None
    for_seconds: float = 30.0
    objective: float = 0.999  # share of time within the promise


@dataclass(frozen=True, slots=True)
class Reading:
    """Lag at one time. None = unknown, which is neither kept nor broken. A lower bound can break a promise, not keep it."""

    at: float
    lag_records: int | None
    lag_seconds: float | None
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a group stands against a promise. `breached_at` is set while a breach is open: since when lag was over."""

    over_since: float | None = None
    within_since: float | None = None
    breached_at: float | None = None
    counted_seconds: float = 0.0
    breached_seconds: float = 0.0
    counted_until: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The new standing, and whether a breach opened or closed with it. `reason` is a sentence for either, else empty."""

    standing: Standing
    opened: bool = False
    closed: bool = False
    reason: str = ""


def promised_seconds(result: GroupResult, at: float) -> float | None:
    """Worst lag in seconds at `at` of what a consumer can still read.

    A tail (rule `tail`: at most two records at an end that does not move, as transaction markers are) is never read and
    ages for ever; it breaks no promise.
    """
    worst = result.summary.seconds_at(at)
    partitions = [partition for topic in result.topics for partition in topic.partitions]
    if not worst or not any(partition.rule == "tail" for partition in partitions):
        return worst
    return max((partition.seconds_at(at) or 0.0 for partition in partitions if partition.rule != "tail"), default=0.0)


def step(promise: Promise, standing: Standing, reading: Reading) -> Step:
    """Judge one reading. Readings that are not newer than the last one change nothing."""
    if standing.counted_until is not None and reading.at <= standing.counted_until:
        return Step(standing)
    over = _is_over(promise, reading)
    counted = _count(standing, reading.at, over)
    if over is None:
        return Step(replace(counted, within_since=None))
    if over:
        since = counted.over_since if counted.over_since is not None else reading.at
        counted = replace(counted, over_since=since, within_since=None)
        if counted.breached_at is None and reading.at - since >= promise.for_seconds:
            return Step(replace(counted, breached_at=since), opened=True, reason=_broken(promise, reading, since))
        return Step(counted)
    counted = replace(counted, over_since=None)
    if counted.breached_at is None or not _is_clean(promise, reading):
        return Step(replace(counted, within_since=None))
    if counted.within_since is None:
        return Step(replace(counted, within_since=reading.at))
    if reading.at - counted.within_since < min(promise.for_seconds, CLEAN_SECONDS):
        return Step(counted)
    reason = f"back within {CLEAN_SHARE:.0%} of the limits for {duration(reading.at - counted.within_since)}"
    return Step(replace(counted, breached_at=None, within_since=None), closed=True, reason=reason)


def budget_left(promise: Promise, standing: Standing) -> float | None:
    """Share of the error budget that is left of the time counted so far; negative when overspent, None before any."""
    allowed = standing.counted_seconds * (1 - promise.objective)
    return 1 - standing.breached_seconds / allowed if allowed > 0 else None


def _is_over(promise: Promise, reading: Reading) -> bool | None:
    """True as soon as one figure is over its limit; None when that cannot be said."""
    unknown = False
    for value, limit in ((reading.lag_records, promise.max_records), (reading.lag_seconds, promise.max_seconds)):
        if limit is None:
            continue
        if value is None:
            unknown = True
        elif value > limit:
            return True
    if promise.max_seconds is not None and reading.method is Method.LOWER_BOUND:
        unknown = True
    return None if unknown else False


def _is_clean(promise: Promise, reading: Reading) -> bool:
    limits = ((reading.lag_records, promise.max_records), (reading.lag_seconds, promise.max_seconds))
    return all(limit is None or (value is not None and value <= CLEAN_SHARE * limit) for value, limit in limits)


def _count(standing: Standing, at: float, over: bool | None) -> Standing:
    """Time since the last reading, by what this one says. Time without a figure, or too long a gap, is not counted."""
    last = standing.counted_until
    if last is None or over is None or at - last > LONGEST_STEP_SECONDS:
        return replace(standing, counted_until=at)
    return replace(
        standing,
        counted_seconds=standing.counted_seconds + (at - last),
        breached_seconds=standing.breached_seconds + ((at - last) if over else 0.0),
        counted_until=at,
    )


def _broken(promise: Promise, reading: Reading, since: float) -> str:
    parts = []
    if (
        promise.max_records is not None
        and reading.lag_records is not None
        and reading.lag_records > promise.max_records
    ):
        parts.append(f"{exact(reading.lag_records)} records are unread, {exact(promise.max_records)} are promised")
    if (
        promise.max_seconds is not None
        and reading.lag_seconds is not None
        and reading.lag_seconds > promise.max_seconds
    ):
        parts.append(f"lag is {duration(reading.lag_seconds)}, {duration(promise.max_seconds)} are promised")
    return f"{' and '.join(parts)}, for {duration(reading.at - since)}"
