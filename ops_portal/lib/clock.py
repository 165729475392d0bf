"""One time for everything the portal stores or compares: that of PostgreSQL.

A worker's own clock may be off by minutes. A `Clock` is anchored once to the database's time and from then on only
measures passed time with the monotonic clock, so a wrong wall clock never reaches a stored value.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since the epoch in the database's time. `anchor` is that time at `monotonic`."""

    anchor: float
    monotonic: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Now, seconds since the epoch."""
        return self.at(time.monotonic())

    def at(self, monotonic: float) -> float:
        """Seconds since the epoch at a moment of the monotonic clock."""
        return self.anchor + (monotonic - self.monotonic)


def as_datetime(seconds: float) -> datetime:
    """Aware UTC datetime of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 UTC with milliseconds and `Z`; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
