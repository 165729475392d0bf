"""The source kind `brokers`: the health that Kafka's admin API tells, every few seconds.

Every run reads the metadata and knocks at every broker and controller. What changes rarely is read in turn: racks and
broker settings, settings of topics, log starts and ends.
"""

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from django.db import transaction

from clusters.admin_ports import AdminPort
from clusters.health.admin import AdminFound, AdminMemory, KnownBroker, understood, unreadable
from clusters.health.states import Health, Source
from clusters.models import CanaryResult, Cluster, ClusterHealth, HealthSettings
from clusters.ports import EntityError, GatewayFailed, OffsetSpec
from clusters.services.health_store import events_store, health_locked, health_publish, signals_store, slo_count
from clusters.services.health_topics import Offsets, topics_store
from clusters.sources import Outcome, Poll
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.resilience import Deadline, DeadlinePassed

logger = logging.getLogger(__name__)

DESCRIBE_SECONDS = 60.0  # racks are read again after this long
CONFIG_SECONDS = 300.0  # settings of brokers and topics
CONFIGS_PER_RUN = 1000
OFFSETS_SECONDS = 60.0
TCP_SECONDS = 2.0
GAP_PERIODS = 3.0  # seconds between two runs further apart than this were not watched


@dataclass(slots=True)
class Kept:
    """What this worker remembers of a cluster. Another worker's writes are noticed by `stored_at`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    memory: AdminMemory = field(default_factory=AdminMemory)
    racks: dict[int, str | None] = field(default_factory=dict)
    racks_at: float = 0.0
    log_dirs: dict[str, list[str]] = field(default_factory=dict)
    log_dirs_at: float = 0.0
    asked: set[int] = field(default_factory=set)  # brokers whose settings were asked for
    settings: dict[str, Mapping[str, str | None]] = field(default_factory=dict)
    settings_at: dict[str, float] = field(default_factory=dict)
    offsets_at: float = 0.0
    layouts: dict[str, int] = field(default_factory=dict)  # topic -> hash of what the database has
    stored_at: float | None = None


_kept: dict[tuple[int, int], Kept] = {}


def poll_brokers(run: Poll) -> Outcome:
    """One run. Raises GatewayFailed or DeadlinePassed when the metadata could not be read; what TCP tells is stored even so."""
    kept = _kept.setdefault((os.getpid(), run.cluster.pk), Kept())
    with kept.lock:
        _recall(run.cluster, kept)
        try:
            return _poll(run, kept)
        except Exception:
            kept.layouts.clear()  # whether the database has them is not sure any more
            raise


def _poll(run: Poll, kept: Kept) -> Outcome:
    port = cast("AdminPort", run.kafka)
    controllers = [text.strip() for text in run.cluster.controllers.split(",") if text.strip()]
    try:
        metadata = port.metadata(run.deadline)
    except (GatewayFailed, DeadlinePassed) as failure:
        _store_unreadable(run, kept, port, controllers, str(failure))
        raise
    addresses = {f"{broker.host}:{broker.port}" for broker in metadata.brokers}
    addresses |= {known.address for known in kept.memory.brokers.values() if known.port}
    refusals = dict(port.refusals(sorted(addresses | set(controllers)), run.deadline))
    errors = list(metadata.errors)
    _read_in_turn(run, kept, port, {broker.id for broker in metadata.brokers if not refusals.get(f"{broker.host}:{broker.port}")},
                  list(metadata.topics), errors)  # fmt: skip
    canary = _canary(run, port)
    now = run.clock.now()
    found = understood(
        metadata, kept.memory, racks=kept.racks, min_in_sync=_min_in_sync(kept.settings), refusals=refusals,
        controllers={address: refusals.get(address, "") for address in controllers}, now=now,
    )  # fmt: skip
    offsets = _offsets(run, kept, port, found, errors)
    _store(run, kept, found, metadata.cluster_id, offsets, canary)
    counts = {"brokers": len(found.brokers), "topics": len(found.topics), "partitions": found.partitions}
    return Outcome(tuple(errors), counts)


# --- reading -------------------------------------------------------------------------------------------------------------
def _recall(cluster: Cluster, kept: Kept) -> None:
    """Start from what the database has, where this worker does not know it or another one wrote since."""
    health = ClusterHealth.objects.filter(cluster=cluster).only("known_brokers", "brokers_at", "log_dirs").first()
    stored_at = health.brokers_at.timestamp() if health is not None and health.brokers_at else None
    if stored_at == kept.stored_at:
        return
    kept.layouts.clear()
    kept.stored_at = stored_at
    if health is not None:
        kept.memory.brokers = {row["id"]: KnownBroker(**row) for row in health.known_brokers}
        kept.log_dirs = health.log_dirs


def _read_in_turn(
    run: Poll, kept: Kept, port: AdminPort, up: set[int], topics: list[str], errors: list[EntityError]
) -> None:
    """What changes rarely. A failure here costs nothing but its freshness, and is told as an error of its entity."""
    now = run.clock.now()
    try:
        if now - kept.racks_at >= DESCRIBE_SECONDS:
            kept.racks_at = now
            kept.racks = {broker.id: broker.rack for broker in port.describe_cluster(run.deadline).brokers}
        if now - kept.log_dirs_at >= CONFIG_SECONDS or not up <= kept.asked:
            kept.log_dirs_at, kept.asked = now, kept.asked | up  # one that refuses is not asked in every run
            configs = port.broker_configs(up, run.deadline)
            errors += configs.errors
            kept.log_dirs |= {broker: _directories(settings) for broker, settings in configs.found.items()}
        due = [name for name in topics if now - kept.settings_at.get(name, 0.0) >= CONFIG_SECONDS]
        due.sort(key=lambda name: kept.settings_at.get(name, 0.0))
        if due:
            found = port.topic_configs(due[:CONFIGS_PER_RUN], run.deadline)
            errors += found.errors
            kept.settings.update(found.found)
            kept.settings_at.update(dict.fromkeys(due[:CONFIGS_PER_RUN], now))
    except GatewayFailed as failure:
        errors.append(EntityError("cluster:settings", failure.code, failure.message))
    if len(kept.settings_at) > len(topics):
        present = set(topics)
        kept.settings = {name: found for name, found in kept.settings.items() if name in present}
        kept.settings_at = {name: at for name, at in kept.settings_at.items() if name in present}


def _offsets(run: Poll, kept: Kept, port: AdminPort, found: AdminFound, errors: list[EntityError]) -> Offsets | None:
    """First and next offset of every partition that has a leader, once a minute."""
    now = run.clock.now()
    if now - kept.offsets_at < OFFSETS_SECONDS:
        return None
    kept.offsets_at = now
    led = [
        (name, one.partition)
        for name, topic in found.topics.items()
        for one in topic.partitions
        if one.leader is not None
    ]
    try:
        ends = port.offsets(led, OffsetSpec.END, run.deadline)
        starts = port.offsets(led, OffsetSpec.START, run.deadline)
    except (GatewayFailed, DeadlinePassed) as failure:
        errors.append(EntityError("cluster:offsets", "timeout", f"Log starts and ends were not read: {failure}"))
        return None
    errors += ends.errors[:50]
    return Offsets(starts.offsets, ends.offsets, now)


@dataclass(frozen=True, slots=True)
class _Canary:
    seconds: float | None
    error: str


def _canary(run: Poll, port: AdminPort) -> _Canary | None:
    """None where no canary topic is set."""
    topic = HealthSettings.objects.filter(cluster=run.cluster).values_list("canary_topic", flat=True).first()
    if not topic:
        return None
    try:
        return _Canary(port.canary(topic, run.deadline), "")
    except (GatewayFailed, DeadlinePassed) as failure:
        return _Canary(None, str(failure))


# --- storing -------------------------------------------------------------------------------------------------------------
@transaction.atomic
def _store(
    run: Poll,
    kept: Kept,
    found: AdminFound,
    cluster_id: str | None,
    offsets: Offsets | None,
    canary: _Canary | None,
) -> None:
    at = run.clock.now()
    cluster = run.cluster
    health = health_locked(cluster)
    before = health.brokers_at.timestamp() if health.brokers_at else None
    topics_store(cluster, found.topics, kept.layouts, kept.settings, offsets, at)
    events_store(cluster, found.events, before if before is not None else at, at)
    stored = signals_store(cluster=cluster, health=health, source=Source.BROKERS, readings=found.readings, at=at)
    offline = stored.signals["offline_partitions"]
    _count_availability(run, health, at, offline.state, canary)
    health.known_brokers = [asdict(known) for known in kept.memory.brokers.values()]
    health.brokers = [asdict(broker) for broker in found.brokers]
    health.figures = _figures(found, cluster_id)
    health.log_dirs = kept.log_dirs
    health.brokers_at = as_datetime(at)
    health.save(
        update_fields=[
            "known_brokers", "brokers", "figures", "log_dirs", "brokers_at", "counted_at", "verdict", "verdict_since",
        ]
    )  # fmt: skip
    _keep_canary(cluster, canary, at)
    kept.stored_at = health.brokers_at.timestamp()
    health_publish(cluster)


def _store_unreadable(run: Poll, kept: Kept, port: AdminPort, controllers: list[str], why: str) -> None:
    """The cluster does not answer: say what TCP tells, and that the rest is unknown."""
    addresses = {known.address for known in kept.memory.brokers.values() if known.port}
    refusals = dict(port.refusals(sorted(addresses | set(controllers)), Deadline.after(TCP_SECONDS)))
    readings = unreadable(kept.memory, refusals, {address: refusals.get(address, "") for address in controllers}, why)
    dead = _Canary(None, why) if refusals and all(refusals.values()) else None
    at = run.clock.now()
    with transaction.atomic():
        health = health_locked(run.cluster)
        signals_store(cluster=run.cluster, health=health, source=Source.BROKERS, readings=readings, at=at)
        _count_availability(run, health, at, Health.UNKNOWN, dead)
        for row in health.brokers:
            refusal = refusals.get(f"{row['host']}:{row['port']}")
            if refusal:
                row["up"], row["why_down"] = False, refusal
        health.save(update_fields=["brokers", "counted_at", "verdict", "verdict_since"])
        health_publish(run.cluster)


def _count_availability(run: Poll, health: ClusterHealth, at: float, offline: Health, canary: _Canary | None) -> None:
    """Good while no partition is offline and the canary is acknowledged; without a canary nothing can be told."""
    seconds = at - health.counted_at.timestamp() if health.counted_at else 0.0
    health.counted_at = as_datetime(at)
    if seconds <= 0:
        return
    unwatched = max(0.0, seconds - GAP_PERIODS * run.period_seconds)
    met: bool | None = None
    if canary is not None:
        met = canary.seconds is not None and offline is Health.OK
        if offline is Health.UNKNOWN and canary.seconds is not None:
            met = None
    if unwatched:
        slo_count(run.cluster, "availability", at, unwatched, None, None)
    slo_count(run.cluster, "availability", at, seconds - unwatched, met, None)


def _keep_canary(cluster: Cluster, canary: _Canary | None, at: float) -> None:
    if canary is None:
        CanaryResult.objects.filter(cluster=cluster).delete()
        return
    moment = as_datetime(at)
    values: dict[str, Any] = {"at": moment, "seconds": canary.seconds, "error": canary.error[:300]}
    if canary.seconds is not None:
        values["acknowledged_at"] = moment
    CanaryResult.objects.update_or_create(cluster=cluster, defaults=values)


def _figures(found: AdminFound, cluster_id: str | None) -> dict[str, Any]:
    replicas = sum(broker.replicas for broker in found.brokers)
    return {
        "cluster_id": cluster_id,
        "topics": len(found.topics),
        "partitions": found.partitions,
        "replicas": replicas,
        "in_sync": sum(broker.in_sync for broker in found.brokers),
        "brokers": len(found.brokers),
        "brokers_up": sum(broker.up for broker in found.brokers),
        "reassigning": sum(topic.reassigning for topic in found.topics.values()),
    }


def _directories(settings: Mapping[str, str | None]) -> list[str]:
    text = settings.get("log.dirs") or settings.get("log.dir") or ""
    return [part.strip() for part in text.split(",") if part.strip()]


def _min_in_sync(settings: Mapping[str, Mapping[str, str | None]]) -> dict[str, int]:
    found = {name: of.get("min.insync.replicas") for name, of in settings.items()}
    return {name: int(text) for name, text in found.items() if text and text.isdecimal()}
