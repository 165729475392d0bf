"""When was a record produced: from knots, narrowed or extended by timestamp look-ups; payload is never read.

With f(T) the first offset whose timestamp is at or after T and c the offset in question: f(T) > c proves ts(c) < T, an answer
at c itself is its timestamp, and f(T) <= c says ts(c) >= T where timestamps are in order (notes of Kafka's ListOffsets).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from clusters.ports import FoundOffsets, Partition
from lag.compute.log import ClusterLog, PartitionLog
from lag.compute.memory import GroupMemory
from lag.compute.types import Committed, Estimate, Evidence, LagSettings, TopicFacts
from lag.verdicts import Method

TOLERANCE_SECONDS = 1.0  # a bound is good enough at this
TOLERANCE_SHARE = 0.05  # or at this share of the age, whichever is larger
TRANSIT_SECONDS = 0.25  # a record may be stamped, and an end read, this long before we can see it
SKEW_SECONDS = 1.0  # a timestamp later than the arrival by more than this is a producer's wrong clock
ROUNDS = 8


class Window(NamedTuple):
    """What is known of a record's produce time. `low` None = nothing but that it is not after `high`."""

    low: float | None
    high: float
    low_offset: int | None  # an offset produced at about `low`, for interpolation
    high_offset: int | None
    corroborated: bool  # our own readings bound the time on both sides
    narrowed: bool  # a timestamp look-up says more than our own readings
    skewed: bool  # timestamps contradict our readings


def window(log: PartitionLog, offset: int) -> Window | None:
    """What is known of the produce time of the record at `offset`; None when that record is not known to exist."""
    bracket = log.knots.bracket(offset)
    if bracket is None:
        return None
    end_before, before, end_after, after = bracket
    low = before - TRANSIT_SECONDS if end_before is not None else None
    known = Window(low, after, end_before, end_after, low is not None, False, False)
    return _narrow(known, log.evidence, offset) if log.evidence else known


def _narrow(known: Window, evidence: tuple[Evidence, ...], offset: int) -> Window:
    low, high, low_offset, high_offset = known.low, known.high, known.low_offset, known.high_offset
    narrowed = False
    for answer in evidence:
        if answer.offset > offset:
            if answer.asked < high:
                high, high_offset, narrowed = answer.asked, answer.offset, True
        elif answer.timestamp is not None:
            if answer.timestamp > known.high + SKEW_SECONDS:
                return known._replace(skewed=True)
            if answer.offset == offset:
                at = answer.timestamp
                return Window(at, at, offset, offset, known.corroborated, True, False)
            if low is None or answer.timestamp > low:
                low, low_offset, narrowed = answer.timestamp, answer.offset, True
    if low is not None and low > high:  # out of order, or stamped well before it arrived: only `high` is proven
        low, low_offset = None, None
        if known.low is not None and known.low <= high:
            low, low_offset = known.low, known.low_offset
    return Window(low, high, low_offset, high_offset, known.corroborated, narrowed, False)


def tolerance(high: float, now: float) -> float:
    """The half width in seconds that is good enough for a record produced at `high`."""
    return max(TOLERANCE_SECONDS, TOLERANCE_SHARE * (now - high))


def locate(log: PartitionLog, facts: TopicFacts, offset: int, now: float) -> Estimate | None:
    """Best estimate of the produce time of the record at `offset`; None when nothing is known."""
    found = window(log, offset)
    if found is None:
        return None
    approximate = facts.compacted or found.skewed
    if found.low is None:
        settled = found.skewed or any(answer.asked == 0.0 for answer in log.evidence)
        return Estimate(found.high, None, Method.LOWER_BOUND, approximate, settled)
    half = (found.high - found.low) / 2
    settled = half <= tolerance(found.high, now)
    since = None if settled else _guess(found, offset)
    if since is None:
        since = found.low + half
    bound = max(since - found.low, found.high - since)
    method = Method.TIMESTAMP if found.narrowed else Method.KNOTS
    if found.narrowed and facts.producer_time and not found.corroborated:
        approximate = True
    return Estimate(since, bound, method, approximate, settled or found.skewed)


def _guess(found: Window, offset: int) -> float | None:
    """Steady production between the two sides assumed."""
    if (
        found.low is None
        or found.low_offset is None
        or found.high_offset is None
        or found.high_offset <= found.low_offset
    ):
        return None
    share = (offset - found.low_offset + 0.5) / (found.high_offset - found.low_offset)
    return found.low + min(1.0, max(0.0, share)) * (found.high - found.low)


