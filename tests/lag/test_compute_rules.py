"""Edge cases of lag: each row of notes that others get wrong, one by one."""

from typing import Any

import pytest

from clusters.ports import (
    CommittedOffsets,
    EntityError,
    FoundOffset,
    FoundOffsets,
    GroupDescription,
    GroupListing,
    GroupState,
    GroupType,
    Member,
    Partition,
    TopicIdentity,
)
from lag.compute import ClusterLog, GroupMemory, GroupReading, GroupResult, LagSettings, assess_group, group_vanished
from lag.verdicts import EventKind, Flag, Method, Verdict

T0 = 1_767_225_600.0
P0, P1 = ("trades.execution", 0), ("trades.execution", 1)


class Bench:
    """One group and its cluster's log, polled by hand."""

    def __init__(self, **settings: Any) -> None:
        self.log, self.memory = ClusterLog(), GroupMemory("risk-engine")
        self.settings = LagSettings(**settings)
        self.now = T0 - 5
        self.state, self.type = GroupState.STABLE, GroupType.CLASSIC
        self.members: tuple[Member, ...] | None = (Member("m-1", "client", "10.0.0.1", (P0, P1)),)
        self.identity = TopicIdentity(P0[0], "id-1", "delete", "CreateTime")
        self.error: EntityError | None = None
        self.events: list[Any] = []
        self.listed_before: float | None = None

    def poll(
        self,
        committed: dict[Partition, int],
        ends: dict[Partition, int],
        starts: dict[Partition, int] | None = None,
        stable: dict[Partition, int] | None = None,
        *,
        after: float = 5.0,
        unread: bool = False,
    ) -> GroupResult:
        self.now += after
        at = dict.fromkeys(ends, self.now)
        found = FoundOffsets({key: FoundOffset(end) for key, end in ends.items()}, at)
        first = FoundOffsets({key: FoundOffset((starts or {}).get(key, 0)) for key in ends}, at)
        last = FoundOffsets({key: FoundOffset(end) for key, end in stable.items()}, at) if stable else None
        self.log.observe(first, found, last, {P0[0]: self.identity})
        listing = GroupListing("risk-engine", self.type, self.state)
        description = None
        if self.members is not None and self.state is not GroupState.EMPTY:
            description = GroupDescription("risk-engine", self.type, self.state, self.members)
        read = CommittedOffsets("risk-engine", {} if self.error else committed, self.now, self.error)
        result = assess_group(
            self.memory,
            GroupReading(listing, None if unread else read, description),
            self.log,
            self.settings,
            self.now,
            listed_before=self.listed_before,
        )
        self.events += result.events
        return result

    def happened(self, kind: EventKind) -> list[Any]:
        return [event for event in self.events if event.kind is kind]


def test_lag_is_the_sum_over_partitions_with_a_commit() -> None:
    summary = Bench().poll({P0: 90, P1: 70}, {P0: 100, P1: 100}).summary
    assert (summary.lag_records, summary.lag_records_max, summary.worst_topic) == (40, 30, "trades.execution")


def test_a_partition_without_a_commit_is_no_zero_and_not_in_the_sum() -> None:
    bench = Bench()
    result = bench.poll({P0: 90}, {P0: 100, P1: 5000})
    bare = result.topics[0].partitions[1]
    assert (bare.committed, bare.lag_records, bare.method) == (None, None, None)
    assert result.summary.lag_records == 10
    assert bench.poll({}, {P0: 100, P1: 100}).summary.lag_records is None


def test_members_that_never_commit_are_reported_after_a_minute() -> None:
    bench = Bench()
    verdicts = [bench.poll({}, {P0: 100, P1: 0}).summary.verdict for _ in range(14)]
    assert verdicts[:12] == [Verdict.OK] * 12
    assert verdicts[12:] == [Verdict.NO_COMMITS] * 2


