"""What always holds, whatever a group does: no negative lag, true sums, finite numbers, and no difference between paths."""

import math
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

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
from lag.compute import (
    ClusterLog,
    GroupMemory,
    GroupReading,
    GroupResult,
    LagSettings,
    LookUps,
    assess_group,
    reasons,
    seconds_at,
)
from lag.compute.types import INPUT_NAMES
from lag.verdicts import Method, Verdict
from tests.lag.timeline import EPOCH, Timeline, bursts, poisson

KEYS: list[Partition] = [("a", 0), ("a", 1), ("b", 0)]

step = st.fixed_dictionaries(
    {
        "after": st.sampled_from([1.0, 5.0, 5.0, 5.0, 40.0, 700.0]),
        "state": st.sampled_from([GroupState.STABLE] * 6 + list(GroupState)),
        "described": st.booleans(),
        "produced": st.lists(st.sampled_from([0, 0, 0, 1, 50, 5000]), min_size=3, max_size=3),
        "consumed": st.lists(st.sampled_from([-100, 0, 0, 1, 50, 5000, None]), min_size=3, max_size=3),
        "deleted": st.lists(st.sampled_from([0, 0, 0, 30, 4000]), min_size=3, max_size=3),
        "read": st.lists(st.sampled_from([True] * 9 + [False]), min_size=3, max_size=3),
    }
)
histories = st.lists(step, min_size=1, max_size=25)


