"""A partition whose truth is known: when each record was produced, what was committed when. The oracle of lag in seconds."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from clusters.ports import (
    CommittedOffsets,
    FoundOffset,
    FoundOffsets,
    GroupListing,
    GroupState,
    GroupType,
    TopicIdentity,
)
from lag.compute import (
    ClusterLog,
    GroupMemory,
    GroupReading,
    GroupResult,
    LagSettings,
    LookUps,
    PartitionResult,
    assess_group,
)

EPOCH = 1_767_225_600.0
KEY = ("trades.execution", 0)


@dataclass(slots=True)
class Measured:
    """One poll: what the portal said and what was true when the end was read."""

    at: float
    records: int
    truth: float
    result: PartitionResult
    group: GroupResult

    @property
    def seconds(self) -> float | None:
        return self.result.seconds_at(self.at)

    @property
    def error(self) -> float:
        """Error in units of what is allowed: max(1 s, 5 %)."""
        assert self.seconds is not None
        return abs(self.seconds - self.truth) / max(1.0, 0.05 * self.truth)

    @property
    def holds(self) -> bool:
        """The truth lies within value ± bound; a lower bound lies below it."""
        assert self.seconds is not None
        if self.result.bound is None:
            return self.seconds <= self.truth + 0.05
        return abs(self.seconds - self.truth) <= self.result.bound + 1e-3


class Timeline:
    """Records by their times, commits by theirs, and a portal that polls both."""

    def __init__(self, produced: Iterable[float], *, period: float = 5.0, seed: int = 1, delay: float = 0.02) -> None:
        self.produced = sorted(produced)
        self.delay = delay  # from the producer's stamp to the log
        self.random = random.Random(seed)
        self.period = period
        self.commits: list[tuple[float, int]] = []
        self.log, self.memory = ClusterLog(), GroupMemory("group")
        self.settings = LagSettings(period=period)
        self.questions = 0
        self.rounds = 0
        self.start = 0
        self.timestamp_type = "CreateTime"
        self.cleanup_policy = "delete"
        self.look_ups = True
        self.clock_ahead = 0.0  # by which producers stamp records too late

    def end(self, at: float) -> int:
        """Records in the log at that time."""
        return bisect_right(self.produced, at - self.delay)

    def consume(
        self, until: float, *, behind: Callable[[float], float], every: float = 1.0, begin: float = EPOCH
    ) -> None:
        """A consumer that at time t has read what was produced by t - behind(t), committing every so often."""
        at, offset = begin, 0
        while at < until:
            offset = max(offset, bisect_right(self.produced, at - self.delay - behind(at)))
            self.commits.append((at, offset))
            at += every * self.random.uniform(0.5, 1.5)

    def committed(self, at: float) -> int | None:
        found = bisect_right(self.commits, (at, 1 << 62))
        return self.commits[found - 1][1] if found else None

    def truth(self, committed: int, at: float) -> float:
        """Age of the first unread record; 0 when there is none."""
        position = max(committed, self.start)
        return at - self.produced[position] if position < self.end(at) else 0.0

    def poll(self, at: float) -> Measured:
        """One poll: commits first, then start and end, look-ups, assessment."""
        end_at = at + self.random.uniform(0.01, 0.15)
        committed = self.committed(at)
        assert committed is not None
        offset, read_at = FoundOffset(self.end(end_at)), {KEY: end_at}
        identity = TopicIdentity(KEY[0], "id-1", self.cleanup_policy, self.timestamp_type)
        self.log.observe(
            FoundOffsets({KEY: FoundOffset(self.start)}, read_at),
            FoundOffsets({KEY: offset}, read_at),
            None,
            {KEY[0]: identity},
        )
        if self.look_ups:
            self._look_up({KEY: committed}, end_at)
        listing = GroupListing("group", GroupType.CLASSIC, GroupState.STABLE)
        reading = GroupReading(listing, CommittedOffsets("group", {KEY: committed}, at))
        group = assess_group(self.memory, reading, self.log, self.settings, end_at)
        result = group.topics[0].partitions[0]
        truth = self.truth(committed, end_at)
        return Measured(end_at, max(0, self.end(end_at) - max(committed, self.start)), truth, result, group)

    def _look_up(self, committed: dict[tuple[str, int], int], at: float) -> None:
        plan = LookUps(self.log, at)
        plan.want(self.memory, committed, self.settings)
        while asked := plan.next_round():
            answers = {key: self._first_at(time, at) for key, time in asked.items()}
            plan.learn(asked, FoundOffsets(answers, dict.fromkeys(answers, at)))
            self.questions += len(asked)
        self.rounds = max(self.rounds, plan.rounds)

    def _first_at(self, asked: float, at: float) -> FoundOffset:
        """ListOffsets by timestamp: milliseconds, first record at or after the time."""
        found = max(self.start, bisect_left(self.produced, asked - self.clock_ahead - 1e-9))
        if found >= self.end(at):
            return FoundOffset(-1)
        return FoundOffset(found, round(self.produced[found] + self.clock_ahead, 3))

    def polls(self, begin: float, end: float) -> list[Measured]:
        """Poll every period with jitter."""
        found, at = [], begin
        while at < end:
            found.append(self.poll(at + self.random.uniform(0, 0.3)))
            at += self.period
        return found

    def restart(self, *, empty: bool = False) -> None:
        """The worker is gone. Its successor has what was stored, or (`empty`) nothing at all."""
        if empty:
            self.log, self.memory = ClusterLog(), GroupMemory("group")
            return
        log = ClusterLog()
        plain = orjson.loads(
            orjson.dumps({topic: self.log.topic_to_plain(topic, n) for topic, n in self.log.topics().items()})
        )
        for topic, row in plain.items():
            log.load_topic(topic, row)
        self.log = log
        self.memory = GroupMemory.from_plain(orjson.loads(orjson.dumps(self.memory.to_plain())), log)


def steady(seconds: float, rate: float, begin: float = EPOCH) -> list[float]:
    """Produce times at a fixed rate."""
    return [begin + number / rate for number in range(int(seconds * rate))]


def poisson(seconds: float, rate: float, seed: int, begin: float = EPOCH) -> list[float]:
    """Produce times of a random process."""
    source, at, times = random.Random(seed), begin, []
    while (at := at + source.expovariate(rate)) < begin + seconds:
        times.append(at)
    return times


def bursts(seconds: float, seed: int, begin: float = EPOCH) -> list[float]:
    """Bursts of hundreds of records within a second, with long silence between."""
    source, at, times = random.Random(seed), begin, []
    while (at := at + source.uniform(5, 60)) < begin + seconds:
        times += [at + source.uniform(0, 1) for _ in range(source.randint(50, 500))]
    return times
