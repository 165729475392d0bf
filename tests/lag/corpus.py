"""Labelled traces of consumer groups: simulated here, recorded from the demo in `traces/*.json`, replayed by both judges.

A recorded trace is one JSON object:

    {"name": "risk-engine-crash-1",            unique
     "scenario": "stalled",                    what was done to the group
     "expected": "stalled",                    the verdict that is true at the end, or (judge "any") true at some time
     "allowed": ["falling_behind"],            alarms that are right on the way there, beside ok, unknown and `expected`
     "judge": "end",                           or "any"
     "type": "classic",                        or "consumer"
     "settings": {"period": 5.0},              fields of lag.compute.LagSettings that differ from the default
     "readings": [[at, state, members, {"topic/0": [committed, start, end, high_watermark]}], ...]}

`at` = seconds since the epoch of the poll; `state` = a word of clusters.ports.GroupState; `members` = null when the group was
not described in that poll, else [[member_id, client_id, host, ["topic/0", ...]], ...]; `committed` = null without a commit;
`end` = what lag is measured against. Optional "commits": [[at, "topic/0", offset], ...] = every commit as it was made; without
it Burrow's rules see a commit whenever the polled offset moved.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clusters.ports import (
    CommittedOffsets,
    FoundOffset,
    FoundOffsets,
    GroupDescription,
    GroupListing,
    GroupState,
    GroupType,
    Member,
    Partition,
)
from lag.compute import ClusterLog, GroupMemory, GroupReading, GroupResult, LagSettings, assess_group
from tests.lag.burrow import AS_VERDICT, BurrowPartition

RECORDED = Path(__file__).parent / "traces"
EPOCH = 1_767_225_600.0

Offsets = tuple[int | None, int, int, int]  # committed, start, end, high watermark
MemberRow = tuple[str, str, str, list[str]]


@dataclass(slots=True)
class Poll:
    at: float
    state: str
    members: list[MemberRow] | None
    partitions: dict[str, Offsets]


@dataclass(slots=True)
class Trace:
    name: str
    scenario: str
    expected: str
    allowed: tuple[str, ...] = ()
    judge: str = "end"
    type: str = "classic"
    settings: dict[str, Any] = field(default_factory=dict)
    readings: list[Poll] = field(default_factory=list)
    commits: list[tuple[float, str, int]] = field(default_factory=list)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Trace":
        readings = [
            Poll(at, state, members, {key: tuple(row) for key, row in partitions.items()})
            for at, state, members, partitions in plain["readings"]
        ]
        commits = [(at, key, offset) for at, key, offset in plain.get("commits", [])]
        return cls(**{**plain, "readings": readings, "commits": commits, "allowed": tuple(plain.get("allowed", ()))})


def recorded() -> Iterator[Trace]:
    """The traces that were recorded from the demo."""
    for path in sorted(RECORDED.glob("*.json")):
        yield Trace.from_json(json.loads(path.read_text()))


# --- replay ---------------------------------------------------------------------------------------------------------------
def split(key: str) -> Partition:
    topic, number = key.rsplit("/", 1)
    return topic, int(number)


def replay(trace: Trace) -> list[GroupResult]:
    """What the portal says at each reading."""
    log, memory, results = ClusterLog(), GroupMemory("group"), []
    settings = LagSettings(**trace.settings)
    for poll in trace.readings:
        keys = {split(key): row for key, row in poll.partitions.items()}
        read_at = dict.fromkeys(keys, poll.at)
        log.observe(
            FoundOffsets({key: FoundOffset(row[1]) for key, row in keys.items()}, read_at),
            FoundOffsets({key: FoundOffset(row[3]) for key, row in keys.items()}, read_at),
            FoundOffsets({key: FoundOffset(row[2]) for key, row in keys.items()}, read_at)
            if settings.read_committed
            else None,
        )
        kind, state = GroupType(trace.type), GroupState(poll.state)
        committed = {key: row[0] for key, row in keys.items() if row[0] is not None}
        description = None
        if poll.members is not None:
            members = tuple(Member(m[0], m[1], m[2], tuple(split(key) for key in m[3])) for m in poll.members)
            description = GroupDescription("group", kind, state, members)
        reading = GroupReading(
            GroupListing("group", kind, state), CommittedOffsets("group", committed, poll.at), description
        )
        results.append(assess_group(memory, reading, log, settings, poll.at))
    return results


def replay_burrow(trace: Trace) -> list[str]:
    """What Burrow's rules say at each reading, as our words."""
    partitions: dict[str, BurrowPartition] = {}
    commits = sorted(trace.commits)
    verdicts = []
    last: dict[str, int | None] = {}
    done = 0
    for poll in trace.readings:
        for key, (_, _, _, high_watermark) in poll.partitions.items():
            partitions.setdefault(key, BurrowPartition()).add_end(high_watermark, poll.at)
        if trace.commits:
            while done < len(commits) and commits[done][0] <= poll.at:
                at, key, offset = commits[done]
                partitions.setdefault(key, BurrowPartition()).add_commit(offset, at)
                done += 1
        else:
            for key, (offset_now, *_) in poll.partitions.items():
                if offset_now is not None and last.get(key) != offset_now:
                    partitions[key].add_commit(offset_now, poll.at)
                last[key] = offset_now
        worst = max((partition.status(poll.at) for partition in partitions.values()), default=None)
        verdicts.append(AS_VERDICT[worst] if worst is not None else "ok")
    return verdicts


