"""Lag in seconds against the truth: error within max(1 s, 5 %), and the bound holds the truth."""

import math

import pytest

from lag.compute.log import KNOT_LIMIT, Knots
from lag.verdicts import Flag, Method
from tests.lag.timeline import EPOCH, Measured, Timeline, bursts, poisson, steady


def assert_true(measured: list[Measured], share: float = 0.99) -> None:
    """Every value known and finite, the errors within what is allowed, the bounds true."""
    late = [poll for poll in measured if poll.records]
    assert late
    for poll in measured:
        assert poll.seconds is not None
        assert math.isfinite(poll.seconds)
        assert poll.seconds >= 0
        assert (poll.records == 0) == (poll.result.method is Method.CAUGHT_UP)
        assert poll.result.lag_records == poll.records
    errors = sorted(poll.error for poll in late)
    assert errors[int(share * (len(errors) - 1))] <= 1.0, f"errors {errors[-5:]}"
    assert sum(poll.holds for poll in late) >= share * len(late)


@pytest.mark.parametrize("behind", [0.5, 3.0, 12.0, 45.0, 300.0])
def test_steady_production(behind: float) -> None:
    line = Timeline(steady(1000, 50))
    line.consume(EPOCH + 900, behind=lambda _: behind)
    assert_true(line.polls(EPOCH + 400, EPOCH + 900))


@pytest.mark.parametrize("seed", range(4))
def test_bursty_production(seed: int) -> None:
    line = Timeline(bursts(1500, seed), seed=seed)
    line.consume(EPOCH + 1500, behind=lambda at: 20 + 15 * math.sin(at / 60))
    assert_true(line.polls(EPOCH + 100, EPOCH + 1500))


def test_idle_producer_with_lag() -> None:
    """Production ends, unread records stay: their age grows by the clock."""
    line = Timeline(poisson(200, 20, 3))
    line.consume(EPOCH + 150, behind=lambda _: 10)
    measured = line.polls(EPOCH + 60, EPOCH + 1200)
    assert_true(measured)
    assert measured[-1].truth > 1000


def test_consumer_stopped_for_two_hours_costs_no_more_look_ups() -> None:
    line = Timeline(poisson(8000, 10, 4))
    line.consume(EPOCH + 300, behind=lambda _: 1)
    first = line.polls(EPOCH + 60, EPOCH + 600)
    asked = line.questions
    measured = line.polls(EPOCH + 600, EPOCH + 7500)
    assert_true(first + measured)
    assert line.questions == asked


@pytest.mark.parametrize("empty", [False, True])
def test_collector_restart_amid_lag(empty: bool) -> None:
    line = Timeline(poisson(2500, 30, 5))
    line.consume(EPOCH + 2500, behind=lambda at: 30 + (at - EPOCH) / 8)
    measured = line.polls(EPOCH + 600, EPOCH + 1200)
    line.restart(empty=empty)
    after = line.polls(EPOCH + 1260, EPOCH + 2400)
    assert_true(measured + after)
    assert after[0].error <= 1.0


@pytest.mark.parametrize("hours", [1, 24, 168])
def test_older_than_the_knots(hours: int) -> None:
    """First seen when the unread records are a day old: look-ups find their age in eight rounds."""
    seconds = hours * 3600
    line = Timeline(poisson(seconds + 700, 40_000 / seconds, 6) + bursts(seconds, 7))
    line.consume(EPOCH + 200, behind=lambda _: 1)
    measured = line.polls(EPOCH + seconds, EPOCH + seconds + 600)
    assert_true(measured)
    assert measured[0].result.method is Method.TIMESTAMP
    assert line.rounds <= 8
    assert Flag.APPROXIMATE in measured[0].result.flags


def test_broker_timestamps_are_not_approximate() -> None:
    line = Timeline(steady(4000, 5))
    line.timestamp_type = "LogAppendTime"
    line.consume(EPOCH + 50, behind=lambda _: 1)
    assert line.poll(EPOCH + 3900).result.flags == ()


def test_compacted_topics_are_approximate_when_late_and_not_when_caught_up() -> None:
    line = Timeline(steady(300, 5))
    line.cleanup_policy = "compact,delete"
    line.consume(EPOCH + 400, behind=lambda at: 20 if at < EPOCH + 250 else 0)
    measured = line.polls(EPOCH + 100, EPOCH + 400)
    assert Flag.APPROXIMATE in measured[0].result.flags
    assert measured[-1].records == 0
    assert measured[-1].result.flags == ()


def test_producers_with_a_clock_ahead_do_not_move_what_we_saw_ourselves() -> None:
    """Stamped an hour ahead: the knots count, and the value is marked."""
    line = Timeline(steady(600, 50))
    line.consume(EPOCH + 600, behind=lambda _: 20)
    line.clock_ahead = 3600
    measured = line.polls(EPOCH + 60, EPOCH + 500)
    assert all(abs((poll.seconds or 0) - poll.truth) <= 6 for poll in measured[5:])
    assert all(poll.holds for poll in measured[5:])


def test_without_look_ups_old_lag_is_a_lower_bound_and_never_zero() -> None:
    line = Timeline(steady(5000, 5))
    line.look_ups = False
    line.consume(EPOCH + 50, behind=lambda _: 1)
    first, *later = line.polls(EPOCH + 4000, EPOCH + 4100)
    assert first.seconds is None
    for poll in later:
        assert poll.result.method is Method.LOWER_BOUND
        assert poll.result.bound is None
        assert poll.seconds is not None
        assert 0 < poll.seconds <= poll.truth


def test_knots_alone_hold_the_truth_within_a_poll() -> None:
    line = Timeline(poisson(900, 30, 8))
    line.look_ups = False
    line.consume(EPOCH + 900, behind=lambda at: 10 + 5 * math.sin(at / 50))
    measured = line.polls(EPOCH + 100, EPOCH + 900)[10:]
    assert all(poll.result.method is Method.KNOTS for poll in measured if poll.records)
    assert all(poll.result.bound is not None and poll.result.bound <= 6 for poll in measured if poll.records)
    assert sum(poll.holds for poll in measured) >= 0.99 * len(measured)


def test_caught_up_is_zero_and_certain() -> None:
    line = Timeline(steady(10, 5))
    line.consume(EPOCH + 100, behind=lambda _: 0)
    poll = line.polls(EPOCH + 50, EPOCH + 60)[0]
    assert (poll.seconds, poll.result.bound, poll.result.method) == (0.0, 0.0, Method.CAUGHT_UP)
    assert poll.group.summary.lag_seconds == 0.0


def test_knots_stay_few_and_narrow_enough_for_their_age() -> None:
    knots = Knots()
    for number in range(2000):
        knots.add(10 * number, 5.0 * number - 5, 5.0 * number)
        assert len(knots.ends) <= KNOT_LIMIT
    now = 5.0 * 1999
    assert now - knots.afters[0] >= 590
    for before, after in zip(knots.befores[1:], knots.afters[1:], strict=True):
        assert (after - before) / 2 <= max(2.5, 0.05 * (now - after))


def test_knots_start_anew_when_the_log_shrinks() -> None:
    knots = Knots()
    knots.add(100, 0, 10)
    knots.add(200, 10, 15)
    knots.add(5, 15, 20)
    assert knots.bracket(4) == (None, 0.0, 5, 20)
    assert knots.bracket(5) is None
