"""One run of a source: who may run a slot, and what is noted of it."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection

from clusters.models import Cluster, PollRun, Source
from clusters.ports import Broker, EntityError, GatewayFailed, Metadata
from clusters.services import runs
from clusters.sources import Outcome, Poll, RunDropped
from ops_portal.lib.database import session_lock
from ops_portal.lib.resilience import DeadlinePassed
from tests.clusters.conftest import Probe
from tests.fake_kafka import FakeKafka

pytestmark = pytest.mark.django_db


def run(probe: Probe, slot: int | None = None) -> str:
    return runs.source_run(source_id=probe.source.pk, slot=probe.free_slot() if slot is None else slot)


def failing(error: Exception) -> Callable[[Poll], Outcome]:
    def answer(poll: Poll) -> Outcome:
        raise error

    return answer


def test_a_good_run_is_noted_with_its_counts(probe: Probe) -> None:
    probe.answer = lambda poll: Outcome(counts={"groups": 3})
    run(probe)
    row = PollRun.objects.get()
    assert (row.status, row.counts, row.error) == ("ok", {"groups": 3, "entity_errors": 0}, "")
    assert row.ended_at is not None
    assert probe.fresh().last_success_at == row.ended_at
    assert probe.polls[0].deadline.remaining() <= 30


def test_a_slot_runs_once(probe: Probe) -> None:
    slot = probe.slot()
    run(probe, slot)
    assert "taken" in run(probe, slot)
    assert len(probe.polls) == 1


def test_an_old_slot_and_a_future_one_are_dropped(probe: Probe) -> None:
    for offset in (-2, 2):
        assert "not now" in run(probe, probe.slot(offset))
    assert not probe.polls
    assert not PollRun.objects.exists()
    assert probe.fresh().claimed_slot == -1


def test_a_disabled_source_and_a_removed_cluster_are_not_polled(probe: Probe) -> None:
    Source.objects.update(enabled=False)
    assert "not polled" in run(probe)
    Source.objects.update(enabled=True)
    probe.source.cluster.removed_at = probe.source.cluster.created_at
    probe.source.cluster.save()
    assert "not polled" in run(probe)
    assert not probe.polls


def test_a_server_s_words_are_noted_whatever_they_hold(probe: Probe) -> None:
    """An upstream's own message, told in JSON, may hold what PostgreSQL refuses."""
    probe.answer = failing(GatewayFailed("http_500", "broken\0 inside"))
    run(probe)
    assert (PollRun.objects.get().error, probe.fresh().last_error) == ("broken inside", "broken inside")
    probe.answer = lambda poll: Outcome(errors=[EntityError("subject a\0b", "http_500", "broken\0 inside")])
    run(probe)
    assert probe.fresh().entity_errors[0]["entity"] == "subject ab"


def test_entity_errors_make_a_run_partial_and_keep_the_time_they_began(probe: Probe) -> None:
    refused = EntityError("group:risk", "not_allowed", "Not allowed.")
    probe.answer = lambda poll: Outcome(errors=[refused])
    run(probe)
    first = probe.fresh().entity_errors[0]
    assert PollRun.objects.get().status == "partial"
    assert probe.fresh().last_success_at is not None
    probe.answer = lambda poll: Outcome(errors=[refused, EntityError("group:b", "timeout", "Late.")])
    run(probe)
    assert probe.fresh().entity_errors[0] == first
    assert probe.fresh().entity_errors[1]["since"] > first["since"]
    probe.answer = lambda poll: Outcome()
    run(probe)
    assert probe.fresh().entity_errors == []


def test_a_failure_is_told_and_cleared_by_the_next_success(probe: Probe) -> None:
    probe.answer = failing(GatewayFailed("authentication", "The cluster refuses the password."))
    run(probe)
    source = probe.fresh()
    assert (source.last_error_code, source.last_error) == ("authentication", "The cluster refuses the password.")
    assert source.failing_since is not None
    assert source.last_success_at is None
    since = source.failing_since
    run(probe)
    assert probe.fresh().failing_since == since
    probe.answer = lambda poll: Outcome()
    run(probe)
    assert (probe.fresh().last_error, probe.fresh().failing_since) == ("", None)


