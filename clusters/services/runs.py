"""One run of a source: claim its slot, read, note what happened. `source_run` is the whole of it."""

import logging
import os
import random
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.utils import DatabaseError

from clusters.gateways.connect import kafka_port
from clusters.models import Cluster, PollRun, Source
from clusters.ports import EntityError, GatewayFailed, Metadata
from clusters.sources import Connect, Poll, RunDropped, deadline_seconds, kind_named, watchdog_seconds
from ops_portal.lib.clock import Clock, as_datetime, iso
from ops_portal.lib.database import database_clock, session_lock
from ops_portal.lib.live import publish
from ops_portal.lib.resilience import Breaker, BreakerState, Deadline, DeadlinePassed
from ops_portal.lib.watchdog import watchdog

logger = logging.getLogger(__name__)

LOCK = "clusters.source"
ERRORS_KEPT = 200  # of a source, for the sources page; more would be the same story
ERRORS_PER_RUN = 10


@dataclass(slots=True)
class Claim:
    """A slot that this process, and no other, runs."""

    source: Source
    run_id: int
    clock: Clock


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `heard` is what it says of the cluster: True it answered, False it did not, None nothing."""

    status: PollRun.Status
    heard: bool | None
    code: str = ""
    message: str = ""
    errors: tuple[EntityError, ...] = ()
    counts: Mapping[str, float] | None = None


def source_run(*, source_id: int, slot: int, connect: Connect = kafka_port) -> str:
    """Run one slot of a source, unless another worker has it, it is too old, or the run before it is still going on.

    Returns a sentence. Only faults of the portal's own database are raised: there is nowhere to note them.
    """
    # The session holds the lock, so a killed worker frees it at once and no later slot waits for a run that is dead.
    with session_lock(LOCK, source_id) as alone:
        if not alone:
            return f"Source {source_id}: the run before slot {slot} still goes on."
        claim = run_claim(source_id=source_id, slot=slot)
        if isinstance(claim, str):
            return claim
        source = claim.source
        what = f"the {source.kind} poll of cluster {source.cluster.name}"
        with watchdog.limit(watchdog_seconds(source.period_seconds), what):
            poll = _poll_of(claim, slot, connect)
            ended = _call(poll)
            run_end(claim=claim, ended=ended, requests=poll.requests, seen=poll.seen)
    return f"Source {source_id}, slot {slot}: {ended.status}."


@transaction.atomic
def run_claim(*, source_id: int, slot: int) -> Claim | str:
    """Take the slot, or a sentence why not. The caller holds the source's session lock."""
    rows = Source.objects.select_for_update(of=("self",)).select_related("cluster")
    source = rows.filter(pk=source_id, enabled=True, cluster__removed_at__isnull=True).first()
    if source is None:
        return f"Source {source_id} is not polled any more."
    clock = database_clock()  # after the row lock: waiting for it must not make the slot look fresh
    now = clock.now()
    if slot <= source.claimed_slot:
        return f"Source {source_id}: slot {slot} is taken."
    if not slot <= now / source.period_seconds < slot + 2:
        return f"Source {source_id}: slot {slot} is not now."
    _close_lost_runs(source, as_datetime(now))
    breaker = breaker_of(source)
    admitted = breaker.admits(now)
    try:
        with transaction.atomic():
            run = PollRun.objects.create(
                source=source,
                slot=slot,
                status=PollRun.Status.RUNNING if admitted else PollRun.Status.SKIPPED,
                started_at=as_datetime(now),
                ended_at=None if admitted else as_datetime(now),
                error_code="" if admitted else "breaker_open",
                error=""
                if admitted
                else "Not tried: the cluster failed again and again and is left alone for a while.",
                worker=_worker(),
            )
    except IntegrityError:  # the period was changed there and back, and this number was used before
        return f"Source {source_id}: slot {slot} was run before."
    source.claimed_slot = slot
    if admitted:
        source.last_started_at = as_datetime(now)
        _keep_breaker(source, breaker.started(now, lease_seconds=watchdog_seconds(source.period_seconds)))
    source.save(
        update_fields=["claimed_slot", "last_started_at", "breaker_state", "breaker_outcomes", "breaker_probe_at"]
    )
    if not admitted:
        _publish(source)
        return f"Source {source_id}, slot {slot}: skipped, the breaker is open."
    return Claim(source, run.pk, clock)


