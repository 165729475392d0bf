"""What must survive between cycles, on any worker: kept as small as the rules allow, and as plain JSON values in storage."""

import math
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from clusters.ports import GroupState, Partition
from lag.compute.log import ClusterLog
from lag.compute.types import GroupResult, MemberSeen, PartitionResult, TopicResult
from lag.verdicts import Method, Verdict

SAMPLE_STEP_SECONDS = 9.0  # rates and trends need no finer samples
WINDOW_SECONDS = 60.0  # "over the last minute"
INTERVALS_KEPT = 5

Trough = tuple[
    float, float | None, int
]  # at, unread since, unread records: lag right after a commit, without the saw-tooth

NEVER = math.inf
MEMBERLESS = (GroupState.EMPTY, GroupState.DEAD)


class PartitionMemory:
    """One partition of a group that has a commit."""

    __slots__ = (
        "advance",
        "approximate",
        "bound",
        "committed",
        "committed_at",
        "end",
        "first_seen",
        "intervals",
        "method",
        "next_due",
        "position",
        "result",
        "rewound_at",
        "rewound_from",
        "settled",
        "since",
        "trough",
        "troughs",
        "truncated_after",
        "truncation_confirmed",
        "verdict",
        "waiting_since",
    )

    def __init__(self, committed: int, first_seen: float) -> None:
        self.committed = committed
        self.first_seen = first_seen
        self.end: int | None = None
        self.committed_at: float | None = (
            None  # when `committed` was first seen; None = it was there at the first reading
        )
        self.waiting_since: float | None = None  # unread records and no progress since then
        # Seconds from unread records to the commit that made progress, the last five.
        self.intervals: tuple[float, ...] = ()
        self.advance = 0  # records of the last commit
        self.rewound_from: int | None = None  # until this offset is passed again
        self.rewound_at = 0.0
        self.truncated_after: float | None = None  # earliest time at which the commit fell below the log start
        self.truncation_confirmed = False  # by another commit read
        self.position: int | None = None  # the offset that `since` belongs to
        self.since: float | None = None
        self.bound: float | None = None
        self.method: Method | None = None
        self.approximate = False
        self.settled = False  # no look-up would say more
        self.trough: Trough | None = None  # the last one
        self.troughs: tuple[Trough, ...] = ()  # of a late partition, over the last minute or so
        self.verdict = Verdict.OK
        self.next_due = 0.0
        self.result: PartitionResult | None = None  # a cache, not stored

    def knows(self, position: int) -> bool:
        """The age of the unread record at `position` is known as well as it can be."""
        return self.settled and self.position == position and self.method is not Method.CAUGHT_UP

    @property
    def longest_interval(self) -> float:
        """Longest of the last five commit intervals in seconds; 0 when none was seen."""
        return max(self.intervals, default=0.0)

    def to_plain(self) -> list[Any]:
        """A short list: what is as usual at the end is left out."""
        plain = [
            self.committed,
            self.end,
            self.first_seen,
            self.committed_at,
            self.advance,
            self.method,
            None if self.position is None else self.position - self.committed,
            self.since,
            self.bound,
            self.settled,
            self.waiting_since,
            self.intervals,
            self.rewound_from,
            self.rewound_at,
            self.truncated_after,
            self.truncation_confirmed,
            self.approximate,
            self.trough,
            self.troughs,
            self.verdict,
        ]
        length = len(plain)
        while length > USUAL_FROM and plain[length - 1] == USUAL[length - 1 - USUAL_FROM]:
            length -= 1
        return plain[:length]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> "PartitionMemory":
        memory = cls(plain[0], plain[2])
        row = [*plain, *USUAL[len(plain) - USUAL_FROM :]]
        memory.end, memory.committed_at, memory.advance = row[1], row[3], row[4]
        memory.method = None if row[5] is None else Method(row[5])
        memory.position = None if row[6] is None else row[6] + memory.committed
        memory.since, memory.bound, memory.settled, memory.waiting_since = row[7:11]
        memory.intervals, memory.rewound_from, memory.rewound_at = tuple(row[11]), row[12], row[13]
        memory.truncated_after, memory.truncation_confirmed, memory.approximate = row[14:17]
        memory.trough = None if row[17] is None else (row[17][0], row[17][1], row[17][2])
        memory.troughs = tuple((at, since, records) for at, since, records in row[18])
        memory.verdict = Verdict(row[19])
        return memory


# Of a partition that has nothing unread, from the sixth field of its plain form on.
USUAL: list[Any] = [Method.CAUGHT_UP, 0, None, 0.0, True, None, (), None, 0.0, None, False, False, None, (), Verdict.OK]
USUAL_FROM = 5


SAMPLE = 4  # numbers per sample: at, unread records, produced and consumed so far (doubles count exactly up to 2**53)