# --- judgement --------------------------------------------------------------------------------------------------------------
QUIET = frozenset({"ok", "unknown"})


@dataclass(slots=True)
class Judgement:
    """One trace judged: the verdict that stands against the expected one, and alarms that should never have been."""

    trace: Trace
    given: str
    false_alarms: list[tuple[float, str]]

    @property
    def missed(self) -> bool:
        return self.given != self.trace.expected and self.trace.expected not in QUIET


def judged(trace: Trace, verdicts: list[str]) -> Judgement:
    """Compare the verdicts at each reading with the label."""
    fine = QUIET | {trace.expected} | set(trace.allowed)
    start = trace.readings[0].at
    alarms = [(poll.at - start, word) for poll, word in zip(trace.readings, verdicts, strict=True) if word not in fine]
    given = verdicts[-1]
    if trace.judge == "any" and trace.expected in verdicts:
        given = trace.expected
    return Judgement(trace, given, alarms)


def confusion(judgements: list[Judgement]) -> dict[str, dict[str, int]]:
    """Traces by expected and given verdict."""
    table: dict[str, dict[str, int]] = {}
    for judgement in judgements:
        row = table.setdefault(judgement.trace.expected, {})
        row[judgement.given] = row.get(judgement.given, 0) + 1
    return table


def report(title: str, judgements: list[Judgement]) -> str:
    """Confusion matrix and the shares of false alarms and misses, as text."""
    table = confusion(judgements)
    words = sorted(set(table) | {word for row in table.values() for word in row})
    lines = [title, f"{'expected':>16} | " + " ".join(f"{word:>14}" for word in words)]
    for expected in words:
        row = table.get(expected, {})
        lines.append(f"{expected:>16} | " + " ".join(f"{row.get(word) or '.':>14}" for word in words))
    alarms = [judgement for judgement in judgements if judgement.false_alarms]
    missed = [judgement for judgement in judgements if judgement.missed]
    total = len(judgements)
    lines.append(
        f"{total} traces: {len(alarms)} with false alarms ({len(alarms) / total:.1%}), {len(missed)} missed ({len(missed) / total:.1%})"
    )
    lines += [f"  {it.trace.name}: given {it.given}, alarms {it.false_alarms[:4]}" for it in alarms + missed]
    return "\n".join(lines)


