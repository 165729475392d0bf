"""Promises: breaches open and close once, are findings and events, and survive the worker."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry, Client, Ownership, User
from clusters.models import Finding
from lag import selectors, services
from lag.models import GroupSetting, SloState
from tests.lag.test_collector import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    """`risk` is 50 records late on `trades` and owned by Northgate Capital."""
    made = World()
    made.kafka.topic("trades")
    made.kafka.produce("trades", 60)
    made.kafka.group("risk", "trades")
    made.kafka.commit("risk", "trades", 10)
    client = Client.objects.create(name="Northgate Capital")
    Ownership.objects.create(client=client, kind="group", glob="ri*")
    return made


def add(world: World, **more: Any) -> None:
    limits: dict[str, Any] = {"max_records": 20, "for_seconds": 10} | more
    services.slo_add(cluster=world.cluster, name="late", glob="r*", acting_user=None, **limits)


def test_a_breach_opens_after_the_time_over_the_limit_and_closes_when_clean(world: World) -> None:
    add(world)
    world.poll(2)
    assert not Finding.objects.exists()
    world.poll(2)
    finding = Finding.objects.get()
    assert (finding.kind, finding.entity, finding.severity) == ("slo_breach", "group risk", "critical")
    assert finding.client is not None
    assert "50 records are unread, 20 are promised" in finding.reason
    world.kafka.commit("risk", "trades", 45)  # 15 unread: within the limit, not yet clean enough
    world.kafka.produce("trades", 3)
    world.poll(4)
    assert Finding.objects.get().closed_at is None
    world.kafka.commit("risk", "trades", 63)
    world.poll(4)
    assert Finding.objects.get().closed_at is not None
    assert len(world.events("slo_opened")) == len(world.events("slo_closed")) == 1


def test_another_worker_neither_repeats_nor_forgets_a_breach(world: World) -> None:
    add(world)
    world.poll(4)
    world.restart_worker()
    world.poll(7)
    assert Finding.objects.count() == 1
    state = SloState.objects.get()
    assert state.breached_at is not None
    assert state.counted_seconds == pytest.approx(50)
    assert state.breached_seconds == pytest.approx(state.counted_seconds)


def test_a_muted_group_breaks_no_promise(world: World) -> None:
    add(world)
    world.poll(4)
    until = timezone.now() + timedelta(days=4000)
    services.group_mute(cluster=world.cluster, glob="risk", reason="decommissioned", until=until, acting_user=None)
    assert Finding.objects.get().closed_at is not None
    world.poll(6)
    assert Finding.objects.count() == 1
    assert AuditEntry.objects.filter(action="lag.group_muted").exists()


def test_a_removed_promise_closes_its_breach(world: World) -> None:
    add(world)
    world.poll(4)
    slo = SloState.objects.get().slo
    services.slo_remove(slo=slo, acting_user=None)
    assert Finding.objects.get().closed_at is not None
    world.poll()
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "lag.slo_added",
        "lag.slo_removed",
    ]


def test_a_vanished_group_closes_its_breach(world: World) -> None:
    add(world)
    world.poll(4)
    del world.kafka.groups["risk"]
    world.poll(5)
    assert Finding.objects.get().closed_at is not None
    assert not SloState.objects.exists()


def test_a_failed_reading_counts_for_neither_side(world: World) -> None:
    add(world)
    world.poll(2)
    before = SloState.objects.get().counted_seconds
    world.kafka.break_entity("group:risk")
    world.poll(20)
    assert SloState.objects.get().counted_seconds - before <= 5.0


def test_a_promise_needs_a_limit(world: World) -> None:
    with pytest.raises(ValidationError):
        services.slo_add(cluster=world.cluster, name="empty", glob="*", acting_user=None)


def test_slos_tell_what_is_left_of_the_budget(world: World) -> None:
    add(world, objective=0.9)
    world.poll(12)
    row = selectors.slos(User.objects.create(username="sre", role="sre"))[0]
    assert (row.breached, row.groups) == (("risk",), 1)
    assert row.attained == pytest.approx(0.0)
    assert row.budget_left == pytest.approx(-9.0)
    assert selectors.slos(User.objects.create(username="viewer", role="client")) == ()


def test_set_group_sets_and_mutes(world: World) -> None:
    out = StringIO()
    call_command("set_group", "north", "ri*", "--read-committed", "--target-seconds", "5", stdout=out)
    call_command("set_group", "north", "ri*", "--mute", "--reason", "dead", "--until", "2999-01-01T00:00", stdout=out)
    row = GroupSetting.objects.get()
    assert (row.read_committed, row.target_seconds, row.mute_reason) == (True, 5.0, "dead")
    assert "muted until 2999-01-01T00:00+00:00" in out.getvalue()
    for wrong in (
        ["nowhere", "x", "--read-committed"],
        ["north", "x"],
        ["north", "x", "--mute", "--until", "2999-01-01"],
    ):
        with pytest.raises(CommandError):
            call_command("set_group", *wrong, stdout=out)


def test_mutes_end_by_themselves(world: World) -> None:
    GroupSetting.objects.create(
        cluster=world.cluster, glob="risk", muted_until=timezone.now() - timedelta(seconds=1), mute_reason="dead"
    )
    assert services.expired_mutes_close() == 1
    assert GroupSetting.objects.get().muted_until is None
    assert AuditEntry.objects.get().action == "lag.group_mute_expired"


def test_a_group_claimed_by_two_clients_is_a_finding(world: World) -> None:
    other = Client.objects.create(name="Southbank Trading")
    claim = Ownership.objects.create(client=other, kind="group", glob="*isk")
    world.poll()
    assert Finding.objects.get().title == "Two clients claim the group risk"
    claim.delete()
    world.poll()
    assert Finding.objects.get().closed_at is not None


def test_a_topic_claimed_by_two_clients_is_a_finding_until_it_is_not(world: World) -> None:
    for name in ("Southbank Trading", "Eastgate Partners"):
        Ownership.objects.create(client=Client.objects.create(name=name), kind="topic", glob="tra*")
    world.poll()
    assert Finding.objects.get().title == "Two clients claim the topic trades"
    world.restart_worker()
    Ownership.objects.filter(client__name="Southbank Trading").delete()
    world.poll()
    assert Finding.objects.get().closed_at is not None


def test_a_transaction_marker_at_the_end_breaks_no_promise_in_seconds(world: World) -> None:
    world.kafka.commit("risk", "trades", 59)  # the last record is a marker that no consumer reads
    add(world, max_records=None, max_seconds=20)
    world.poll(30)
    group = world.group("risk")
    assert (group.verdict, group.lag_records, group.rule) == ("ok", 1, "tail")
    assert group.unread_since is not None
    assert world.observed_at() - group.unread_since.timestamp() > 20
    assert not Finding.objects.exists()
