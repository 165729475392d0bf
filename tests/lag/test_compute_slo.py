"""SLO breaches open after a time over the limit and close with hysteresis."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lag.compute.slo import Promise, Reading, Standing, Step, budget_left, step
from lag.verdicts import Method
from ops_portal.lib.formats import THIN

SECONDS = Promise(max_seconds=30, for_seconds=30)


def run(promise: Promise, values: Sequence[tuple[int | None, float | None]], period: float = 10) -> list[Step]:
    """Steps of readings every `period` seconds."""
    standing, steps = Standing(), []
    for number, (records, seconds) in enumerate(values):
        result = step(promise, standing, Reading(1000 + number * period, records, seconds, Method.KNOTS))
        standing = result.standing
        steps.append(result)
    return steps


def test_opens_only_after_the_sustained_time() -> None:
    steps = run(SECONDS, [(0, 40.0)] * 5)
    assert [result.opened for result in steps] == [False, False, False, True, False]
    assert steps[3].standing.breached_at == 1000
    assert steps[3].reason == f"lag is 40{THIN}s, 30{THIN}s are promised, for 30{THIN}s"


def test_a_dip_below_the_limit_starts_the_time_anew() -> None:
    steps = run(SECONDS, [(0, 40.0), (0, 40.0), (0, 29.0), (0, 40.0), (0, 40.0), (0, 40.0), (0, 40.0)])
    assert [result.opened for result in steps].index(True) == 6


def test_closes_only_after_clean_readings_for_as_long_as_it_took_to_open() -> None:
    steps = run(SECONDS, [(0, 40.0)] * 4 + [(0, 29.0)] * 9 + [(0, 10.0)] * 3 + [(0, 29.0)] + [(0, 10.0)] * 4)
    assert [number for number, result in enumerate(steps) if result.closed] == [20]
    assert steps[20].standing.breached_at is None


def test_needs_two_clean_readings_even_without_a_sustained_time() -> None:
    steps = run(Promise(max_records=100, for_seconds=0), [(101, None), (0, None), (0, None)])
    assert [result.opened for result in steps] == [True, False, False]
    assert [result.closed for result in steps] == [False, False, True]


def test_either_limit_breaks_a_promise_of_both() -> None:
    both = Promise(max_records=100, max_seconds=30, for_seconds=0)
    assert run(both, [(101, 1.0)])[0].opened
    assert run(both, [(1, 31.0)])[0].opened
    assert not run(both, [(100, 30.0)])[0].opened
    assert f"101 records are unread, 100 are promised and lag is 31{THIN}s" in run(both, [(101, 31.0)])[0].reason


def test_unknown_neither_breaks_nor_keeps_a_promise() -> None:
    steps = run(SECONDS, [(0, 40.0)] * 4 + [(None, None)] * 20)
    assert steps[-1].standing.breached_at == 1000
    assert steps[-1].standing.counted_seconds == 30


def test_a_lower_bound_breaks_a_promise_but_does_not_close_the_breach() -> None:
    standing = run(SECONDS, [(0, 40.0)] * 4)[-1].standing
    for at in range(1100, 1400, 10):
        result = step(SECONDS, standing, Reading(at, 1, 1.0, Method.LOWER_BOUND))
        assert not result.closed
        standing = result.standing
    assert step(Promise(max_seconds=30, for_seconds=0), Standing(), Reading(1, 1, 31.0, Method.LOWER_BOUND)).opened


def test_error_budget_counts_measured_time_only() -> None:
    steps = run(Promise(max_seconds=30, objective=0.9), [(0, 0.0)] * 9 + [(0, 40.0)] * 2)
    standing = steps[-1].standing
    assert (standing.counted_seconds, standing.breached_seconds) == (100, 20)
    assert budget_left(Promise(max_seconds=30, objective=0.9), standing) == pytest.approx(-1.0)
    assert budget_left(SECONDS, Standing()) is None
    late = step(SECONDS, standing, Reading(99_999, 0, 0.0))
    assert late.standing.counted_seconds == 100


@given(st.lists(st.tuples(st.none() | st.integers(0, 10_000), st.none() | st.floats(0, 1e6)), max_size=60))
def test_breaches_open_and_close_in_turn(values: Sequence[tuple[int | None, float | None]]) -> None:
    is_open = False
    for result in run(Promise(max_records=500, max_seconds=60, for_seconds=20), values):
        assert not (result.opened and result.closed)
        assert not (result.opened and is_open)
        assert not (result.closed and not is_open)
        is_open = (is_open or result.opened) and not result.closed
        assert is_open == (result.standing.breached_at is not None)
        assert 0 <= result.standing.breached_seconds <= result.standing.counted_seconds
