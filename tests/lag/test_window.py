"""The rotation log's lag: a group that lagged before as well says nothing of the rotation, one that falls behind does."""

import pytest

from clusters.services.certificates.window import Figure, Span
from lag.history.keep import partitions_make
from lag.selectors.window import lag_in_window
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.formats import THIN
from tests.lag.test_collector import World

pytestmark = pytest.mark.django_db
MINUTE = 12  # polls


@pytest.fixture
def world() -> World:
    """`backfill` never reads on; `risk` has read everything."""
    partitions_make()
    made = World()
    for group, topic in (("backfill", "archive"), ("risk", "trades")):
        made.kafka.topic(topic, 1)
        made.kafka.produce(topic, 10, 0)
        made.kafka.group(group, topic)
    made.kafka.commit("backfill", "archive", 4, 0)
    made.kafka.commit("risk", "trades", 10, 0)
    return made


def compared(world: World, *, minutes: float) -> Figure:
    ends = as_datetime(world.clock.now())
    (figure,) = lag_in_window(world.cluster, Span(as_datetime(world.clock.now() - minutes * 60), ends))
    return figure


def test_a_group_that_lagged_all_along_is_no_harm(world: World) -> None:
    world.poll(6 * MINUTE)
    figure = compared(world, minutes=2)
    assert figure.good is True
    assert figure.during > (figure.before or 0) > 60
    assert "(backfill)" in figure.text
    assert figure.text.endswith(" before")


def test_a_group_that_falls_behind_in_the_window_is_named_though_another_lags_more(world: World) -> None:
    world.poll(6 * MINUTE)
    world.kafka.produce("trades", 5, 0)
    world.poll(2 * MINUTE)
    figure = compared(world, minutes=2)
    assert figure.good is False
    assert figure.before == 0
    assert figure.during > 60
    assert figure.text.startswith("lag up to ")
    assert figure.text.endswith(f"(risk), 0{THIN}s before")


def test_a_lag_within_the_target_is_no_harm_whatever_was_before(world: World) -> None:
    del world.kafka.groups["backfill"]
    world.poll(2 * MINUTE)
    world.kafka.produce("trades", 5, 0)
    world.poll(4)
    figure = compared(world, minutes=1)
    assert (figure.good, figure.before) == (True, 0)
    assert 0 < figure.during <= 30


def test_without_a_time_before_a_high_lag_is_neither_harm_nor_none(world: World) -> None:
    world.poll(3 * MINUTE)
    assert compared(world, minutes=30).good is None