def test_old_records_without_a_commit_are_no_alarm_where_the_group_commits_elsewhere() -> None:
    bench = Bench()
    for _ in range(30):
        result = bench.poll({P0: 100}, {P0: 100, P1: 50})
    assert result.summary.verdict is Verdict.OK
    for _ in range(14):
        result = bench.poll({P0: 100}, {P0: 100, P1: 60})
    assert result.summary.verdict is Verdict.NO_COMMITS


def test_nothing_committed_and_nothing_assigned_is_no_alarm() -> None:
    bench = Bench()
    bench.state = GroupState.EMPTY
    result = bench.poll({}, {P0: 100})
    assert (result.summary.verdict, result.summary.lag_records, result.summary.members) == (Verdict.OK, None, 0)


def test_committed_below_the_start_counts_from_the_start_and_needs_a_second_read() -> None:
    bench = Bench()
    bench.poll({P0: 10}, {P0: 100})
    first = bench.poll({P0: 10}, {P0: 100}, {P0: 40})
    assert first.summary.lag_records == 60
    assert first.summary.verdict is not Verdict.TRUNCATED
    second = bench.poll({P0: 10}, {P0: 100}, {P0: 40})
    assert second.summary.verdict is Verdict.TRUNCATED
    assert second.topics[0].partitions[0].lost == 30
    (event,) = bench.happened(EventKind.TRUNCATED)
    assert (event.records, event.before, event.after, event.partition) == (30, 10, 40, 0)
    assert event.at_earliest <= bench.now - 10 + 5
    assert bench.poll({P0: 40}, {P0: 100}, {P0: 40}).summary.verdict is not Verdict.TRUNCATED


def test_a_commit_that_arrives_in_time_is_no_loss() -> None:
    bench = Bench()
    bench.poll({P0: 10}, {P0: 100})
    bench.poll({P0: 10}, {P0: 100}, {P0: 40})
    bench.poll({P0: 90}, {P0: 100}, {P0: 40})
    assert bench.happened(EventKind.TRUNCATED) == []


def test_committed_past_the_end_has_no_lag_but_evidence() -> None:
    result = Bench().poll({P0: 120, P1: 70}, {P0: 100, P1: 100})
    partition = result.topics[0].partitions[0]
    assert (partition.lag_records, partition.unread_since, partition.method) == (None, None, None)
    assert partition.flags == (Flag.BEYOND_END,)
    assert partition.inputs == {"committed": 120, "end": 100, "past": 20}
    assert result.summary.lag_records == 30
    assert Flag.BEYOND_END in result.summary.flags


def test_read_committed_groups_are_measured_against_the_stable_offset() -> None:
    bench = Bench(read_committed=True)
    result = bench.poll({P0: 90}, {P0: 120}, stable={P0: 95})
    partition = result.topics[0].partitions[0]
    assert (partition.lag_records, partition.end, partition.high_watermark) == (5, 95, 120)


def test_a_read_committed_group_past_the_stable_offset_has_read_everything() -> None:
    result = Bench(read_committed=True).poll({P0: 100}, {P0: 120}, stable={P0: 95})
    assert (result.summary.lag_records, result.summary.method) == (0, Method.CAUGHT_UP)


def test_a_transaction_that_stays_open_is_flagged() -> None:
    bench = Bench(read_committed=True)
    flags = [bench.poll({P0: 95}, {P0: 120 + n}, stable={P0: 95}).summary.flags for n in range(8)]
    assert flags[0] == ()
    assert flags[-1] == (Flag.OPEN_TXN,)
    assert bench.poll({P0: 95}, {P0: 130}, stable={P0: 130}).summary.flags == ()


@pytest.mark.parametrize("records", [1, 2])
def test_a_tail_of_markers_is_no_alarm(records: int) -> None:
    bench = Bench()
    for _ in range(60):
        result = bench.poll({P0: 100 - records}, {P0: 100})
    assert (result.summary.verdict, result.summary.rule, result.summary.lag_records) == (Verdict.OK, "tail", records)


def test_three_unread_records_are_no_tail() -> None:
    bench = Bench()
    for _ in range(16):
        result = bench.poll({P0: 97}, {P0: 100})
    assert result.summary.verdict is Verdict.STALLED


