"""Burrow's rules, ported as an oracle: evaluator/caching.go and storage/inmemory.go of Burrow 1.9.5 with its defaults.

Known differences to what the portal wants are the point: the same traces are judged by both and printed side by side.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise

INTERVALS = 10
MIN_DISTANCE_SECONDS = 1.0
OFFSET_REFRESH_SECONDS = 10.0


class Status(IntEnum):
    NOTFOUND = 0
    OK = 1
    WARN = 2
    ERR = 3
    STOP = 4
    STALL = 5
    REWIND = 6


@dataclass(slots=True)
class Commit:
    offset: int
    at: float
    lag: int  # broker end known then minus offset, floored at 0


@dataclass(slots=True)
class BurrowPartition:
    """What Burrow stores of one partition of one group."""

    commits: deque[Commit] = field(default_factory=lambda: deque(maxlen=INTERVALS))
    ends: deque[int] = field(default_factory=lambda: deque(maxlen=INTERVALS))
    refreshed_at: float = -OFFSET_REFRESH_SECONDS

    def add_end(self, end: int, at: float) -> None:
        """The broker's end offset, taken up every `offset-refresh` seconds."""
        if at - self.refreshed_at >= OFFSET_REFRESH_SECONDS:
            self.ends.append(end)
            self.refreshed_at = at

    def add_commit(self, offset: int, at: float) -> None:
        """A commit closer than `min-distance` to the last one overwrites it but keeps its timestamp."""
        lag = max(0, self.ends[-1] - offset) if self.ends else 0
        if self.commits and at - self.commits[-1].at < MIN_DISTANCE_SECONDS:
            self.commits[-1] = Commit(offset, self.commits[-1].at, lag)
        else:
            self.commits.append(Commit(offset, at, lag))

    def status(self, now: float) -> Status:
        """evaluatePartitionStatus with `allowed-lag` 0 and `minimum-complete` 0."""
        if not self.commits or not self.ends:
            return Status.OK
        return calculate_status(list(self.commits), list(self.ends), now)


def calculate_status(commits: list[Commit], ends: list[int], now: float, allowed_lag: int = 0) -> Status:
    """calculatePartitionStatus; the first rule that matches."""
    current_lag = max(0, ends[-1] - commits[-1].offset)
    if current_lag <= allowed_lag:
        return Status.OK
    first, last = commits[0], commits[-1]
    recently_zero = any(end <= last.offset for end in ends)
    if now - last.at > last.at - first.at and not recently_zero:
        return Status.STOP
    offsets = [commit.offset for commit in commits]
    for index in range(1, len(offsets)):
        if offsets[index] < offsets[index - 1]:
            if not any(later >= offsets[index - 1] for later in offsets[index + 1 :]):
                return Status.REWIND
            break  # only the first rewind is looked at
    if any(commit.lag <= allowed_lag for commit in commits):
        return Status.OK
    if all(offset == offsets[0] for offset in offsets):
        return Status.STALL
    if all(later.lag >= earlier.lag for earlier, later in pairwise(commits)):
        return Status.WARN
    return Status.OK


AS_VERDICT = {
    Status.NOTFOUND: "unknown",
    Status.OK: "ok",
    Status.WARN: "falling_behind",
    Status.ERR: "stalled",
    Status.STOP: "stopped",
    Status.STALL: "stalled",
    Status.REWIND: "rewound",
}
