"""The shape of the demo's day."""

from ops_portal.demo.rates import day_shape, rate
from ops_portal.demo.topology import CLIENTS, GROUPS, TOPICS, Habit, group, topic


def test_a_day_has_the_mean_that_was_asked_for() -> None:
    minutes = [sum(rate(one, 3000, 60.0 * minute) for one in TOPICS) for minute in range(24 * 60)]
    assert abs(sum(minutes) / len(minutes) / 3000 - 1) < 0.02


def test_the_default_rate_stays_between_two_and_five_thousand_events_a_second() -> None:
    rates = [3000 * day_shape(600.0 * step) for step in range(24 * 6)]
    assert min(rates) >= 2000
    assert max(rates) <= 5000


def test_every_group_reads_a_topic_of_the_demo_and_every_habit_is_shown() -> None:
    assert {spec.topic for spec in GROUPS} <= {spec.name for spec in TOPICS}
    assert {spec.habit for spec in GROUPS} == set(Habit)
    assert len(GROUPS) >= 10
    assert len(CLIENTS) == 6


def test_names_lead_to_their_specifications() -> None:
    found = group("risk-engine")
    assert found is not None
    assert topic(found.topic).partitions == 30
    assert group("nobody") is None