class World:
    """Applies random steps; what is true of them is simple to say."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.ends = [1000, 0, 10]
        self.starts = [0, 0, 0]
        self.commits: list[int | None] = [990, None, 10]

    def apply(self, change: dict[str, Any]) -> tuple[FoundOffsets, FoundOffsets, GroupReading]:
        self.now += change["after"]
        for index in range(3):
            self.ends[index] += change["produced"][index]
            self.starts[index] = min(self.ends[index], self.starts[index] + change["deleted"][index])
            consumed, before = change["consumed"][index], self.commits[index]
            if consumed is not None:
                self.commits[index] = max(0, min(self.ends[index], (before or 0) + consumed))
        read = [index for index in range(3) if change["read"][index]]
        at = {KEYS[index]: self.now for index in read}
        starts = FoundOffsets({KEYS[index]: FoundOffset(self.starts[index]) for index in read}, at)
        ends = FoundOffsets({KEYS[index]: FoundOffset(self.ends[index]) for index in read}, at)
        committed = {key: commit for key, commit in zip(KEYS, self.commits, strict=True) if commit is not None}
        description = None
        if change["described"]:
            member = Member("m", "c", "h", tuple(KEYS))
            description = GroupDescription("group", GroupType.CLASSIC, change["state"], (member,))
        listing = GroupListing("group", GroupType.CLASSIC, change["state"])
        return starts, ends, GroupReading(listing, CommittedOffsets("group", committed, self.now), description)


def run(history: list[dict[str, Any]], *, reload: bool = False, fast: bool = True) -> list[tuple[World, GroupResult]]:
    """Results of a history; `reload` stores and loads the memory each time, `fast` False assesses everything anew."""
    world, log, memory = World(), ClusterLog(), GroupMemory("group")
    results = []
    for change in history:
        starts, ends, reading = world.apply(change)
        log.observe(starts, ends)
        if reload:
            memory = GroupMemory.from_plain(orjson.loads(orjson.dumps(memory.to_plain())), log)
        if not fast:
            memory.next_due = 0.0
            for part in memory.parts.values():
                part.next_due = 0.0
        results.append((world, assess_group(memory, reading, log, LagSettings(), world.now)))
        check(world, results[-1][1])
    return results


def check(world: World, result: GroupResult) -> None:
    summary = result.summary
    known = []
    for topic in result.topics:
        for partition in topic.partitions:
            index = KEYS.index((partition.topic, partition.partition))
            if partition.lag_records is not None:
                known.append(partition.lag_records)
                assert partition.lag_records >= 0
                assert partition.committed is not None
                assert partition.committed == world.commits[index]
                assert (partition.lag_records == 0) == (partition.method is Method.CAUGHT_UP)
            else:
                assert partition.method is None
                assert partition.unread_since is None
            assert partition.lost >= 0
        assert topic.lag_records == (
            sum(p.lag_records for p in topic.partitions if p.lag_records is not None)
            if any(p.lag_records is not None for p in topic.partitions)
            else None
        )
    assert summary.lag_records == (sum(known) if known else None)
    assert summary.lag_records_max == max(known, default=None)
    assert summary.verdict == min(
        (p.verdict for t in result.topics for p in t.partitions), key=lambda v: v.severity, default=Verdict.OK
    )
    for number in (
        summary.lag_seconds,
        summary.bound,
        summary.produce_rate,
        summary.consume_rate,
        summary.catch_up_seconds,
    ):
        assert number is None or (math.isfinite(number) and number >= 0)
    assert summary.trend is None or math.isfinite(summary.trend)
    for event in result.events:
        assert event.at_earliest <= event.at == world.now
        assert event.records is None or event.records > 0
    orjson.dumps([result.summary.inputs, [event._asdict() for event in result.events]])


def plain(result: GroupResult) -> Any:
    """A result without what legitimately differs between the paths."""
    return result._replace(changed=True, next_due=0.0)


@given(histories)
@settings(max_examples=120, deadline=None)
def test_every_reading_keeps_the_invariants(history: list[dict[str, Any]]) -> None:
    assert len(run(history)) == len(history)  # each was checked on the way


@given(histories)
@settings(max_examples=60, deadline=None)
def test_a_stored_memory_says_the_same_as_a_kept_one(history: list[dict[str, Any]]) -> None:
    for (_, kept), (_, loaded) in zip(run(history), run(history, reload=True), strict=True):
        assert loaded.events == kept.events
        assert loaded.summary._replace(reason="", inputs={}) == kept.summary._replace(reason="", inputs={})


@given(histories)
@settings(max_examples=60, deadline=None)
def test_memories_survive_storage_unchanged(history: list[dict[str, Any]]) -> None:
    world, log, memory = World(), ClusterLog(), GroupMemory("group")
    for change in history:
        starts, ends, reading = world.apply(change)
        log.observe(starts, ends)
        assess_group(memory, reading, log, LagSettings(), world.now)
    stored = orjson.dumps(memory.to_plain())
    assert orjson.dumps(GroupMemory.from_plain(orjson.loads(stored), log).to_plain()) == stored


@given(histories)
@settings(max_examples=80, deadline=None)
def test_the_fast_path_says_the_same_as_the_slow_one(history: list[dict[str, Any]]) -> None:
    for (_, quick), (_, slow) in zip(run(history), run(history, fast=False), strict=True):
        assert quick.events == slow.events
        assert quick.summary._replace(reason="", inputs={}) == slow.summary._replace(reason="", inputs={})


def test_nothing_new_gives_the_last_result_back_with_the_new_time() -> None:
    log, memory = ClusterLog(), GroupMemory("group")
    listing = GroupListing("group", GroupType.CLASSIC, GroupState.STABLE)
    results = []
    for number in range(30):
        now = 1_700_000_000.0 + 5 * number
        at = {KEYS[0]: now}
        log.observe(FoundOffsets({KEYS[0]: FoundOffset(0)}, at), FoundOffsets({KEYS[0]: FoundOffset(9)}, at))
        reading = GroupReading(listing, CommittedOffsets("group", {KEYS[0]: 9}, now))
        results.append(assess_group(memory, reading, log, LagSettings(), now))
    assert not results[-1].changed
    assert results[-1].topics is results[-2].topics
    assert results[-1].summary.observed_at == 1_700_000_000.0 + 145


@given(
    seed=st.integers(0, 10_000),
    rate=st.floats(0.05, 40),
    behind=st.floats(0, 200),
    period=st.sampled_from([1.0, 5.0, 15.0]),
)
@settings(max_examples=25, deadline=None)
def test_bounds_hold_the_truth_of_random_groups(seed: int, rate: float, behind: float, period: float) -> None:
    times = poisson(700, rate, seed) if seed % 2 else bursts(700, seed)
    line = Timeline(times, period=period, seed=seed)
    line.consume(EPOCH + 700, behind=lambda at: behind * (0.5 + (seed + int(at)) % 7 / 7), every=period)
    measured = [poll for poll in line.polls(EPOCH + 50, EPOCH + 700) if poll.seconds is not None]
    assert sum(poll.holds for poll in measured) >= 0.99 * len(measured) - 1
    assert all(0 <= (poll.seconds or 0) < 1000 for poll in measured)


def test_look_ups_are_bounded_in_rounds_and_number_and_the_worst_come_first() -> None:
    log, settings_ = ClusterLog(), LagSettings()
    keys = [("deep", number) for number in range(50)]
    now = 1_700_000_000.0
    at = dict.fromkeys(keys, now)
    log.observe(
        FoundOffsets(dict.fromkeys(keys, FoundOffset(0)), at),
        FoundOffsets(dict.fromkeys(keys, FoundOffset(10_000)), at),
    )
    plan = LookUps(log, now, budget=60)
    plan.want(GroupMemory("group"), dict.fromkeys(keys, 500), settings_)
    sizes = []
    while asked := plan.next_round():
        sizes.append(len(asked))
        answers = {
            key: FoundOffset(0 if time == 0 else 5000, now - 90_000 if time == 0 else time + 1)
            for key, time in asked.items()
        }
        plan.learn(asked, FoundOffsets(answers, at))
    assert sizes == [50, 10]


def test_a_refused_look_up_is_not_repeated_in_the_cycle() -> None:
    log, now, key = ClusterLog(), 1_700_000_000.0, ("deep", 0)
    log.observe(FoundOffsets({key: FoundOffset(0)}, {key: now}), FoundOffsets({key: FoundOffset(100)}, {key: now}))
    plan = LookUps(log, now)
    plan.want(GroupMemory("group"), {key: 5}, LagSettings())
    assert plan.next_round() == {key: 0.0}
    plan.learn({key: 0.0}, FoundOffsets({}, {}))
    assert plan.next_round() == {}


def test_a_lower_bound_of_nothing_is_unknown_not_zero() -> None:
    assert seconds_at(100.0, Method.LOWER_BOUND, 100.0) is None
    assert seconds_at(100.0, Method.LOWER_BOUND, 103.0) == 3.0
    assert seconds_at(None, Method.CAUGHT_UP, 103.0) == 0.0
    assert seconds_at(None, None, 103.0) is None
    assert seconds_at(110.0, Method.KNOTS, 103.0) == 0.0


def test_every_rule_names_what_it_looked_at_and_has_a_sentence() -> None:
    assert INPUT_NAMES.keys() - {""} == reasons._RULES.keys()
