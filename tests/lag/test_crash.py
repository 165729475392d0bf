"""The crash view from events and samples: what was lost, when, where each partition went on, and when all was well again."""

from clusters.ports import Partition
from lag.compute import GroupEvent
from lag.crash import Crash, GroupSample, PartitionSample, crash_of, losses_of
from lag.verdicts import EventKind, Verdict
from tests.lag.corpus import Scene, replay, split

A, B = ("trades.execution", 0), ("trades.execution", 1)


def left(at: float, member: str, *partitions: Partition) -> GroupEvent:
    before = {"client_id": "c", "host": "h", "partitions": [list(partition) for partition in partitions]}
    return GroupEvent(EventKind.MEMBER_LEFT, at - 5, at, member=member, before=before)


def sample(at: float, committed: int | None, end: int, start: int = 0) -> PartitionSample:
    return PartitionSample(at, committed, start, end)


def lag(*values: tuple[float, int]) -> list[GroupSample]:
    return [
        GroupSample(at, records, Verdict.OK if records < 1000 else Verdict.FALLING_BEHIND) for at, records in values
    ]


def crashes(
    events: list[GroupEvent], rows: dict[Partition, list[PartitionSample]], samples: list[GroupSample]
) -> list[Crash]:
    return [crash_of(loss, events, rows, samples) for loss in losses_of(events)][::-1]


def only(found: list[Crash]) -> Crash:
    (crash,) = found
    return crash


def test_each_partition_shows_where_it_stopped_and_where_it_went_on() -> None:
    rows = {
        A: [
            sample(90, 100, 110),
            sample(95, 120, 130),
            sample(100, 120, 150),
            sample(105, 120, 180),
            sample(110, 125, 200),
        ],
        B: [sample(95, 7, 7), sample(110, 9, 9)],
    }
    crash = only(crashes([left(100, "m-1", A)], rows, []))
    (resumed,) = crash.partitions
    assert (resumed.topic, resumed.partition) == A
    assert (resumed.last_commit, resumed.last_commit_read_at) == (120, 95)
    assert resumed.last_commit_seen_at == 95
    assert (resumed.first_commit, resumed.first_commit_earliest, resumed.first_commit_read_at) == (125, 105, 110)
    assert (resumed.end_at_loss, resumed.reread_at_most, resumed.skipped) == (150, 30, 0)
    assert (crash.members, crash.lost.earliest, crash.lost.latest, crash.detected_at) == (("m-1",), 95, 100, 100)


def test_all_partitions_count_where_the_assignment_was_not_known() -> None:
    crash = only(crashes([left(100, "m-1")], {A: [sample(95, 1, 5)], B: [sample(95, 2, 4)]}, []))
    assert [(entry.topic, entry.partition) for entry in crash.partitions] == [A, B]
    assert crash.reread_at_most == 6
    assert all(entry.first_commit is None for entry in crash.partitions)


def test_records_are_skipped_only_where_nobody_can_have_read_them() -> None:
    jumped = {A: [sample(95, 100, 500), sample(110, 500, 500)]}
    assert only(crashes([left(100, "m-1", A)], jumped, [])).skipped == 0
    below_start = {A: [sample(95, 100, 500), sample(110, 450, 500, start=400)]}
    assert only(crashes([left(100, "m-1", A)], below_start, [])).skipped == 300
    seen_before = {A: [sample(95, 100, 500), sample(105, 100, 500, start=300), PartitionSample(110, 450, None, 500)]}
    assert only(crashes([left(100, "m-1", A)], seen_before, [])).skipped == 200
    reset = GroupEvent(EventKind.SKIPPED, 105, 110, *A, None, 100, 500, 400)
    assert only(crashes([left(100, "m-1", A), reset], jumped, [])).skipped == 400


def test_rebalance_lag_peak_and_recovery_are_windows_between_readings() -> None:
    events = [
        left(100, "m-1", A),
        GroupEvent(EventKind.REBALANCE, 95, 100, before="stable", after="preparing_rebalance"),
        GroupEvent(EventKind.REBALANCE, 110, 115, before="preparing_rebalance", after="stable", seconds=20),
    ]
    crash = only(crashes(events, {}, lag((90, 50), (95, 60), (100, 400), (105, 2500), (110, 1500), (115, 90))))
    assert crash.rebalance_started is not None
    assert (crash.rebalance_started.earliest, crash.rebalance_started.latest) == (95, 100)
    assert crash.rebalanced is not None
    assert (crash.rebalanced.earliest, crash.rebalanced.latest) == (110, 115)
    assert (crash.lag_before, crash.lag_peak, crash.lag_peak_at) == (60, 2500, 105)
    assert crash.recovered is not None
    assert (crash.recovered.earliest, crash.recovered.latest) == (110, 115)
    assert crash.recovery_seconds is not None
    assert (crash.recovery_seconds.earliest, crash.recovery_seconds.latest) == (10, 20)


