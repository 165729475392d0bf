"""Bands begin on the exact moment, and short-lived certificates do not alarm from birth."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.expiry import (
    DEFAULT_POLICY,
    DEFAULTS,
    Band,
    CertificateKind,
    Policy,
    band_of,
    days_left,
    key_band,
    rotate_at,
    steps,
)

END = datetime(2027, 3, 28, 1, 0, 0, tzinfo=UTC)  # the hour that European clocks skip
YEAR = timedelta(days=365)
TICK = timedelta(microseconds=1)
STEPS = [(90, Band.ROTATE), (30, Band.ALARM), (14, Band.DAYS_14), (7, Band.DAYS_7), (2, Band.DAYS_2)]


def band(left: timedelta, lifetime: timedelta = YEAR, policy: Policy = DEFAULT_POLICY) -> Band:
    return band_of(END - lifetime, END, END - left, policy)


@pytest.mark.parametrize(("days", "reached"), STEPS)
def test_a_band_begins_exactly_its_days_before_the_end(days: int, reached: Band) -> None:
    before = {90: Band.OK, 30: Band.ROTATE, 14: Band.ALARM, 7: Band.DAYS_14, 2: Band.DAYS_7}[days]
    assert band(timedelta(days=days) + TICK) is before
    assert band(timedelta(days=days)) is reached
    assert band(timedelta(days=days) - TICK) is reached


def test_the_last_second_is_not_expired() -> None:
    assert band(timedelta(0)) is Band.DAYS_2
    assert band(-TICK) is Band.EXPIRED


def test_a_leap_day_counts_as_a_day() -> None:
    end = datetime(2028, 3, 1, tzinfo=UTC)
    assert band_of(end - YEAR, end, datetime(2028, 2, 28, tzinfo=UTC), DEFAULT_POLICY) is Band.DAYS_2
    assert days_left(end, datetime(2028, 2, 28, tzinfo=UTC)) == 2


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (365, [90, 30, 14, 7, 2]),
        (270, [90, 30, 14, 7, 2]),
        (200, [200 / 3, 30, 14, 7, 2]),
        (90, [30, 30, 14, 7, 2]),
        (47, [47 / 3, 14, 7, 2]),
        (10, [10 / 3, 2]),
        (3, [1]),
    ],
)
def test_no_step_comes_before_the_last_third_of_the_lifetime(lifetime: int, expected: list[float]) -> None:
    assert [step.days for step in steps(DEFAULT_POLICY, lifetime)] == expected
    assert steps(DEFAULT_POLICY, lifetime)[0].band is Band.ROTATE


def test_a_ten_day_certificate_is_fine_at_birth() -> None:
    assert band(timedelta(days=10), lifetime=timedelta(days=10)) is Band.OK
    assert band(timedelta(days=10) / 3, lifetime=timedelta(days=10)) is Band.ROTATE


def test_a_policy_of_its_own_moves_the_first_two_steps() -> None:
    root = DEFAULTS[CertificateKind.ROOT]
    assert band(timedelta(days=400), lifetime=10 * YEAR, policy=root) is Band.ROTATE
    assert band(timedelta(days=360), lifetime=10 * YEAR, policy=root) is Band.ALARM


@pytest.mark.parametrize(("rotate", "alarm"), [(30, 90), (90, 13), (4000, 30)])
def test_a_policy_that_contradicts_itself_is_refused(rotate: float, alarm: float) -> None:
    with pytest.raises(ValueError, match="alarm_days"):
        Policy(rotate, alarm)


def test_every_kind_of_certificate_has_a_policy() -> None:
    assert set(DEFAULTS) == set(CertificateKind) - {CertificateKind.KEY}


def test_a_key_is_due_ninety_days_after_its_rotation() -> None:
    rotated = END
    assert key_band(rotated, 90, rotated) is Band.OK
    assert key_band(rotated, 90, rotated + timedelta(days=59)) is Band.OK
    assert key_band(rotated, 90, rotated + timedelta(days=61)) is not Band.OK
    assert key_band(rotated, 90, rotated + timedelta(days=90)) is Band.DAYS_2
    assert key_band(rotated, 90, rotated + timedelta(days=90) + TICK) is Band.EXPIRED


@given(st.floats(0.01, 4000), st.floats(14, 3660), st.floats(14, 3660), st.floats(-10, 4000))
def test_bands_only_get_worse_with_time(lifetime: float, one: float, other: float, left: float) -> None:
    policy = Policy(max(one, other), min(one, other))
    life = timedelta(days=lifetime)
    order = list(Band)
    earlier = band(timedelta(days=left) + timedelta(days=1), life, policy)
    later = band(timedelta(days=left), life, policy)
    assert order.index(later) <= order.index(earlier)
    assert END - life <= rotate_at(END - life, END, policy) <= END