@transaction.atomic
def run_end(*, claim: Claim, ended: Ended, requests: Mapping[str, int], seen: Metadata | None = None) -> None:
    """Note how the run ended, in its row and in the source's; ask for the live views to be renewed."""
    now = claim.clock.now()
    at = as_datetime(now)
    PollRun.objects.filter(pk=claim.run_id, status=PollRun.Status.RUNNING).update(
        status=ended.status,
        ended_at=at,
        error_code=ended.code,
        error=_storable(ended.message)[:500],
        entity_errors=[_as_json(error) for error in ended.errors[:ERRORS_PER_RUN]],
        counts={**(ended.counts or {}), "entity_errors": len(ended.errors)},
        requests=dict(requests),
    )
    source = Source.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=claim.source.pk)
    if ended.heard is not None:
        jitter = random.random()  # noqa: S311 - spreads probes, guards nothing
        _keep_breaker(source, breaker_of(source).ended(now, good=ended.heard, jitter=jitter))
    if ended.heard:
        source.last_success_at = at
        source.last_error = source.last_error_code = ""
        source.failing_since = None
        source.entity_errors = _with_since(ended.errors, source.entity_errors, at)
    elif ended.status == PollRun.Status.FAILED:
        source.last_error, source.last_error_code = _storable(ended.message)[:500], ended.code
        source.failing_since = source.failing_since or at
    source.requests = dict(requests)
    source.save(
        update_fields=[
            "last_success_at", "last_error", "last_error_code", "failing_since", "entity_errors", "requests",
            "breaker_state", "breaker_outcomes", "breaker_probe_at",
        ]
    )  # fmt: skip
    if seen is not None:
        _keep_brokers(source.cluster, seen)
    _publish(source)


def _keep_brokers(cluster: Cluster, seen: Metadata) -> None:
    brokers = [{"id": one.id, "host": one.host, "port": one.port, "rack": one.rack} for one in seen.brokers]
    if (cluster.brokers, cluster.kafka_cluster_id) != (brokers, seen.cluster_id or ""):
        Cluster.objects.filter(pk=cluster.pk).update(brokers=brokers, kafka_cluster_id=seen.cluster_id or "")


def breaker_of(source: Source) -> Breaker:
    """The breaker as the source's row has it."""
    probe_at = source.breaker_probe_at.timestamp() if source.breaker_probe_at else None
    return Breaker(BreakerState(source.breaker_state), source.breaker_outcomes, probe_at)


def _keep_breaker(source: Source, breaker: Breaker) -> None:
    source.breaker_state = breaker.state
    source.breaker_outcomes = breaker.outcomes
    source.breaker_probe_at = None if breaker.probe_at is None else as_datetime(breaker.probe_at)


def _poll_of(claim: Claim, slot: int, connect: Connect) -> Poll:
    source = claim.source
    return Poll(
        cluster=source.cluster,
        kind=source.kind,
        slot=slot,
        period_seconds=source.period_seconds,
        clock=claim.clock,
        deadline=Deadline.after(deadline_seconds(source.period_seconds)),
        connect=connect,
    )


def _call(poll: Poll) -> Ended:
    """Call the handler of the poll's kind; whatever it raises becomes the end of the run."""
    kind = kind_named(poll.kind)
    if kind is None:
        return Ended(PollRun.Status.FAILED, None, "unknown_kind", f"This worker knows no sources of kind {poll.kind}.")
    try:
        outcome = kind.handler(poll)
    except RunDropped as reason:
        return Ended(PollRun.Status.SKIPPED, None, "dropped", str(reason))
    except GatewayFailed as failure:
        return Ended(PollRun.Status.FAILED, False, failure.code, failure.message)
    except DeadlinePassed:
        text = f"The run did not end within {deadline_seconds(poll.period_seconds):g} s."
        return Ended(PollRun.Status.FAILED, False, "timeout", text)
    except DatabaseError as error:
        logger.exception("clusters.run_failed source=%s cluster=%s", poll.kind, poll.cluster.name)
        return Ended(PollRun.Status.FAILED, None, "database", f"The portal's database failed: {type(error).__name__}.")
    except Exception as error:
        logger.exception("clusters.run_failed source=%s cluster=%s", poll.kind, poll.cluster.name)
        return Ended(PollRun.Status.FAILED, None, "internal_error", f"An error of the portal: {type(error).__name__}.")
    errors = tuple(outcome.errors)
    status = PollRun.Status.PARTIAL if errors else PollRun.Status.OK
    return Ended(status, True, errors=errors, counts=outcome.counts)


def _close_lost_runs(source: Source, at: datetime) -> None:
    """The session lock is ours, so whoever left a run open is gone."""
    PollRun.objects.filter(source=source, status=PollRun.Status.RUNNING).update(
        status=PollRun.Status.FAILED,
        ended_at=at,
        error_code="worker_lost",
        error="The worker that ran this slot ended before the run did.",
    )


def _with_since(errors: Iterable[EntityError], before: list[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """The errors as kept in the source: an error that goes on keeps the time it began."""
    since = {(row["entity"], row["code"]): row["since"] for row in before}
    now = iso(at)
    found = {row["entity"]: row for row in map(_as_json, errors)}
    rows = [row | {"since": since.get((row["entity"], row["code"]), now)} for row in found.values()]
    return rows[:ERRORS_KEPT]


def _as_json(error: EntityError) -> dict[str, Any]:
    return {"entity": _storable(error.entity), "code": error.code, "message": _storable(error.message)}


def _storable(text: str) -> str:
    """The text without the one character that PostgreSQL refuses: servers answer what they like."""
    return text.replace("\0", "")


def _publish(source: Source) -> None:
    name = source.cluster.name
    publish.on_commit_publish("ops.sources", match=lambda params, _: params["cluster"] in {None, name})


def _worker() -> str:
    return f"{socket.gethostname()[:60]}:{os.getpid()}"