def test_a_passed_deadline_is_a_timeout(probe: Probe) -> None:
    probe.answer = failing(DeadlinePassed("late"))
    run(probe)
    assert PollRun.objects.get().error_code == "timeout"


def test_brokers_that_a_run_saw_are_kept_with_the_cluster(probe: Probe) -> None:
    seen = Metadata("I7hi2cs4Tbxgqi9ROeRmbQ", (Broker(1, "kafka-1.example", 9092),), {})
    probe.answer = lambda poll: Outcome(counts={"brokers": len(poll.kafka.seen.brokers if poll.kafka.seen else ())})
    runs.source_run(source_id=probe.source.pk, slot=probe.slot(), connect=lambda _, clock: FakeKafka(clock, seen=seen))
    cluster = Cluster.objects.get()
    assert cluster.brokers == [{"id": 1, "host": "kafka-1.example", "port": 9092, "rack": None}]
    assert cluster.kafka_cluster_id == "I7hi2cs4Tbxgqi9ROeRmbQ"


def test_an_error_of_the_portal_does_not_open_the_breaker(probe: Probe, caplog: pytest.LogCaptureFixture) -> None:
    probe.answer = failing(RuntimeError("a secret detail"))
    for _ in range(6):
        run(probe)
    assert probe.fresh().breaker_state == "closed"
    assert "a secret detail" not in probe.fresh().last_error
    assert "RuntimeError" in probe.fresh().last_error


def test_a_dropped_run_says_nothing_of_the_cluster(probe: Probe) -> None:
    probe.answer = failing(RunDropped("A newer slot is stored."))
    run(probe)
    assert PollRun.objects.get().status == "skipped"
    source = probe.fresh()
    assert (source.last_error, source.breaker_outcomes, source.last_success_at) == ("", "", None)


def test_five_failures_open_the_breaker_and_one_probe_closes_it(probe: Probe) -> None:
    probe.answer = failing(GatewayFailed("timeout", "No answer."))
    for _ in range(5):
        run(probe)
    assert probe.fresh().breaker_state == "open"
    assert len(probe.polls) == 5
    assert "breaker" in run(probe)
    assert len(probe.polls) == 5
    assert PollRun.objects.filter(error_code="breaker_open").count() == 1
    assert probe.fresh().last_error == "No answer."
    Source.objects.update(breaker_probe_at=probe.source.cluster.created_at - timedelta(seconds=1))
    seen: list[str] = []

    def answer(poll: Poll) -> Outcome:
        seen.append(probe.fresh().breaker_state)
        return Outcome()

    probe.answer = answer
    run(probe)
    assert seen == ["half_open"]
    assert (probe.fresh().breaker_state, probe.fresh().last_error) == ("closed", "")


def test_a_run_whose_worker_died_is_closed_by_the_next(probe: Probe) -> None:
    PollRun.objects.create(source=probe.source, slot=probe.slot() - 1, worker="gone:1")
    run(probe)
    lost = PollRun.objects.get(slot=probe.slot() - 1)
    assert (lost.status, lost.error_code) == ("failed", "worker_lost")
    assert lost.ended_at is not None


@pytest.mark.django_db(transaction=True)
def test_two_workers_run_a_slot_once(probe: Probe) -> None:
    slot, barrier, said = probe.slot(), threading.Barrier(4), []

    def work() -> None:
        barrier.wait(10)
        try:
            said.append(run(probe, slot))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(probe.polls) == 1
    assert len(said) == 4
    assert PollRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_slot_waits_for_no_run_before_it(probe: Probe) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with session_lock(runs.LOCK, probe.source.pk):
            inside.set()
            leave.wait(20)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    assert "still goes on" in run(probe)
    leave.set()
    thread.join(20)
    assert not probe.polls
    run(probe)
    assert len(probe.polls) == 1
