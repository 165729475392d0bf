"""Log offsets of a cluster's partitions and when they were seen to change, shared by all groups of the cluster.

`Knots` is the idea of kafka-lag-exporter's LookupTable, kept as facts rather than points: for each change of the end offset
the last time the old end was seen and the first time the new one was. A record lies between two ends, so it arrived between
two known times, whatever the producer does in between.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from clusters.ports import FoundOffsets, Partition, TopicIdentity
from lag.compute.types import Evidence, TopicFacts

KNOT_SECONDS = 600.0  # how far back knots reach
KNOT_LIMIT = 64  # changes kept per partition before old ones are merged
MERGED_WIDTH = 0.1  # merged knots stay narrower than this share of their age: half of it is 5 %
EVIDENCE_LIMIT = 24  # timestamp look-ups remembered per partition


class Knots:
    """Changes of one partition's end offset, oldest first. `befores[0]` is 0: when the first end came is not known.

    All numbers lie in one array, three per change: most partitions have one change, and an array alone takes 64 bytes.
    """

    __slots__ = ("_rows",)

    def __init__(self, ends: Iterable[int] = (), befores: Iterable[float] = (), afters: Iterable[float] = ()) -> None:
        self._rows = array("d")  # doubles count exactly up to 2**53
        for row in zip(ends, befores, afters, strict=True):
            self._rows.extend(row)

    @property
    def ends(self) -> "array[float]":
        return self._rows[0::3]

    @property
    def befores(self) -> "array[float]":
        return self._rows[1::3]

    @property
    def afters(self) -> "array[float]":
        return self._rows[2::3]

    def add(self, end: int, before: float, after: float) -> None:
        """The end was last seen unchanged at `before` and first seen as `end` at `after`. A shrunken log starts anew."""
        rows = self._rows
        if rows and end < rows[-3]:
            del rows[:]
        rows.extend((end, before if rows else 0.0, after))
        if len(rows) > 3 * KNOT_LIMIT:
            self._thin(after)

    def bracket(self, offset: int) -> tuple[int | None, float, int, float] | None:
        """(end before, time before, end after, time after) around the arrival of the record at `offset`.

        End before is None when the record is older than the knots: it came before the time after. None: not there yet.
        """
        rows = self._rows
        at = 3 * bisect_right(rows[0::3], offset)
        if at == len(rows):
            return None
        previous = int(rows[at - 3]) if at else None
        return previous, rows[at + 1], int(rows[at]), rows[at + 2]

    def _thin(self, now: float) -> None:
        ends, befores, afters = self.ends, self.befores, self.afters
        keep_from = min(bisect_right(afters, now - KNOT_SECONDS), len(ends) - 1)
        del ends[:keep_from], befores[:keep_from], afters[:keep_from]
        index = 1
        while index + 1 < len(ends):
            if afters[index + 1] - befores[index] <= MERGED_WIDTH * (now - afters[index + 1]):
                befores[index + 1] = befores[index]
                del ends[index], befores[index], afters[index]
            else:
                index += 1
        self._rows = Knots(map(int, ends), befores, afters)._rows

    def to_plain(self) -> list[list[Any]]:
        return [[int(end) for end in self.ends], self.befores.tolist(), self.afters.tolist()]


class PartitionLog:
    """Start, end (high watermark) and last stable offset of one partition as last read, and since when they stand."""

    __slots__ = ("end", "end_at", "evidence", "knots", "open_since", "place", "read_at", "stable", "start")

    def __init__(self, place: Partition) -> None:
        self.place = place  # the one tuple by which every group knows this partition
        self.start: int | None = None
        self.end: int | None = None
        self.stable: int | None = None
        self.read_at = 0.0  # of the end
        self.end_at = 0.0  # first time the present end was seen
        self.open_since: float | None = None  # a transaction holds the stable offset at this value since then
        self.knots = Knots()
        self.evidence: tuple[Evidence, ...] = ()  # answers of timestamp look-ups, in the order they came; a cache

    def learn(self, answer: Evidence) -> None:
        """Keep an answer of a timestamp look-up, and the newest ones before it."""
        self.evidence = (*self.evidence[1 - EVIDENCE_LIMIT :], answer)

    def measured(self, read_committed: bool) -> int | None:
        """The offset lag is measured against."""
        return self.stable if read_committed else self.end

    def to_plain(self) -> list[Any]:
        return [self.start, self.end, self.stable, self.read_at, self.end_at, self.open_since, *self.knots.to_plain()]

    @classmethod
    def from_plain(cls, place: Partition, plain: list[Any]) -> "PartitionLog":
        log = cls(place)
        log.start, log.end, log.stable, log.read_at, log.end_at, log.open_since = plain[:6]
        log.knots = Knots(*plain[6:9])
        return log


class ClusterLog:
    """The logs of a cluster. After `observe`, `changed` and `changed_topics` name what this cycle moved."""

    def __init__(self) -> None:
        self.partitions: dict[Partition, PartitionLog] = {}
        self.facts: dict[str, TopicFacts] = {}
        self.changed: set[Partition] = set()
        self.changed_topics: set[str] = set()
        self._missing: set[Partition] = set()
        self.shrunk: set[str] = set()  # topics whose end went back: ask for their identity

    def observe(
        self,
        starts: FoundOffsets,
        ends: FoundOffsets,
        stable: FoundOffsets | None = None,
        identities: Mapping[str, TopicIdentity] | None = None,
    ) -> None:
        """Take in one cycle's reading. Partitions that are missing keep their offsets and the old reading time.

        `identities` may name any topics, as often as they are asked for.
        """
        self.changed, self.shrunk = set(), set()
        for topic, identity in (identities or {}).items():
            self._identify(topic, identity)
        self._observe_ends(ends)
        for partition, found in starts.offsets.items():
            log = self.partitions.get(partition)
            if log is not None and log.start != found.offset:
                log.start = found.offset
                self.changed.add(partition)
        if stable is not None:
            self._observe_stable(stable)
        self.changed |= self._missing  # read again
        self._missing = (
            self.partitions.keys() - ends.offsets.keys() if len(ends.offsets) < len(self.partitions) else set()
        )
        self.changed |= self._missing  # judged every cycle until read again
        self.changed_topics = {topic for topic, _ in self.changed}

    def _observe_ends(self, ends: FoundOffsets) -> None:
        partitions, read_at = self.partitions, ends.read_at
        for partition, found in ends.offsets.items():
            log = partitions.get(partition)
            if log is None:
                log = partitions[partition] = PartitionLog(partition)
            at = read_at[partition]
            if found.offset != log.end:
                self._move_end(partition, log, found.offset, at)
            log.read_at = at

    def _move_end(self, partition: Partition, log: PartitionLog, end: int, at: float) -> None:
        if log.end is not None and end < log.end:
            self.shrunk.add(partition[0])
            log.evidence = ()
        log.knots.add(end, log.read_at, at)
        log.end, log.end_at = end, at
        self.changed.add(partition)

    def _observe_stable(self, stable: FoundOffsets) -> None:
        for partition, found in stable.offsets.items():
            log = self.partitions.get(partition)
            if log is None or log.end is None:
                continue
            is_open = found.offset < log.end
            if found.offset != log.stable or is_open != (log.open_since is not None):
                log.open_since = stable.read_at[partition] if is_open else None
                log.stable = found.offset
                self.changed.add(partition)

    def _identify(self, topic: str, identity: TopicIdentity) -> None:
        known = self.facts.get(topic)
        facts = TopicFacts(
            topic_id=identity.topic_id or (known.topic_id if known else None),
            compacted="compact" in (identity.cleanup_policy or ""),
            producer_time=identity.timestamp_type != "LogAppendTime",
        )
        if known is not None and known.topic_id and facts.topic_id != known.topic_id:
            self.forget([topic])  # another topic of the same name
        if facts != known:
            self.facts[topic] = facts
            self.changed |= {partition for partition in self.partitions if partition[0] == topic}
            self.changed.add((topic, -1))  # tells of the topic itself

    def forget(self, topics: Iterable[str]) -> None:
        """Drop topics that are gone."""
        gone = set(topics)
        self.facts = {topic: facts for topic, facts in self.facts.items() if topic not in gone}
        self.partitions = {partition: log for partition, log in self.partitions.items() if partition[0] not in gone}

    def place_of(self, partition: Partition) -> Partition:
        """The tuple to remember a partition by: one for all groups, where its log is known."""
        log = self.partitions.get(partition)
        return log.place if log is not None else partition

    def facts_of(self, topic: str) -> TopicFacts:
        return self.facts.get(topic, UNKNOWN_TOPIC)

    def topic_to_plain(self, topic: str, partitions: Iterable[int]) -> dict[str, Any]:
        """One topic as JSON values. Rows of topics not in `changed_topics` need no rewrite."""
        facts = self.facts_of(topic)
        logs = {n: log.to_plain() for n in partitions if (log := self.partitions.get((topic, n)))}
        return {
            "facts": [facts.topic_id, facts.compacted, facts.producer_time],
            "logs": [[n, *row] for n, row in logs.items()],
        }

    def load_topic(self, topic: str, plain: Mapping[str, Any], seen_at: float = 0.0) -> None:
        """Take up what `topic_to_plain` gave. `seen_at` = when the topic was last read in full, if later than stored."""
        self.facts[topic] = TopicFacts(*plain["facts"])
        for number, *row in plain["logs"]:
            place = topic, number
            log = self.partitions[place] = PartitionLog.from_plain(place, row)
            log.read_at = max(log.read_at, seen_at)

    def topics(self) -> dict[str, list[int]]:
        """Partition numbers by topic."""
        found: dict[str, list[int]] = {}
        for topic, number in self.partitions:
            found.setdefault(topic, []).append(number)
        return found


UNKNOWN_TOPIC = TopicFacts()