def test_stalled_after_a_minute_without_progress_and_says_why() -> None:
    bench = Bench()
    bench.poll({P0: 100, P1: 100}, {P0: 100, P1: 100})
    verdicts = [bench.poll({P0: 100, P1: 100}, {P0: 100 + 20 * n, P1: 100}) for n in range(1, 15)]
    assert verdicts[11].summary.verdict is not Verdict.STALLED
    summary = verdicts[-1].summary
    assert summary.verdict is Verdict.STALLED
    assert summary.inputs["threshold_seconds"] == 60
    assert summary.inputs["seconds_without_progress"] >= 60
    assert "risk-engine has 1 member but committed nothing for" in summary.reason
    assert "280 records are unread on trades.execution/0; stalled after" in summary.reason


def test_a_set_commit_interval_moves_the_stall_time() -> None:
    bench = Bench(commit_interval=3600.0)
    for n in range(200):
        result = bench.poll({P0: 100}, {P0: 100 + n}, after=15)
    assert result.summary.verdict is Verdict.OK


def test_learned_commit_intervals_move_the_stall_time() -> None:
    bench = Bench()
    committed = 0
    for n in range(400):
        if n % 11 == 0:
            committed = 10 * n
        result = bench.poll({P0: committed}, {P0: 10 * n})
        if n > 30:
            assert result.summary.verdict is not Verdict.STALLED
    for n in range(400, 440):
        result = bench.poll({P0: committed}, {P0: 10 * n})
    assert result.summary.verdict is Verdict.STALLED
    assert result.summary.inputs["threshold_seconds"] == pytest.approx(150, abs=20)


def test_stopped_after_half_a_minute_without_members() -> None:
    bench = Bench()
    bench.poll({P0: 100}, {P0: 100})
    bench.state = GroupState.EMPTY
    results = [bench.poll({P0: 100}, {P0: 100 + 10 * n}) for n in range(1, 10)]
    assert results[4].summary.verdict is not Verdict.STOPPED
    assert results[-1].summary.verdict is Verdict.STOPPED
    assert (results[-1].summary.members, results[-1].summary.rule) == (0, "stopped")
    (left,) = bench.happened(EventKind.MEMBER_LEFT)
    assert (left.member, left.at - left.at_earliest) == ("m-1", 5)
    assert left.before["partitions"] == [["trades.execution", 0], ["trades.execution", 1]]


def test_an_empty_group_with_nothing_unread_is_no_alarm() -> None:
    bench = Bench()
    bench.state = GroupState.EMPTY
    for _ in range(30):
        result = bench.poll({P0: 100}, {P0: 100})
    assert result.summary.verdict is Verdict.OK
    assert result.next_due == float("inf")


def test_rewound_until_the_old_commit_is_passed() -> None:
    bench = Bench()
    bench.poll({P0: 1000}, {P0: 1000})
    back = bench.poll({P0: 400}, {P0: 1010})
    assert back.summary.verdict is Verdict.REWOUND
    assert bench.poll({P0: 999}, {P0: 1010}).summary.verdict is Verdict.REWOUND
    assert bench.poll({P0: 1000}, {P0: 1010}).summary.verdict is Verdict.OK
    (event,) = bench.happened(EventKind.REWOUND)
    assert (event.before, event.after, event.records, event.at - event.at_earliest) == (1000, 400, 600, 5)


def test_a_commit_that_jumps_without_members_is_skipped_records() -> None:
    bench = Bench()
    bench.poll({P0: 100}, {P0: 500})
    bench.state = GroupState.EMPTY
    bench.poll({P0: 100}, {P0: 500})
    bench.poll({P0: 100}, {P0: 500})
    bench.poll({P0: 500}, {P0: 500})
    (event,) = bench.happened(EventKind.SKIPPED)
    assert (event.before, event.after, event.records) == (100, 500, 400)


def test_a_jump_with_members_may_have_been_read() -> None:
    bench = Bench()
    bench.poll({P0: 100}, {P0: 500_000})
    bench.poll({P0: 500_000}, {P0: 500_000})
    assert bench.happened(EventKind.SKIPPED) == []


