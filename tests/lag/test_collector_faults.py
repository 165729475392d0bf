"""Faults of a poll: the cluster away, two workers, a worker that dies between reading and storing."""

import pytest

from clusters.models import PollRun, Source
from clusters.ports import GatewayFailed, GroupListings
from clusters.sources import Outcome, Poll, RunDropped, kind_named
from lag import known as memory
from lag.collector import PollRunning, poll
from lag.known import Known
from lag.models import ConsumerGroup, GroupEvent, HistoryCycle, LagState
from lag.polling import poll_lag
from lag.services.state import Overtaken
from ops_portal.lib.resilience import Deadline
from tests.fake_kafka import FakeKafka
from tests.lag.test_collector import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    made = World()
    made.kafka.topic("trades", 2)
    made.kafka.produce("trades", 10)
    made.kafka.group("risk", "trades")
    made.kafka.commit("risk", "trades", 4)
    made.poll(3)
    return made


class Workers:
    """Two processes that poll in turn: each has a memory of its own."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.memories = [Known(world.cluster.pk), Known(world.cluster.pk)]
        self.monkeypatch = monkeypatch

    def poll(self, which: int, times: int = 1) -> None:
        self.monkeypatch.setattr("lag.collector.known_cluster", lambda _: self.memories[which])
        self.world.poll(times)


@pytest.fixture
def workers(world: World, monkeypatch: pytest.MonkeyPatch) -> Workers:
    return Workers(world, monkeypatch)


def test_a_cluster_that_does_not_answer_leaves_the_last_state_and_adds_no_sample(world: World) -> None:
    state, cycles = world.observed_at(), HistoryCycle.objects.count()
    world.kafka.down = "timeout"
    with pytest.raises(GatewayFailed):
        world.poll()
    assert world.observed_at() == state
    assert HistoryCycle.objects.count() == cycles
    assert world.group("risk").lag_records == 6
    world.kafka.down = None
    world.poll()
    assert world.observed_at() == world.clock.now()
    assert GroupEvent.objects.count() == 0


def test_workers_in_turn_see_one_story(workers: Workers) -> None:
    world = workers.world
    for index in range(12):
        world.kafka.produce("trades", 3)
        world.kafka.commit("risk", "trades", 6 + index * 3)
        workers.poll(index % 2)
    assert world.group("risk").lag_records == 10 + 36 - (6 + 33)
    assert world.group("risk").verdict == "ok"
    assert GroupEvent.objects.count() == 0
    assert LagState.objects.get().version == 15


def test_a_rewind_is_told_once_whichever_worker_sees_it(workers: Workers) -> None:
    workers.poll(0, 2)
    workers.world.kafka.commit("risk", "trades", 1)
    workers.poll(1, 2)
    workers.poll(0, 2)
    assert len(workers.world.events("rewound")) == 1
    assert workers.world.group("risk").verdict == "rewound"


def test_a_poll_that_was_overtaken_is_dropped(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    workers.poll(0)
    listing = FakeKafka.list_groups

    def overtaken(self: FakeKafka, deadline: Deadline) -> GroupListings:
        LagState.objects.update(version=99)  # somebody else stores a poll meanwhile
        return listing(self, deadline)

    monkeypatch.setattr(FakeKafka, "list_groups", overtaken)
    with pytest.raises(Overtaken):
        workers.poll(0)


def test_a_poll_that_fails_to_store_repeats_nothing_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kafka.commit("risk", "trades", 1)

    def broken(*args: object) -> int:
        raise RuntimeError("disk full")

    monkeypatch.setattr("lag.services.state.cycle_append", broken)
    with pytest.raises(RuntimeError):
        world.poll()
    assert world.events("rewound") == []
    monkeypatch.undo()
    world.poll(2)
    assert len(world.events("rewound")) == 1


def test_only_one_poll_of_a_cluster_runs_in_a_process(world: World) -> None:
    known = memory.known_cluster(world.cluster.pk)
    with known.lock, pytest.raises(PollRunning):
        poll(cluster=world.cluster, period=5, port=world.kafka, clock=world.clock, deadline=Deadline.after(0.1))


def test_the_source_kind_polls_and_reports(world: World) -> None:
    kind = kind_named("lag")
    assert kind is not None
    assert kind.handler is poll_lag
    run = Poll(world.cluster, "lag", 1, 5.0, world.clock, Deadline.after(5), connect=lambda cluster, clock: world.kafka)
    world.kafka.break_entity("group:risk", "timeout")
    outcome = run_lag(run)
    assert [error.entity for error in outcome.errors] == ["group:risk"]
    assert outcome.counts["groups"] == 1
    with memory.known_cluster(world.cluster.pk).lock, pytest.raises(RunDropped):
        run_lag(run)
    assert Source.objects.count() == 1
    assert PollRun.objects.count() == 0


def run_lag(run: Poll) -> Outcome:
    run.clock.pass_time(5)  # type: ignore[attr-defined]  # a StandingClock
    return poll_lag(run)


def test_a_moved_log_is_dated_right_after_a_restart(world: World) -> None:
    """Knots are stored every half minute; what moved since then must not count as seen unmoved until the restart."""
    world.kafka.commit("risk", "trades", 10)
    world.poll(8)
    produced_at = world.clock.now()
    world.kafka.produce("trades", 5)
    world.poll(1)
    world.restart_worker()
    world.poll(1)
    group = world.group("risk")
    assert group.unread_since is not None
    assert group.lag_seconds_bound is not None
    assert abs(group.unread_since.timestamp() - produced_at) <= group.lag_seconds_bound + 0.3
    assert ConsumerGroup.objects.count() == 1