# --- simulation -------------------------------------------------------------------------------------------------------------
class Scene:
    """A group at work, a quarter of a second at a time. Scenarios turn its knobs; polls read it with a little jitter."""

    def __init__(
        self, seed: int, *, partitions: int = 3, rate: float = 40.0, period: float = 5.0, commit_every: float = 5.0
    ) -> None:
        self.random = random.Random(seed)
        self.keys = [f"trades.execution/{number}" for number in range(partitions)]
        self.now = EPOCH
        self.period = period
        self.rate = rate  # records a second and partition
        self.speed = 10 * rate  # records a second and partition that a member can read
        self.commit_every = commit_every
        self.members = ["member-1", "member-2"]
        self.state = "stable"
        self.reading = True  # members poll and process
        self.committing = True
        self.markers = 0  # control records appended after each batch of a transaction
        self.ends = [float(self.random.randint(10_000, 90_000)) for _ in self.keys]
        self.starts = [0 for _ in self.keys]
        self.positions = list(self.ends)
        self.committed: list[int | None] = [int(end) for end in self.ends]
        self.stuck: set[int] = set()
        self.polls: list[Poll] = []
        self.commits: list[tuple[float, str, int]] = []
        self._next_commit = self.now + commit_every
        self._next_poll = self.now

    def run(self, seconds: float, rate: Callable[[float], float] | None = None) -> None:
        """Let time pass; `rate` gives records a second by seconds since this call."""
        began, until = self.now, self.now + seconds
        while self.now < until:
            self.now += 0.25
            self._produce(rate(self.now - began) if rate else self.rate)
            self._consume()
            if self.now >= self._next_commit:
                self._next_commit = self.now + self.commit_every
                self.commit()
            if self.now >= self._next_poll:
                self._next_poll += self.period
                self.poll()

    def _produce(self, rate: float) -> None:
        for index in range(len(self.ends)):
            self.ends[index] += rate * 0.25 * self.random.uniform(0.6, 1.4)

    def _consume(self) -> None:
        if not (self.reading and self.members):
            return
        for index in range(len(self.ends)):
            if index not in self.stuck:
                self.positions[index] = min(
                    int(self.ends[index]), max(self.positions[index], self.starts[index]) + self.speed * 0.25
                )

    def commit(self) -> None:
        """What members do every `commit_every` seconds."""
        if not (self.reading and self.committing and self.members):
            return
        for index, key in enumerate(self.keys):
            self.committed[index] = int(self.positions[index])
            self.commits.append((self.now, key, int(self.positions[index])))

    def set_offsets(self, shift: int | None = None, *, to: str = "") -> None:
        """An operator's reset: commits and positions move together."""
        for index, key in enumerate(self.keys):
            target = (
                int(self.ends[index])
                if to == "end"
                else max(self.starts[index], int(self.positions[index]) + (shift or 0))
            )
            self.positions[index] = target
            self.committed[index] = target
            self.commits.append((self.now, key, target))

    def leave(self) -> None:
        self.members, self.state = [], "empty"

    def join(self, *members: str) -> None:
        self.members, self.state = list(members) or ["member-3", "member-4"], "stable"

    def retain(self, keep: int) -> None:
        """Retention deletes all but the last `keep` records."""
        self.starts = [max(start, int(end) - keep) for start, end in zip(self.starts, self.ends, strict=True)]

    def poll(self) -> None:
        rows: dict[str, Offsets] = {}
        for index, key in enumerate(self.keys):
            end = int(self.ends[index]) + self.markers
            rows[key] = (self.committed[index], self.starts[index], end, end)
        share = max(1, len(self.members))
        members: list[MemberRow] = [
            (name, "client", f"10.0.0.{place}", self.keys[place::share]) for place, name in enumerate(self.members)
        ]
        jitter = self.random.uniform(0, 0.2)
        self.polls.append(Poll(round(self.now + jitter, 3), self.state, members, rows))

    def trace(self, name: str, expected: str, *allowed: str, judge: str = "end", **settings: Any) -> Trace:
        return Trace(
            name=name,
            scenario=name,
            expected=expected,
            allowed=allowed,
            judge=judge,
            settings={"period": self.period, **settings},
            readings=self.polls,
            commits=self.commits,
        )