def test_a_topic_made_again_starts_anew() -> None:
    bench = Bench()
    bench.poll({P0: 900, P1: 900}, {P0: 1000, P1: 1000})
    bench.identity = TopicIdentity(P0[0], "id-2", "delete", "CreateTime")
    result = bench.poll({P0: 3}, {P0: 10})
    assert (result.summary.lag_records, result.summary.verdict) == (7, Verdict.OK)
    (event,) = bench.happened(EventKind.TOPIC_RECREATED)
    assert (event.before, event.after, event.topic) == ("id-1", "id-2", "trades.execution")
    assert bench.happened(EventKind.REWOUND) == []


def test_a_shrunken_log_asks_for_the_topics_identity() -> None:
    bench = Bench()
    bench.poll({P0: 900}, {P0: 1000})
    bench.poll({P0: 900}, {P0: 10})
    assert bench.log.shrunk == {"trades.execution"}


def test_share_groups_have_no_numbers() -> None:
    bench = Bench()
    bench.type, bench.state = GroupType.UNMEASURED, GroupState.UNKNOWN
    result = bench.poll({}, {P0: 100}, unread=True)
    summary = result.summary
    assert (summary.verdict, summary.flags) == (Verdict.UNKNOWN, (Flag.NOT_MEASURED,))
    assert [summary.members, summary.lag_records, summary.lag_seconds, summary.bound, summary.trend] == [None] * 5
    assert not bench.poll({}, {P0: 100}, unread=True).changed


def test_a_group_the_portal_may_not_read_is_unknown_with_the_reason() -> None:
    bench = Bench()
    bench.poll({P0: 90}, {P0: 100})
    bench.error = EntityError("group:risk-engine", "not_allowed", "Group authorization failed")
    summary = bench.poll({}, {P0: 100}).summary
    assert (summary.verdict, summary.flags, summary.lag_records) == (Verdict.UNKNOWN, (Flag.NOT_ALLOWED,), None)
    assert "DESCRIBE" in summary.reason
    bench.error = None
    assert bench.poll({P0: 90}, {P0: 100}).summary.lag_records == 10


def test_a_failed_read_keeps_the_old_value_with_its_age_until_it_is_stale() -> None:
    bench = Bench()
    good = bench.poll({P0: 90}, {P0: 100})
    bench.error = EntityError("group:risk-engine", "timeout", "no answer")
    for _ in range(2):
        kept = bench.poll({}, {P0: 100})
        assert (kept.summary, kept.changed) == (good.summary, False)
    stale = bench.poll({}, {P0: 100}).summary
    assert (stale.verdict, stale.lag_records, stale.observed_at) == (Verdict.UNKNOWN, None, good.summary.observed_at)
    bench.error = None
    assert bench.poll({P0: 90}, {P0: 100}).summary.lag_records == 10


def test_a_partition_without_a_leader_costs_only_itself() -> None:
    bench = Bench()
    bench.poll({P0: 90, P1: 90}, {P0: 100, P1: 100})
    for _ in range(4):
        result = bench.poll({P0: 90, P1: 95}, {P1: 100})
    lost, kept = result.topics[0].partitions
    assert (lost.verdict, lost.rule, lost.lag_records) == (Verdict.UNKNOWN, "stale", None)
    assert (kept.verdict, kept.lag_records) == (Verdict.OK, 5)
    assert (result.summary.lag_records, result.summary.verdict) == (5, Verdict.UNKNOWN)
    assert bench.poll({P0: 90, P1: 95}, {P0: 100, P1: 100}).summary.lag_records == 15


def test_expired_commits_leave_the_group() -> None:
    bench = Bench()
    bench.members = None
    bench.poll({P0: 90, P1: 90}, {P0: 100, P1: 100})
    result = bench.poll({P0: 90}, {P0: 100, P1: 100})
    assert [p.partition for p in result.topics[0].partitions] == [0]
    assert bench.poll({}, {P0: 100, P1: 100}).topics == ()


