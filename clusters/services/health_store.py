"""Writing what a source says of the health of a cluster: states, history, events, findings, targets. One transaction."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from clusters.health.events import Event
from clusters.health.join import Joined, Verdict, joined, verdict_of
from clusters.health.judge import Judged, Reading, judge
from clusters.health.slo import BUCKET_SECONDS
from clusters.health.states import Health, HealthEventKind, Source
from clusters.models import Cluster, ClusterHealth, Finding, HealthEvent, SignalState
from clusters.selectors.health.states import configured_of, seen_rows
from clusters.services.findings import finding_close, finding_open
from clusters.services.health_history import samples_store
from clusters.signals import BY_ID
from clusters.sources import RunDropped
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.live import publish

CLOSE_AFTER_SECONDS = 30.0  # ok for so long, before a finding is closed
KIND = "health"
_BAD = (Health.WARNING, Health.CRITICAL)

_COUNT = """
INSERT INTO clusters_platformslocount AS kept (cluster_id, slo, at, good, bad, unknown, worst)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (cluster_id, slo, at) DO UPDATE SET good = kept.good + excluded.good, bad = kept.bad + excluded.bad,
    unknown = kept.unknown + excluded.unknown, worst = greatest(kept.worst, excluded.worst)
"""


@dataclass(slots=True)
class Stored:
    """What was stored."""

    verdict: Verdict
    signals: dict[str, Joined] = field(default_factory=dict)


def health_locked(cluster: Cluster) -> ClusterHealth:
    """The cluster's row, locked until the transaction ends: the two sources write one after the other.

    Raises RunDropped for a cluster that was removed since the run began: its findings are closed and have to stay so.
    """
    with connection.cursor() as cursor:
        # Held until this transaction ends, so that a removal comes wholly before it or wholly after it.
        cursor.execute("SELECT removed_at IS NULL FROM clusters_cluster WHERE id = %s FOR KEY SHARE", [cluster.pk])
        if cursor.fetchone() != (True,):
            raise RunDropped("The cluster was removed while it was read.")
    ClusterHealth.objects.get_or_create(cluster=cluster)
    return ClusterHealth.objects.select_for_update().get(cluster=cluster)


def signals_store(
    *, cluster: Cluster, health: ClusterHealth, source: Source, readings: Mapping[str, Reading], at: float
) -> Stored:
    """Judge the readings of one source and keep states, history, findings and the verdict. Joins the caller's transaction."""
    moment = as_datetime(at)
    rows = {row.signal: row for row in SignalState.objects.filter(cluster=cluster, source=source)}
    SignalState.objects.bulk_create(
        [
            _row(cluster, source, name, judge(BY_ID[name], reading, _memory(rows.get(name)), at), reading, rows, moment)
            for name, reading in readings.items()
        ],
        update_conflicts=True,
        unique_fields=["cluster", "signal", "source"],
        update_fields=["state", "value", "entity", "reason", "query", "observed_at", "since", "parts", "memory"],
    )
    configured = configured_of(cluster)
    seen = seen_rows([cluster.pk], now=at).get(cluster.pk, {})
    all_signals = joined(seen, configured)
    verdict = verdict_of(all_signals, configured)
    now_known = {one.signal.id: one for one in all_signals}
    samples_store(cluster.pk, moment, [(name, now_known[name].value, now_known[name].state) for name in readings])
    silent = {
        name for name, rows in seen.items()
        for one in rows if one.stale and one.state in _BAD and not configured.get(one.source)
    }  # fmt: skip
    _findings(cluster, now_known, set(readings), silent, at)
    if verdict.state.value != health.verdict:
        text = f"The cluster is {verdict.state.label} now, after {health.verdict}."
        why = f" {verdict.reasons[0]}" if verdict.reasons else ""
        events_store(cluster, [Event(HealthEventKind.VERDICT_CHANGED, f"{text}{why}")], at, at)
        health.verdict, health.verdict_since = verdict.state.value, moment
    return Stored(verdict, now_known)


def events_store(cluster: Cluster, events: Iterable[Event], earliest: float, at: float) -> None:
    """Keep what happened between two readings."""
    HealthEvent.objects.bulk_create(
        HealthEvent(
            cluster=cluster, at_earliest=as_datetime(min(earliest, at)), at=as_datetime(at), kind=event.kind,
            broker=event.broker, topic=event.topic or "", count=event.count, text=event.text[:500],
        )
        for event in events
    )  # fmt: skip


def slo_count(cluster: Cluster, slo: str, at: float, seconds: float, met: bool | None, worst: float | None) -> None:
    """Count seconds for or against a target of the platform."""
    bucket = as_datetime(at // BUCKET_SECONDS * BUCKET_SECONDS)
    counts = [seconds if met is state else 0.0 for state in (True, False, None)]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [cluster.pk, slo, bucket, *counts, worst])


def health_publish(cluster: Cluster) -> None:
    """Renew the live views of the cluster's health once the transaction is committed."""
    name = cluster.name
    publish.on_commit_publish("clusters.health", match=lambda params, _: params["cluster"] in {None, name})


def _row(
    cluster: Cluster,
    source: Source,
    name: str,
    judged: Judged,
    reading: Reading,
    rows: Mapping[str, SignalState],
    moment: datetime,
) -> SignalState:
    before = rows.get(name)
    same = before is not None and before.state == judged.state.value
    return SignalState(
        cluster=cluster, signal=name, source=source, state=judged.state, value=judged.value, entity=judged.entity[:200],
        reason=judged.reason, query=reading.query, observed_at=moment,
        since=before.since if same and before is not None else moment,
        parts=[[part.entity, part.state.value, part.value] for part in judged.parts], memory=judged.memory,
    )  # fmt: skip


def _memory(row: SignalState | None) -> Mapping[str, Any]:
    return row.memory if row is not None else {}


def _findings(
    cluster: Cluster, signals: Mapping[str, Joined], read: Collection[str], silent: Collection[str], at: float
) -> None:
    """Open what is bad, close what has been ok for a while or is not read any more at all.

    Else unknown changes nothing: it says nothing. `silent` are those of which a source said bad and is stale now; that the
    other source is fine does not end them.
    """
    open_ones = Finding.objects.filter(cluster=cluster, kind=KIND, closed_at__isnull=True)
    for key in open_ones.values_list("dedupe_key", flat=True):
        one = signals.get(key.rpartition(":")[2])
        well = one is not None and one.state is Health.OK and at - (one.since or at) >= CLOSE_AFTER_SECONDS
        if one is None or not one.seen or (well and one.signal.id in read and one.signal.id not in silent):
            finding_close(dedupe_key=key)
    for one in (signals[name] for name in read):
        if one.state in _BAD:
            finding_open(
                dedupe_key=f"{KIND}:{cluster.pk}:{one.signal.id}", kind=KIND, severity=one.state.value, cluster=cluster,
                entity=one.entity or cluster.name, title=f"{one.signal.title} on {cluster.name}", reason=one.reason,
                inputs=_inputs(one),
            )  # fmt: skip


def _inputs(one: Joined) -> dict[str, Any]:
    return {
        "signal": one.signal.id, "value": one.value, "unit": one.signal.unit, "warn": one.signal.warn,
        "critical": one.signal.critical, "query": one.query,
    }  # fmt: skip
