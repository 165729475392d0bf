"""What happened to a cluster between two readings of its metadata, as events that a person reads. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from clusters.health.states import HealthEventKind
from clusters.ports import Metadata, PartitionMeta

NAMED = 5  # brokers, topics; the rest is "and more"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a cluster between two readings."""

    kind: HealthEventKind
    text: str
    broker: int | None = None
    topic: str | None = None
    count: int = 1


def changes(
    before: Mapping[str, tuple[PartitionMeta, ...]] | None, metadata: Metadata, *, moved_before: int, moving: int
) -> list[Event]:
    """What changed since the last reading of this worker, folded by broker; nothing where there was none.

    `moved_before` and `moving`: partitions under planned reassignment, then and now.
    """
    if before is None:
        return []
    events = [
        Event(HealthEventKind.TOPIC_CREATED, f"Topic {name} with {len(topic.partitions)} partitions.", topic=name)
        for name, topic in metadata.topics.items()
        if name not in before
    ]
    if not metadata.errors:
        events += [
            Event(HealthEventKind.TOPIC_DELETED, f"Topic {name} is gone.", topic=name)
            for name in before
            if name not in metadata.topics
        ]
    moved: dict[int, Counter[int]] = {}
    left, joined, offline, online = Counter[int](), Counter[int](), 0, 0
    for name, topic in metadata.topics.items():
        old = before.get(name)
        if old is None or old == topic.partitions:
            continue
        was = {one.partition: one for one in old}
        for one in topic.partitions:
            then = was.get(one.partition)
            if then is None or then == one:
                continue
            if then.leader is not None and one.leader is None:
                offline += 1
            elif then.leader is None and one.leader is not None:
                online += 1
            elif then.leader != one.leader and then.leader is not None and one.leader is not None:
                moved.setdefault(then.leader, Counter())[one.leader] += 1
            left.update(set(then.in_sync).difference(one.in_sync))
            joined.update(set(one.in_sync).difference(then.in_sync))
    for broker, to in sorted(moved.items()):
        where = ", ".join(str(target) for target, _ in to.most_common(NAMED))
        text = f"{to.total():,} partitions moved their leader from broker {broker} to {where}."
        events.append(Event(HealthEventKind.LEADERS_MOVED, text, broker, count=to.total()))
    events += [
        Event(
            HealthEventKind.ISR_SHRUNK,
            f"Broker {broker} fell out of sync in {count:,} partitions.",
            broker,
            count=count,
        )
        for broker, count in sorted(left.items())
    ]
    events += [
        Event(
            HealthEventKind.ISR_EXPANDED,
            f"Broker {broker} is in sync again in {count:,} partitions.",
            broker,
            count=count,
        )
        for broker, count in sorted(joined.items())
    ]
    if offline:
        events.append(
            Event(HealthEventKind.PARTITIONS_OFFLINE, f"{offline:,} partitions lost their leader.", count=offline)
        )
    if online:
        events.append(
            Event(HealthEventKind.PARTITIONS_ONLINE, f"{online:,} partitions have a leader again.", count=online)
        )
    if moving and not moved_before:
        events.append(
            Event(HealthEventKind.REASSIGNMENT_STARTED, f"{moving:,} partitions are being moved.", count=moving)
        )
    elif moved_before and not moving:
        events.append(Event(HealthEventKind.REASSIGNMENT_ENDED, "No partition is being moved any more."))
    return events