def test_a_reconciling_group_is_not_unknown_and_its_rebalance_is_timed() -> None:
    bench = Bench()
    bench.type = GroupType.CONSUMER
    bench.poll({P0: 100}, {P0: 100})
    bench.state = GroupState.RECONCILING
    assert bench.poll({P0: 100}, {P0: 100}).summary.verdict is Verdict.OK
    bench.poll({P0: 100}, {P0: 100})
    bench.state = GroupState.STABLE
    bench.poll({P0: 100}, {P0: 100})
    start, end = bench.happened(EventKind.REBALANCE)
    assert (start.before, start.after, start.seconds) == ("stable", "reconciling", None)
    assert (end.before, end.after, end.seconds) == ("reconciling", "stable", 15)


def test_members_come_and_go_between_two_descriptions() -> None:
    bench = Bench()
    bench.poll({P0: 100}, {P0: 100})
    bench.members = (Member("m-2", "client", "10.0.0.2", (P0, P1)),)
    result = bench.poll({P0: 100}, {P0: 100})
    assert [event.member for event in bench.happened(EventKind.MEMBER_LEFT)] == ["m-1"]
    assert [event.member for event in bench.happened(EventKind.MEMBER_JOINED)] == ["m-2"]
    assert (result.topics[0].partitions[0].member_id, result.topics[0].partitions[0].host) == ("m-2", "10.0.0.2")


def test_groups_appear_once_and_vanish() -> None:
    bench = Bench()
    bench.listed_before = bench.now
    bench.poll({P0: 100}, {P0: 100})
    bench.poll({P0: 100}, {P0: 100})
    (event,) = bench.happened(EventKind.GROUP_APPEARED)
    assert (event.at_earliest, event.at) == (T0 - 5, T0)
    gone = group_vanished(bench.memory, bench.now + 5)
    assert (gone.kind, gone.at - gone.at_earliest) == (EventKind.GROUP_VANISHED, 5)


def test_rates_and_trend_over_the_last_minute() -> None:
    bench = Bench()
    for n in range(30):
        summary = bench.poll({P0: 50 * n}, {P0: 100 * n}).summary
    assert summary.produce_rate == pytest.approx(20)
    assert summary.consume_rate == pytest.approx(10)
    assert summary.trend == pytest.approx(10)
    for _ in range(15):
        summary = bench.poll({P0: 50 * 29}, {P0: 100 * 29}).summary
    assert (summary.produce_rate, summary.consume_rate, summary.trend) == (0, 0, 0)


def test_time_to_catch_up_follows_the_slowest_partition() -> None:
    bench = Bench(target_seconds=10, stalled_seconds=1000)
    for n in range(61):
        bench.poll({P0: 0, P1: 0}, {P0: 100 * n, P1: 100 * n})
    for n in range(1, 15):
        result = bench.poll({P0: 300 * n, P1: 200 * n}, {P0: 6000, P1: 6000})
    assert result.summary.verdict is Verdict.CATCHING_UP
    assert result.summary.catch_up_seconds == pytest.approx((6000 - 200 * 14) / 40, rel=0.05)


def test_a_group_that_does_not_converge_has_no_time_to_catch_up() -> None:
    bench = Bench()
    for n in range(40):
        summary = bench.poll({P0: 50 * n}, {P0: 100 * n}).summary
    assert (summary.verdict, summary.catch_up_seconds) == (Verdict.FALLING_BEHIND, None)


def test_an_old_backlog_is_not_judged_by_its_first_reading() -> None:
    bench = Bench()
    bench.log.observe(
        FoundOffsets({P0: FoundOffset(0)}, {P0: T0 - 900}), FoundOffsets({P0: FoundOffset(1000)}, {P0: T0 - 900})
    )
    assert bench.poll({P0: 500}, {P0: 2000}).summary.rule == "first_reading"
    assert bench.poll({P0: 500}, {P0: 2100}).summary.verdict is Verdict.FALLING_BEHIND


def test_groups_of_the_first_listing_ever_are_no_news() -> None:
    bench = Bench()
    bench.poll({P0: 100}, {P0: 100})
    assert bench.events == []
