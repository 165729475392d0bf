"""The true course of a log and of a group's commits, as the clients that made them know it.

A record is in its log at some time between the call that sent it and its delivery report, a commit holds from some time
between its call and its callback on. So at any moment the truth is known to lie between two numbers, and these are kept.
All times are of `time.monotonic`.
"""

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

Partition = tuple[str, int]


@dataclass(slots=True)
class Ends:
    """Records of one partition: when each was sent, and when it was reported as delivered."""

    sent: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)

    def least(self, at: float) -> int:
        """Records that were certainly there at `at`."""
        return bisect_right(self.delivered, at)

    def most(self, at: float) -> int:
        """Records that may have been there at `at`."""
        return bisect_left(self.sent, at)


@dataclass(slots=True)
class Commits:
    """Commits of one group on one partition, in order: (called, confirmed, offset)."""

    made: list[tuple[float, float, int]] = field(default_factory=list)

    def between(self, begin: float, end: float) -> set[int]:
        """Every offset that may have been the committed one at some time from `begin` to `end`."""
        holding = [offset for _, confirmed, offset in self.made if confirmed <= begin][-1:]
        return {*holding, *(offset for called, confirmed, offset in self.made if called <= end and confirmed > begin)}


@dataclass(slots=True)
class Truth:
    """What the test's own clients did."""

    ends: dict[Partition, Ends] = field(default_factory=lambda: defaultdict(Ends))
    commits: dict[tuple[str, Partition], Commits] = field(default_factory=lambda: defaultdict(Commits))

    def lag_between(self, group: str, partition: Partition, begin: float, end: float) -> tuple[int, int]:
        """(least, most) true lag at any time from `begin` to `end`."""
        ends, offsets = self.ends[partition], self.commits[group, partition].between(begin, end)
        return ends.least(begin) - max(offsets), ends.most(end) - min(offsets)

    def lag_at_end_read(
        self, group: str, partition: Partition, commits: tuple[float, float], ends: tuple[float, float]
    ) -> int:
        """Least true lag when the end was read, of a group that did not go back since its commit was read."""
        offsets = self.commits[group, partition].between(commits[0], ends[1])
        return self.ends[partition].least(ends[0]) - max(offsets)

    def produced_between(self, partition: Partition, begin: float, end: float) -> int:
        """Most records that can have come from `begin` to `end`."""
        return self.ends[partition].most(end) - self.ends[partition].least(begin)

    def settle(self) -> None:
        """After the traffic: order what came from several threads."""
        for ends in self.ends.values():
            ends.sent.sort()
            ends.delivered.sort()


now = time.monotonic
