"""What Kafka's metadata says of the health of a cluster. Pure: one pass over all partitions.

A broker is down when it holds replicas, or was seen within ten minutes, and the metadata does not name it, or when it takes
no TCP connection. A partition is under planned reassignment when it has more replicas than its topic usually has and at
least as many of them in sync.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from clusters.health.events import NAMED, Event, changes
from clusters.health.judge import CLUSTER, Reading
from clusters.health.states import HealthEventKind
from clusters.ports import Metadata, PartitionMeta

FORGET_SECONDS = 600.0  # a broker without replicas that left was taken out of service


@dataclass(slots=True)
class KnownBroker:
    """A broker as it was last named by the metadata."""

    id: int
    host: str
    port: int
    rack: str | None
    seen_at: float
    down_since: float | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(slots=True)
class AdminMemory:
    """What is remembered between readings: `partitions` and `usual` (replicas per topic) only within one worker."""

    brokers: dict[int, KnownBroker] = field(default_factory=dict)
    usual: dict[str, int] = field(default_factory=dict)
    topics: dict[str, tuple[PartitionMeta, ...]] | None = None
    reassigning: int = 0


@dataclass(frozen=True, slots=True)
class BrokerCounts:
    """A broker as the metadata shows it. Skews are shares of the mean of all brokers: 0.1 = a tenth more than it."""

    id: int
    host: str
    port: int
    rack: str | None
    up: bool
    why_down: str
    down_since: float | None
    leaders: int
    replicas: int
    in_sync: int
    leader_skew: float | None
    replica_skew: float | None


@dataclass(frozen=True, slots=True)
class TopicCounts:
    """A topic as the metadata shows it."""

    topic: str
    partitions: tuple[PartitionMeta, ...]
    replication: int
    min_in_sync: int | None
    under_replicated: int
    under_min: int
    at_min: int
    offline: int
    reassigning: int


@dataclass(frozen=True, slots=True)
class AdminFound:
    """One reading of the metadata, understood."""

    readings: dict[str, Reading]
    brokers: tuple[BrokerCounts, ...]
    topics: dict[str, TopicCounts]
    events: tuple[Event, ...]
    partitions: int


def understood(
    metadata: Metadata,
    memory: AdminMemory,
    *,
    racks: Mapping[int, str | None],
    min_in_sync: Mapping[str, int],
    refusals: Mapping[str, str],
    controllers: Mapping[str, str],
    now: float,
) -> AdminFound:
    """What the metadata means; brings `memory` up to date.

    `refusals` and `controllers`: address -> why it takes no connection, '' where it does. `min_in_sync`: by topic, where known.
    """
    alive = {broker.id: broker for broker in metadata.brokers}
    reachable = _reachable(
        controllers or {f"{b.host}:{b.port}": refusals.get(f"{b.host}:{b.port}", "") for b in metadata.brokers},
        of_brokers=not controllers,
    )
    topics, tally = _topics(metadata, memory, min_in_sync)
    events = _remember_brokers(metadata, memory, racks, refusals, tally.replicas, now)
    down = {known.id: known for known in memory.brokers.values() if known.down_since is not None}
    brokers = _brokers(memory, tally, refusals, alive)
    moving = sum(topic.reassigning for topic in topics.values())
    events += changes(memory.topics, metadata, moved_before=memory.reassigning, moving=moving)
    memory.topics = {name: topic.partitions for name, topic in metadata.topics.items()}
    memory.reassigning = moving
    readings = {
        "brokers_down": brokers_down(memory, refusals),
        "quorum_reachable": reachable,
        **_partition_readings(topics, tally, down),
        "leader_skew": Reading(
            {f"broker {one.id}": one.leader_skew for one in brokers if one.leader_skew is not None and one.up},
            missing="" if any(one.leader_skew is not None for one in brokers) else "The cluster has no partitions.",
        ),
    }
    return AdminFound(readings, brokers, topics, tuple(events), tally.partitions)


def brokers_down(memory: AdminMemory, refusals: Mapping[str, str]) -> Reading:
    """How many of the known brokers are down, and which."""
    down = [one for one in memory.brokers.values() if one.down_since is not None or refusals.get(one.address)]
    named = ", ".join(f"{one.id} ({one.address})" for one in down[:NAMED])
    more = f" and {len(down) - NAMED} more" if len(down) > NAMED else ""
    word = "Brokers" if len(down) > 1 else "Broker"
    if not memory.brokers:
        return Reading(missing="No broker of the cluster is known yet.")
    return Reading(
        {CLUSTER: float(len(down))}, note=f"{word} {named}{more}." if down else f"All {len(memory.brokers)} are up."
    )


def unreadable(
    memory: AdminMemory, refusals: Mapping[str, str], controllers: Mapping[str, str], why: str
) -> dict[str, Reading]:
    """The readings while the metadata cannot be read: what TCP alone tells, the rest is missing for the reason `why`."""
    asked = controllers or {one.address: refusals.get(one.address, "") for one in memory.brokers.values()}
    readings = {
        name: Reading(missing=why)
        for name in ("under_replicated", "under_min_isr", "at_min_isr", "offline_partitions", "leader_skew")
    }
    readings["brokers_down"] = brokers_down(memory, refusals) if any(refusals.values()) else Reading(missing=why)
    readings["quorum_reachable"] = _reachable(asked, of_brokers=not controllers)
    return readings


# --- partitions ----------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Tally:
    leaders: Counter[int] = field(default_factory=Counter)
    replicas: Counter[int] = field(default_factory=Counter)
    in_sync: Counter[int] = field(default_factory=Counter)
    lagging: Counter[int] = field(default_factory=Counter)  # broker -> partitions of which its replica is out of sync
    under_min: Counter[int] = field(default_factory=Counter)
    held_offline: Counter[int] = field(default_factory=Counter)
    partitions: int = 0
    unknown_min: int = 0


def _topics(
    metadata: Metadata, memory: AdminMemory, min_in_sync: Mapping[str, int]
) -> tuple[dict[str, TopicCounts], _Tally]:
    tally, found = _Tally(), {}
    for name, topic in metadata.topics.items():
        widths = Counter(len(one.replicas) for one in topic.partitions)
        usual = memory.usual.get(name) or (widths.most_common(1)[0][0] if widths else 0)
        minimum = min_in_sync.get(name)
        under = under_min = at_min = offline = moving = settled = 0
        for one in topic.partitions:
            tally.partitions += 1
            tally.replicas.update(one.replicas)
            tally.in_sync.update(one.in_sync)
            count, width = len(one.in_sync), len(one.replicas)
            settled += count == width
            if one.leader is None:
                offline += 1
                tally.held_offline.update(one.replicas)
                continue
            tally.leaders[one.leader] += 1
            if width > usual and count >= usual:
                moving += 1
            elif count < width:
                under += 1
                tally.lagging.update(set(one.replicas).difference(one.in_sync))
            if minimum is None:
                tally.unknown_min += 1
            elif count < minimum:
                under_min += 1
                tally.under_min.update(set(one.replicas).difference(one.in_sync))
            elif count == minimum < width:
                at_min += 1
        if settled == len(topic.partitions) and len(widths) == 1:
            usual = next(iter(widths))
        memory.usual[name] = usual
        found[name] = TopicCounts(name, topic.partitions, usual, minimum, under, under_min, at_min, offline, moving)
    if len(memory.usual) > len(found):
        memory.usual = {name: memory.usual[name] for name in found}
    return found, tally


def _partition_readings(
    topics: dict[str, TopicCounts], tally: _Tally, down: Mapping[int, KnownBroker]
) -> dict[str, Reading]:
    totals = {
        name: sum(getattr(topic, name) for topic in topics.values())
        for name in ("under_replicated", "under_min", "at_min", "offline", "reassigning")
    }
    moving = f" {totals['reassigning']} under planned reassignment are not counted." if totals["reassigning"] else ""
    no_minimum = "The portal's Kafka user may not read min.insync.replicas of the topics (docs/kafka-permissions.md)."
    blind = tally.unknown_min == tally.partitions and tally.partitions > 0

    def counted(total: int, note: str) -> Reading:
        return Reading(missing=no_minimum) if blind else Reading({CLUSTER: float(total)}, note=note)

    return {
        "under_replicated": Reading(
            {CLUSTER: float(totals["under_replicated"])},
            note=(_held_by(tally.lagging, down, "lags in") if totals["under_replicated"] else "") + moving,
        ),
        "under_min_isr": counted(
            totals["under_min"], _held_by(tally.under_min, down, "is missing in") if totals["under_min"] else ""
        ),
        "at_min_isr": counted(totals["at_min"], ""),
        "offline_partitions": Reading(
            {CLUSTER: float(totals["offline"])},
            note=(_held_by(tally.held_offline, down, "holds") + " " + _worst_topics(topics))
            if totals["offline"]
            else "",
        ),
    }


def _held_by(counts: Counter[int], down: Mapping[int, KnownBroker], verb: str) -> str:
    """`Broker 2 (down) lags in 12.`"""
    parts = [
        f"Broker {broker}{' (down)' if broker in down else ''} {verb} {count:,}"
        for broker, count in counts.most_common(NAMED)
    ]
    return ", ".join(parts) + "." if parts else ""


def _worst_topics(topics: dict[str, TopicCounts]) -> str:
    bad = sorted((topic for topic in topics.values() if topic.offline), key=lambda topic: (-topic.offline, topic.topic))
    named = ", ".join(f"{topic.topic} ({topic.offline})" for topic in bad[:NAMED])
    return f"Topics: {named}{' and more' if len(bad) > NAMED else ''}."


# --- brokers -------------------------------------------------------------------------------------------------------------
def _remember_brokers(
    metadata: Metadata,
    memory: AdminMemory,
    racks: Mapping[int, str | None],
    refusals: Mapping[str, str],
    replicas: Counter[int],
    now: float,
) -> list[Event]:
    events = []
    for broker in metadata.brokers:
        known = memory.brokers.get(broker.id)
        rack = racks.get(broker.id, known.rack if known else broker.rack)
        if known is None:
            memory.brokers[broker.id] = KnownBroker(broker.id, broker.host, broker.port, rack, now)
            continue
        known.host, known.port, known.rack, known.seen_at = broker.host, broker.port, rack, now
    named = {broker.id for broker in metadata.brokers}
    for broker_id in replicas:
        if broker_id not in memory.brokers:
            memory.brokers[broker_id] = KnownBroker(broker_id, "?", 0, None, now)
    for known in sorted(memory.brokers.values(), key=lambda one: one.id):
        gone = known.id not in named
        refusal = refusals.get(known.address, "")
        if gone and not replicas[known.id] and now - known.seen_at > FORGET_SECONDS:
            del memory.brokers[known.id]
        elif (gone or refusal) and known.down_since is None:
            known.down_since = now
            why = refusal or "it is not in the cluster's metadata"
            events.append(Event(HealthEventKind.BROKER_DOWN, f"Broker {known.id} is down: {why}.", known.id))
        elif not gone and not refusal and known.down_since is not None:
            seconds = now - known.down_since
            known.down_since = None
            events.append(
                Event(HealthEventKind.BROKER_UP, f"Broker {known.id} is back after {seconds:.0f} s.", known.id)
            )
    return events


def _brokers(
    memory: AdminMemory, tally: _Tally, refusals: Mapping[str, str], alive: Mapping[int, object]
) -> tuple[BrokerCounts, ...]:
    count = max(1, len(memory.brokers))
    leaders, replicas = tally.leaders.total() / count, tally.replicas.total() / count
    rows = []
    for known in sorted(memory.brokers.values(), key=lambda one: one.id):
        refusal = refusals.get(known.address, "")
        why = refusal or ("" if known.id in alive else "it is not in the cluster's metadata")
        rows.append(
            BrokerCounts(
                known.id, known.host, known.port, known.rack, not why, why, known.down_since,
                tally.leaders[known.id], tally.replicas[known.id], tally.in_sync[known.id],
                tally.leaders[known.id] / leaders - 1 if leaders else None,
                tally.replicas[known.id] / replicas - 1 if replicas else None,
            )
        )  # fmt: skip
    return tuple(rows)


def _reachable(asked: Mapping[str, str], *, of_brokers: bool) -> Reading:
    if not asked:
        return Reading(missing="Neither controllers nor brokers of the cluster are known.")
    bad = [why for why in asked.values() if why]
    what = "brokers that the metadata names, as no controllers are configured" if of_brokers else "controllers"
    note = f"{len(asked) - len(bad)} of {len(asked)} {what}.{' ' + '; '.join(bad[:NAMED]) + '.' if bad else ''}"
    return Reading({CLUSTER: (len(asked) - len(bad)) / len(asked)}, note=note)
