"""Deadlines and the circuit breaker: nothing waits without end, and a source that fails is left alone for a while."""

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar


class DeadlinePassed(Exception):
    """The time given to an outside call is over."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock. Make one per run with `Deadline.after(seconds)` and hand it down."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def timeout(self, most: float) -> float:
        """Seconds the next call may take: `most`, or what is left. Raises DeadlinePassed when nothing is."""
        left = self.remaining()
        if left <= 0:
            raise DeadlinePassed("the deadline of this run has passed")
        return min(most, left)


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"  # nothing is tried until `probe_at`
    HALF_OPEN = "half_open"  # one probe is under way; should it be lost, the next may start at `probe_at`


@dataclass(frozen=True, slots=True)
class Breaker:
    """Circuit breaker of something tried every few seconds. A value: whoever keeps it stores what the methods return.

    Opens when at least half of the last ten tries failed (and five at least), stays open for 30 s plus up to a fifth, then
    admits one probe: its success closes the breaker, its failure opens it again. Times are seconds on one clock.
    """

    WINDOW: ClassVar[int] = 10
    FAILURES: ClassVar[int] = 5
    OPEN_SECONDS: ClassVar[float] = 30.0
    JITTER: ClassVar[float] = 0.2

    state: BreakerState = BreakerState.CLOSED
    outcomes: str = ""  # newest last: + success, - failure
    probe_at: float | None = None

    def admits(self, now: float) -> bool:
        """Whether a try may start now."""
        return self.state is BreakerState.CLOSED or self.probe_at is None or now >= self.probe_at

    def started(self, now: float, *, lease_seconds: float) -> "Breaker":
        """After an admitted try has started: an open breaker waits for this one probe, `lease_seconds` at most."""
        if self.state is BreakerState.CLOSED:
            return self
        return Breaker(BreakerState.HALF_OPEN, self.outcomes, now + lease_seconds)

    def ended(self, now: float, *, good: bool, jitter: float = 0.0) -> "Breaker":
        """After a try has ended. `jitter` (0 to 1) spreads the probes of many sources."""
        if self.state is not BreakerState.CLOSED:
            return Breaker() if good else self._opened(now, jitter)
        outcomes = (self.outcomes + ("+" if good else "-"))[-self.WINDOW :]
        failures = outcomes.count("-")
        if not good and failures >= self.FAILURES and 2 * failures >= len(outcomes):
            return replace(self, outcomes=outcomes)._opened(now, jitter)
        return Breaker(BreakerState.CLOSED, outcomes)

    def _opened(self, now: float, jitter: float) -> "Breaker":
        seconds = self.OPEN_SECONDS * (1 + self.JITTER * min(1.0, max(0.0, jitter)))
        return Breaker(BreakerState.OPEN, "", now + seconds)
