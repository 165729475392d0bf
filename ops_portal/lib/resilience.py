"""Deadlines and the circuit breaker: nothing waits without end, and a source that fails is left alone for a while."""

import time
from dataclasses import dataclass


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
