"""What a poll makes of a cluster: stored state, events, and how failures stay with what failed."""

import pytest
from django.utils import timezone

from clusters.models import Cluster, Source, Topic
from lag import known
from lag.collector import PollReport, poll
from lag.models import ConsumerGroup, GroupEvent, GroupTopic, LagState
from ops_portal.lib.resilience import Deadline
from tests.fake_kafka import FakeKafka, StandingClock

pytestmark = pytest.mark.django_db


class World:
    """A cluster row, the fake Kafka behind it and a clock; `poll` lets five seconds pass first."""

    def __init__(self) -> None:
        self.start = timezone.now().timestamp() // 3600 * 3600 - 3 * 3600  # an hour begins with the first poll
        self.clock = StandingClock(self.start - 5)
        self.kafka = FakeKafka(self.clock)
        self.cluster = Cluster.objects.create(name="north", bootstrap="127.0.0.1:9092")
        Source.objects.create(cluster=self.cluster, kind="lag", period_seconds=5)

    def poll(self, times: int = 1, seconds: float = 5.0) -> PollReport:
        for _ in range(times):
            self.clock.pass_time(seconds)
            report = poll(
                cluster=self.cluster, period=5.0, port=self.kafka, clock=self.clock, deadline=Deadline.after(5)
            )
        return report

    def restart_worker(self) -> None:
        """Another process polls from now on: it knows nothing but what is stored."""
        known.known_cluster(self.cluster.pk).forget()

    def observed_at(self) -> float:
        at = LagState.objects.get(cluster=self.cluster).observed_at
        assert at is not None
        return at.timestamp()

    def group(self, name: str) -> ConsumerGroup:
        return ConsumerGroup.objects.get(cluster=self.cluster, name=name, vanished_at=None)

    def events(self, kind: str) -> list[GroupEvent]:
        return list(GroupEvent.objects.filter(cluster=self.cluster, kind=kind).order_by("pk"))


@pytest.fixture
def world() -> World:
    return World()


def test_stores_lag_of_a_group_as_end_minus_committed(world: World) -> None:
    world.kafka.topic("trades", 2)
    world.kafka.produce("trades", 10, 0)
    world.kafka.produce("trades", 4, 1)
    world.kafka.group("risk", "trades")
    world.kafka.commit("risk", "trades", 7, 0)
    world.kafka.commit("risk", "trades", 4, 1)
    world.poll(2)
    group = world.group("risk")
    assert (group.lag_records, group.lag_records_max, group.members) == (3, 3, 1)
    assert group.worst_topic == "trades"
    assert world.observed_at() == world.clock.now()
    assert GroupTopic.objects.get(group=group).lag_records == 3


def test_writes_nothing_for_a_group_in_which_nothing_moves(world: World) -> None:
    world.kafka.topic("trades")
    world.kafka.produce("trades", 5)
    world.kafka.group("risk", "trades")
    world.kafka.commit("risk", "trades", 5)
    world.poll(15)
    version = world.group("risk").version
    world.poll(3)
    assert world.group("risk").version == version
    assert world.observed_at() == world.clock.now()


def test_asks_committed_offsets_before_ends(world: World) -> None:
    world.kafka.topic("trades")
    world.kafka.group("risk", "trades")
    world.kafka.commit("risk", "trades", 0)
    world.poll()
    order = [api for api, _ in world.kafka.asked]
    assert order.index("OffsetFetch") < order.index("ListOffsets.end") < order.index("ListOffsets.start")


def test_keeps_the_id_and_tells_when_a_group_goes_and_comes_back(world: World) -> None:
    world.kafka.topic("trades")
    group = world.kafka.group("risk", "trades")
    world.kafka.commit("risk", "trades", 0)
    world.poll(2)
    pk = world.group("risk").pk
    del world.kafka.groups["risk"]
    world.poll(5)
    assert not ConsumerGroup.objects.filter(vanished_at=None).exists()
    world.kafka.groups["risk"] = group
    world.poll()
    assert world.group("risk").pk == pk
    assert len(world.events("group_vanished")) == 1
    assert len(world.events("group_appeared")) == 1


def test_a_group_whose_coordinator_moves_is_unread_not_gone(world: World) -> None:
    world.kafka.topic("trades")
    world.kafka.produce("trades", 9)
    group = world.kafka.group("risk", "trades")
    world.kafka.commit("risk", "trades", 4)
    world.poll(2)
    del world.kafka.groups["risk"]
    world.poll()
    unread = world.group("risk")
    assert (unread.fresh, unread.error_code, unread.lag_records) == (False, "not_listed", 5)
    world.poll(2)
    world.kafka.groups["risk"] = group
    world.poll()
    assert world.group("risk").fresh
    assert not world.events("group_vanished")


def test_an_incomplete_listing_makes_no_group_vanish(world: World) -> None:
    world.kafka.topic("trades")
    world.kafka.group("risk", "trades")
    world.poll()
    group = world.kafka.groups.pop("risk")
    world.kafka.listing_errors = (world.kafka._error("broker:2", "timeout"),)
    world.poll(10)
    assert world.group("risk").vanished_at is None
    assert not world.group("risk").fresh
    world.kafka.groups["risk"] = group