class TopicMemory:
    """Counters and samples of one topic of a group, as of the last assessment."""

    __slots__ = ("consumed", "moved", "produced", "read", "records", "result", "samples", "topic_id", "worst")

    def __init__(self, topic_id: str | None = None) -> None:
        self.topic_id = topic_id
        self.records: int | None = None  # unread
        self.produced = 0  # records by which ends moved on, since the memory began
        self.consumed = 0  # records by which commits moved on
        self.samples = array("d")  # `SAMPLE` numbers each, oldest first
        self.result: TopicResult | None = None  # caches, not stored
        self.worst: PartitionResult | None = None
        self.moved = 0  # records by which ends and commits move on in the cycle that is being assessed
        self.read = 0

    def to_plain(self) -> list[Any]:
        samples = [self.samples[at : at + SAMPLE].tolist() for at in range(0, len(self.samples), SAMPLE)]
        return [self.topic_id, self.records, self.produced, self.consumed, samples]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> "TopicMemory":
        memory = cls(plain[0])
        memory.records, memory.produced, memory.consumed = plain[1:4]
        for sample in plain[4]:
            memory.samples.extend(sample)
        return memory

    def advance(self, at: float, seen_at: float, records: int | None) -> None:
        """Note the state at `at`, adding `moved` and `read`. Until `seen_at`, the previous reading, the last one held."""
        samples = self.samples
        if records is None:
            del samples[:]
        elif samples and self.records is not None and seen_at - samples[-SAMPLE] >= SAMPLE_STEP_SECONDS:
            samples.extend((seen_at, self.records, self.produced, self.consumed))
        self.records = records
        self.produced += self.moved
        self.consumed += self.read
        self.moved = self.read = 0
        if records is not None and (not samples or at - samples[-SAMPLE] >= SAMPLE_STEP_SECONDS):
            samples.extend((at, records, self.produced, self.consumed))
        while len(samples) > SAMPLE and samples[SAMPLE] <= at - WINDOW_SECONDS:
            del samples[:SAMPLE]

    def rates(self, at: float) -> tuple[float | None, float | None, float | None]:
        """(produced, consumed, change of unread records), each per second over the last minute; None = one sample only."""
        if self.records is None or not self.samples or at <= self.samples[0]:
            return None, None, None
        then, records, produced, consumed = self.samples[:SAMPLE]
        seconds = at - then
        return (
            (self.produced - produced) / seconds,
            (self.consumed - consumed) / seconds,
            (self.records - records) / seconds,
        )


class GroupMemory:
    """One group. `result` and the partitions' results are caches: after loading, one full assessment makes them anew."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.first_seen = 0.0  # 0 = never
        self.observed_at = 0.0  # last good reading of commits
        self.listed_at = 0.0  # last listing
        self.state: GroupState | None = None
        self.rebalance: tuple[float, float] | None = None  # earliest and latest start of the one that is going on
        self.rebalanced_at = 0.0  # when one was last seen going on
        self.memberless_since: float | None = None
        self.had_members = False
        self.commits_alone = 0  # polls with progress while no member was there: a consumer without membership
        self.members: dict[str, MemberSeen] = {}
        self.assignment: dict[Partition, str] = {}  # member id by partition, as last described
        self.described_at = 0.0
        self.bare: dict[Partition, tuple[float, int]] = {}  # assigned without a commit: since when, end offset then
        self.parts: dict[Partition, PartitionMemory] = {}
        self.topics: dict[str, TopicMemory] = {}
        self.verdict: Verdict | None = None
        self.searching = False  # a look-up may still say more of some partition
        self.next_due = 0.0
        self.result: GroupResult | None = None

    def is_quiet(self, committed: Mapping[Partition, int], log: ClusterLog) -> bool:
        """No commit and no log of the group moved since the last assessment."""
        if self.result is None or not log.changed_topics.isdisjoint(self.topics):
            return False
        parts = self.parts
        return len(committed) == len(parts) and all(
            (part := parts.get(partition)) is not None and part.committed == offset
            for partition, offset in committed.items()
        )

    @property
    def longest_interval(self) -> float:
        """Longest commit interval over all partitions, for those that have shown none of their own."""
        return max((max(part.intervals) for part in self.parts.values() if part.intervals), default=0.0)

    def to_plain(self) -> dict[str, Any]:
        """JSON values for storage."""
        return {
            "group": self.group,
            "times": [self.first_seen, self.observed_at, self.listed_at, self.rebalanced_at, self.described_at],
            "state": self.state,
            "rebalance": self.rebalance,
            "alone": [self.memberless_since, self.had_members, self.commits_alone],
            "members": [[m.member_id, m.client_id, m.host, m.partitions] for m in self.members.values()],
            "assignment": _by_topic(self.assignment),
            "bare": _by_topic(self.bare),
            "parts": _by_topic({partition: part.to_plain() for partition, part in self.parts.items()}),
            "topics": {topic: memory.to_plain() for topic, memory in self.topics.items()},
            "verdict": self.verdict,
            "searching": self.searching,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], log: ClusterLog) -> "GroupMemory":
        """The memory that `to_plain` gave, of a cluster whose logs are loaded."""
        memory = cls(plain["group"])
        times = plain["times"]
        memory.first_seen, memory.observed_at, memory.listed_at, memory.rebalanced_at, memory.described_at = times
        memory.state = GroupState(plain["state"]) if plain["state"] else None
        memory.rebalance = (plain["rebalance"][0], plain["rebalance"][1]) if plain["rebalance"] else None
        memory.memberless_since, memory.had_members, memory.commits_alone = plain["alone"]
        memory.members = {row[0]: MemberSeen(*row) for row in plain["members"]}
        memory.assignment = dict(_by_partition(plain["assignment"]))
        memory.bare = {partition: (since, end) for partition, (since, end) in _by_partition(plain["bare"])}
        memory.parts = {
            log.place_of(place): PartitionMemory.from_plain(row) for place, row in _by_partition(plain["parts"])
        }
        memory.topics = {topic: TopicMemory.from_plain(row) for topic, row in plain["topics"].items()}
        memory.verdict = Verdict(plain["verdict"]) if plain["verdict"] else None
        memory.searching = plain["searching"]
        return memory


def _by_topic(values: Mapping[Partition, Any]) -> dict[str, list[list[Any]]]:
    """{topic: [[number, value], ...]}: each name stands once."""
    found: dict[str, list[list[Any]]] = {}
    for (topic, number), value in values.items():
        found.setdefault(topic, []).append([number, value])
    return found


def _by_partition(plain: Mapping[str, list[list[Any]]]) -> Iterator[tuple[Partition, Any]]:
    for topic, rows in plain.items():
        for number, value in rows:
            yield (topic, number), value