def next_question(log: PartitionLog, offset: int, now: float) -> tuple[float, float] | None:
    """(time to ask for, urgency) to learn more of the record at `offset`; None = good enough, or nothing more to learn.

    Interpolation ends fast in steady logs; where it creeps up from one side, log(age) is halved, which ends for certain.
    """
    found = window(log, offset)
    if found is None or found.skewed:
        return None
    if found.low is None:
        return None if any(answer.asked == 0.0 for answer in log.evidence) else (0.0, math.inf)
    wanted = tolerance(found.high, now)
    width = found.high - found.low
    if width / 2 <= wanted:
        return None
    guess = None if _stuck(log.evidence, offset) else _guess(found, offset)
    if guess is not None:  # aim a little past it, so that two answers enclose the record
        guess += -0.9 * wanted if guess - found.low > found.high - guess else 0.9 * wanted
        at = min(found.high - width / 10, max(found.low + width / 10, guess))
    else:
        oldest, newest = now - found.low, max(now - found.high, wanted)
        at = now - math.sqrt(oldest * newest) if oldest > 2 * newest else found.low + width / 2
    at = round(at, 3)
    asked = [answer.asked for answer in log.evidence]
    if at in asked:
        at = round(found.low + width / 2, 3)
    return None if at in asked else (at, width / 2 / wanted)


def _stuck(evidence: tuple[Evidence, ...], offset: int) -> bool:
    """The last two answers lie on the same side of the record."""
    last = [answer.offset > offset for answer in evidence[-2:] if answer.asked]
    return len(last) == 2 and last[0] is last[1]


class LookUps:
    """Plans the timestamp look-ups of one cycle: bounded in rounds and number, the worst first.

    What is left over stays a wider bound or a lower bound; a stopped group is looked up once, its answer is in its memory.
    """

    def __init__(self, log: ClusterLog, now: float, budget: int = 1000) -> None:
        self.log = log
        self.now = now
        self.budget = budget
        self.rounds = 0
        self._wanted: dict[Partition, set[int]] = {}

    def want(self, memory: GroupMemory, committed: Committed | None, settings: LagSettings) -> None:
        """Note the first unread records of a group whose produce time is not known well enough."""
        if not committed or (memory.is_quiet(committed, self.log) and not memory.searching):
            return
        logs, parts, changed = self.log.partitions, memory.parts, self.log.changed
        for partition, offset in committed.items():
            part = parts.get(partition)
            if part is not None and part.settled and offset == part.committed and partition not in changed:
                continue
            log = logs.get(partition)
            if log is None or log.start is None:
                continue
            end = log.measured(settings.read_committed)
            position = max(offset, log.start)
            if end is None or position >= end or (part is not None and part.knows(position)):
                continue
            self._wanted.setdefault(partition, set()).add(position)

    def next_round(self) -> dict[Partition, float]:
        """Times to ask `KafkaPort.offsets_at` for; empty = done for this cycle."""
        if self.rounds >= ROUNDS or self.budget <= 0 or not self._wanted:
            return {}
        self.rounds += 1
        questions: list[tuple[float, Partition, float]] = []
        for partition, offsets in list(self._wanted.items()):
            log = self.log.partitions[partition]
            open_ones = {offset: ask for offset in offsets if (ask := next_question(log, offset, self.now))}
            if not open_ones:
                del self._wanted[partition]
                continue
            self._wanted[partition] = set(open_ones)
            at, urgency = max(open_ones.values(), key=lambda ask: ask[1])
            questions.append((urgency, partition, at))
        if len(questions) > self.budget:
            questions.sort(key=lambda question: -question[0])
            del questions[self.budget :]
        self.budget -= len(questions)
        return {partition: at for _, partition, at in questions}

    def learn(self, asked: Mapping[Partition, float], answer: FoundOffsets) -> None:
        """Take in one round's answers. A partition without an answer is left alone for the rest of the cycle."""
        for partition, at in asked.items():
            found = answer.offsets.get(partition)
            if found is None:
                self._wanted.pop(partition, None)
                continue
            log = self.log.partitions[partition]
            if found.offset >= 0:
                log.learn(Evidence(at, found.offset, found.timestamp))
            elif log.end is not None:  # every record there is older than `at`
                log.learn(Evidence(at, log.end))