def test_a_group_that_fails_keeps_its_numbers_and_costs_others_nothing(world: World) -> None:
    world.kafka.topic("trades")
    world.kafka.produce("trades", 9)
    for name in ("risk", "audit"):
        world.kafka.group(name, "trades")
        world.kafka.commit(name, "trades", 4)
    world.poll(2)
    last = world.clock.now()
    world.kafka.break_entity("group:risk")
    world.kafka.commit("audit", "trades", 9)
    world.poll()
    failed, fine = world.group("risk"), world.group("audit")
    assert (failed.fresh, failed.error_code) == (False, "timeout")
    assert failed.lag_records == 5
    assert failed.observed_at.timestamp() == last
    assert (fine.fresh, fine.lag_records) == (True, 0)


def test_asks_a_refused_group_only_now_and_then(world: World) -> None:
    world.kafka.group("secret")
    world.kafka.break_entity("group:secret", "not_allowed")
    world.poll(5)
    asked = [names for api, names in world.kafka.asked if api == "OffsetFetch"]
    assert sum("secret" in names for names in asked) <= 2
    assert world.group("secret").verdict == "unknown"
    assert "not_allowed" in world.group("secret").flags


def test_filters_leave_no_trace_in_requests(world: World) -> None:
    world.kafka.topic("trades")
    world.kafka.topic("internal.audit")
    world.kafka.group("risk", "trades")
    world.kafka.group("hidden", "trades")
    world.kafka.commit("risk", "trades", 0)
    world.kafka.commit("risk", "internal.audit", 0)
    Cluster.objects.update(group_deny=["hid*"], topic_deny=["internal.*"])
    world.cluster.refresh_from_db()
    world.poll()
    named = set().union(*(entities for _, entities in world.kafka.asked))
    assert "hidden" not in named
    assert ("internal.audit", 0) not in named
    assert not ConsumerGroup.objects.filter(name="hidden").exists()


def test_a_recreated_topic_is_another_topic(world: World) -> None:
    world.kafka.topic("trades", 3)
    for number in range(3):
        world.kafka.produce("trades", 50, number)
    world.kafka.group("risk", "trades")
    for number in range(3):
        world.kafka.commit("risk", "trades", 40, number)
    world.poll(2)
    old = Topic.objects.get(name="trades")
    world.kafka.topic("trades", 1)
    world.kafka.produce("trades", 2)
    world.kafka.groups["risk"].commits = {("trades", 0): 1}
    world.poll(4)
    new = Topic.objects.get(name="trades", vanished_at=None)
    assert new.pk != old.pk
    assert new.topic_id == world.kafka.topics["trades"].topic_id
    assert world.group("risk").lag_records == 1
    assert len(world.events("topic_recreated")) == 1
    assert not GroupTopic.objects.filter(topic=old).exists()


def test_a_deleted_topic_leaves_the_group(world: World) -> None:
    for topic in ("trades", "quotes"):
        world.kafka.topic(topic)
        world.kafka.produce(topic, 5)
    world.kafka.group("risk", "trades")
    world.kafka.commit("risk", "trades", 1)
    world.kafka.commit("risk", "quotes", 1)
    world.poll(2)
    del world.kafka.topics["quotes"]
    world.poll(5)
    assert world.group("risk").lag_records == 4
    assert Topic.objects.get(name="quotes").vanished_at is not None


def test_a_partition_without_a_leader_keeps_the_rest_fresh(world: World) -> None:
    world.kafka.topic("trades", 2)
    for number in (0, 1):
        world.kafka.produce("trades", 5, number)
    world.kafka.group("risk", "trades")
    for number in (0, 1):
        world.kafka.commit("risk", "trades", 5, number)
    world.poll(2)
    world.kafka.break_entity("partition:trades/1")
    world.kafka.produce("trades", 3, 0)
    report = world.poll()
    assert [error.entity for error in report.errors][:1] == ["partition:trades/1"]
    assert world.group("risk").lag_records == 3


def test_another_worker_goes_on_where_the_first_stopped(world: World) -> None:
    world.kafka.topic("trades")
    world.kafka.produce("trades", 5)
    world.kafka.group("risk", "trades")
    world.kafka.commit("risk", "trades", 5)
    world.poll(4)
    world.kafka.produce("trades", 20)
    unread_since = world.clock.now()
    world.poll(15)
    before = world.group("risk")
    world.restart_worker()
    world.poll()
    after = world.group("risk")
    assert (after.verdict, after.lag_records) == ("stalled", 20) == (before.verdict, before.lag_records)
    assert after.verdict_since == before.verdict_since
    assert after.unread_since is not None
    assert abs(after.unread_since.timestamp() - unread_since) <= 5.5
    assert len(world.events("member_joined")) == len(world.events("member_left")) == 0


def test_share_groups_are_listed_without_numbers(world: World) -> None:
    world.kafka.share_groups.add("sharing")
    world.poll()
    group = world.group("sharing")
    assert (group.type, group.lag_records, group.members) == ("unmeasured", None, None)
    assert group.flags == ["not_measured"]