def test_what_is_usual_is_not_what_a_dead_member_left_unread_before_it_was_missed() -> None:
    quiet = [(float(at), 50) for at in range(-200, 55, 5)]
    dead = [(float(at), 20 * (at - 50)) for at in range(55, 120, 5)]
    crash = only(crashes([left(100, "m-1", A)], {}, lag(*quiet, *dead, (120, 300), (125, 140))))
    assert crash.lag_before == 50
    assert (crash.lag_peak, crash.lag_peak_at) == (1300, 115)
    assert crash.recovered is not None
    assert (crash.recovered.earliest, crash.recovered.latest) == (120, 125)


def test_a_group_that_is_not_back_to_normal_has_not_recovered() -> None:
    crash = only(crashes([left(100, "m-1", A)], {}, lag((95, 10), (100, 900), (200, 5000))))
    assert (crash.recovered, crash.recovery_seconds, crash.lag_peak) == (None, None, 5000)


def test_members_that_go_together_are_one_crash_and_the_newest_comes_first() -> None:
    found = crashes([left(100, "m-1", A), left(105, "m-2", B), left(900, "m-3", A)], {}, [])
    assert [crash.members for crash in found] == [("m-3",), ("m-1", "m-2")]
    assert (found[1].lost.earliest, found[1].lost.latest) == (95, 105)


def test_what_was_not_read_is_unknown_and_not_none() -> None:
    crash = only(crashes([left(100, "m-1", A, B)], {A: [sample(105, 7, 9)]}, []))
    assert (crash.reread_at_most, crash.skipped, crash.unknown) == (None, None, 2)
    partly = only(crashes([left(100, "m-1", A, B)], {A: [sample(95, 7, 9), sample(110, 9, 9)]}, []))
    assert (partly.reread_at_most, partly.skipped, partly.unknown) == (2, 0, 1)


def test_a_partition_with_nothing_to_read_waits_for_nothing() -> None:
    idle, waiting = only(crashes([left(100, "m", A, B)], {A: [sample(95, 7, 7)], B: [sample(95, 7, 8)]}, [])).partitions
    assert (idle.waits, waiting.waits) == (False, True)


def test_a_commit_between_two_losses_belongs_to_the_first() -> None:
    rows = {A: [sample(95, 10, 20), sample(100, 10, 30), sample(195, 30, 40), sample(200, 30, 50), sample(210, 60, 60)]}
    second, first = crashes([left(100, "m-1", A), left(200, "m-2", A)], rows, [])
    assert [row.first_commit for row in first.partitions] == [30]
    assert [(row.last_commit, row.first_commit, row.reread_at_most) for row in second.partitions] == [(30, 60, 20)]


def test_no_loss_no_crash() -> None:
    assert crashes([GroupEvent(EventKind.MEMBER_JOINED, 1, 2, member="m")], {}, []) == []


def test_the_story_of_a_simulated_crash_holds_what_really_happened() -> None:
    """One of two members dies; the other takes over from the committed offsets a little later."""
    scene = Scene(7, partitions=4)
    scene.run(200)
    died_at, dead = scene.now, [1, 3]
    committed_then = list(scene.committed)
    read_then = [int(position) for position in scene.positions]
    scene.members = ["member-1"]
    scene.stuck = set(dead)
    for index in dead:
        scene.positions[index] = float(committed_then[index] or 0)
    scene.state = "preparing_rebalance"
    scene.run(8)
    scene.state, scene.stuck = "stable", set()
    scene.run(120)
    trace = scene.trace("crash", "ok", "falling_behind", "catching_up")
    results = replay(trace)
    events = [event for result in results for event in result.events]
    rows: dict[Partition, list[PartitionSample]] = {}
    for poll in trace.readings:
        for key, (committed, start, end, _) in poll.partitions.items():
            rows.setdefault(split(key), []).append(PartitionSample(poll.at, committed, start, end))
    groups = [GroupSample(r.summary.observed_at, r.summary.lag_records, r.summary.verdict) for r in results]
    crash = only(crashes(events, rows, groups))
    assert crash.members == ("member-2",)
    assert crash.lost.earliest <= died_at + 0.5 <= crash.lost.latest + 0.5
    assert [entry.partition for entry in crash.partitions] == dead
    for entry in crash.partitions:
        assert entry.last_commit is not None
        assert entry.first_commit is not None
        assert entry.reread_at_most is not None
        assert entry.reread_at_most >= read_then[entry.partition] - (committed_then[entry.partition] or 0)
        assert entry.first_commit > entry.last_commit
        assert entry.skipped == 0
    assert crash.rebalanced is not None
    assert crash.recovered is not None
    assert crash.rebalanced.latest <= crash.recovered.latest
