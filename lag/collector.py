"""One poll of consumer lag: ask Kafka through the port, compute, store. Only `poll` is for others.

Order matters: committed offsets of every group come before the ends they are held against, so lag is never negative by
reading order. Whatever fails belongs to its group, topic or partition; only the cluster as a whole raises GatewayFailed.
"""

import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from clusters.models import Cluster
from clusters.ports import (
    CommittedOffsets,
    EntityError,
    FoundOffsets,
    GroupDescription,
    GroupListing,
    GroupState,
    GroupType,
    KafkaPort,
    OffsetSpec,
    Partition,
    TopicIdentity,
)
from lag.compute.group import assess_group, group_vanished
from lag.compute.memory import GroupMemory
from lag.compute.seconds import LookUps
from lag.compute.types import GroupReading, LagSettings
from lag.cycle import Cycle
from lag.known import Known, KnownGroup, known_cluster
from lag.selectors.settings import LagRules, rules_of
from lag.services import state
from ops_portal.lib.clock import Clock
from ops_portal.lib.memory import give_back
from ops_portal.lib.resilience import Deadline, DeadlinePassed

logger = logging.getLogger(__name__)

METADATA_SECONDS = 15.0
IDENTITY_SECONDS = 300.0  # every topic's identity is read again about this often
IDENTITIES_PER_POLL = 200
DESCRIBE_ALL_GROUPS = 200  # up to so many live groups are described in every poll
DESCRIBE_SHARE = 0.025  # of all groups per poll above that
UNMEASURED_SECONDS = 60.0
REFUSED_SECONDS = 300.0  # a group we may not read is not asked for again sooner
LOOK_UPS = 2000  # timestamp questions per poll
LOOK_UP_SHARE = 0.4  # of the time that is left may go into them

VANISH_SECONDS = 20.0  # a coordinator that moves leaves its groups out of the listing until it has loaded them
OFFSETS_TOPIC = "__consumer_offsets"

MEMBERLESS = frozenset({GroupState.EMPTY, GroupState.DEAD})


class PollRunning(Exception):
    """The previous poll of this cluster still runs in this process."""


@dataclass(slots=True)
class PollReport:
    """What one poll did: for the run's row and the status page."""

    errors: list[EntityError] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)


def poll(*, cluster: Cluster, period: float, port: KafkaPort, clock: Clock, deadline: Deadline) -> PollReport:
    """Poll one cluster and store what was found. Raises GatewayFailed, DeadlinePassed, PollRunning or state.Overtaken."""
    known = known_cluster(cluster.pk)
    if not known.lock.acquire(timeout=min(0.5, deadline.remaining())):
        raise PollRunning("the previous poll of this cluster still runs")
    try:
        return _poll(known, cluster, period, port, clock, deadline)
    except BaseException:
        if known.ahead:
            known.forget()
        raise
    finally:
        known.lock.release()
        give_back()  # a large answer and what was made of it leave a tenth of the worker's memory behind


def _poll(
    known: Known, cluster: Cluster, period: float, port: KafkaPort, clock: Clock, deadline: Deadline
) -> PollReport:
    watch = _Watch()
    state.known_refresh(known)
    rules = rules_of(cluster, period)
    watch.lap("load")
    cycle = _read(known, rules, port, clock, deadline, watch)
    _compute(known, cycle, rules, port, clock, deadline, watch)
    stored = state.cycle_store(cluster=cluster, known=known, cycle=cycle)
    known.ahead = False
    watch.lap("store")
    return PollReport(cycle.errors, {**watch.seconds, **_counts(known, cycle, stored)})


def _counts(known: Known, cycle: Cycle, stored: state.Stored) -> dict[str, float]:
    return {
        "groups": len(cycle.readings),
        "partitions": len(known.log.partitions),
        "committed": sum(len(r.committed.offsets) for r in cycle.readings.values() if r.committed is not None),
        "written": stored.groups,
        "written_topics": stored.group_topics,
        "events": stored.events,
        "history_bytes": stored.history_bytes,
    }


# --- reading -------------------------------------------------------------------------------------------------------------
def _read(known: Known, rules: LagRules, port: KafkaPort, clock: Clock, deadline: Deadline, watch: "_Watch") -> Cycle:
    cycle = Cycle(at=clock.now(), owners=rules.group_owners, topic_owners=rules.topic_owners)
    if clock.now() - known.metadata_at >= METADATA_SECONDS:
        _read_metadata(known, cycle, rules, port, clock, deadline)
    listings = port.list_groups(deadline)
    cycle.errors += listings.errors
    cycle.whole_listing = not listings.errors and not known.groups_hidden
    groups = {name: listing for name, listing in listings.groups.items() if rules.group_allowed(name)}
    watch.lap("list")
    described = _describe(known, groups, port, clock, deadline)
    watch.lap("describe")
    committed = _read_committed(known, groups, port, clock, deadline)
    _drop_unwanted(known, cycle, rules, committed, port, clock, deadline)
    watch.lap("commits")
    for name, listing in groups.items():
        cycle.readings[name] = GroupReading(listing, committed.get(name), described.get(name))
        answer = committed.get(name)
        if answer is not None and answer.error is not None:
            cycle.failed[name] = answer.error
            cycle.errors.append(answer.error)
    cycle.errors += [found.error for found in described.values() if found.error is not None]
    _read_unmeasured(known, cycle, rules, groups, port, clock, deadline)
    _keep_missing(known, cycle, rules)
    _read_offsets(known, cycle, rules, port, clock, deadline)
    watch.lap("offsets")
    cycle.at = clock.now()
    return cycle


def _read_metadata(
    known: Known, cycle: Cycle, rules: LagRules, port: KafkaPort, clock: Clock, deadline: Deadline
) -> None:
    metadata = port.metadata(deadline)
    known.metadata_at = clock.now()
    known.metadata_topics = {
        name: len(topic.partitions) for name, topic in metadata.topics.items() if rules.topic_allowed(name)
    }
    offsets_topic = metadata.topics.get(OFFSETS_TOPIC)
    known.groups_hidden = offsets_topic is not None and any(part.leader is None for part in offsets_topic.partitions)
    if not metadata.errors:
        cycle.topic_partitions = {
            name: count for name, count in known.metadata_topics.items() if not name.startswith("__")
        }
        known.log.forget([name for name in known.topics if name not in metadata.topics])


def _describe(
    known: Known, groups: dict[str, GroupListing], port: KafkaPort, clock: Clock, deadline: Deadline
) -> dict[str, GroupDescription]:
    """Members of the groups whose turn it is: those that changed state or type at once, the others round-robin."""
    live = sorted(name for name, listing in groups.items() if listing.state not in MEMBERLESS)
    wanted = set(live)
    if len(live) > DESCRIBE_ALL_GROUPS:
        most = max(1, int(DESCRIBE_SHARE * len(groups)))
        changed = [name for name in live if _state_changed(known.groups.get(name), groups[name])]
        wanted = set(changed[:most])
        turn = [name for name in live if name > known.describe_from] + [
            name for name in live if name <= known.describe_from
        ]
        for name in turn[: most - len(wanted)]:
            wanted.add(name)
            known.describe_from = name
    found = dict(port.describe_groups(wanted, deadline)) if wanted else {}
    for name, description in found.items():
        group = known.groups.get(name)
        if group is not None and description.error is None:
            group.described_state, group.described_type = groups[name].state, groups[name].type
    return found


def _state_changed(group: KnownGroup | None, listing: GroupListing) -> bool:
    return group is None or group.described_state != listing.state or group.described_type != listing.type


def _read_committed(
    known: Known, groups: Collection[str], port: KafkaPort, clock: Clock, deadline: Deadline
) -> dict[str, CommittedOffsets]:
    now = clock.now()
    refused = {
        name: group.refused
        for name in groups
        if (group := known.groups.get(name)) is not None and group.refused is not None and now < group.refused_until
    }
    found = {**port.committed([name for name in groups if name not in refused], deadline), **refused}
    for name, answer in found.items():
        group = known.groups.get(name)
        if group is None or name in refused:
            continue
        if answer.error is not None and answer.error.code == "not_allowed":
            group.refused, group.refused_until = answer, now + REFUSED_SECONDS
        else:
            group.refused = None
    return found


def _drop_unwanted(
    known: Known,
    cycle: Cycle,
    rules: LagRules,
    committed: dict[str, CommittedOffsets],
    port: KafkaPort,
    clock: Clock,
    deadline: Deadline,
) -> None:
    """Leave out commits on topics that are filtered or do not exist any more: Kafka keeps those for days."""
    topics = {topic for answer in committed.values() for topic, _ in answer.offsets}
    filtered = {topic for topic in topics if not rules.topic_allowed(topic)}
    if topics - filtered - known.metadata_topics.keys():
        _read_metadata(known, cycle, rules, port, clock, deadline)
    absent = topics - known.metadata_topics.keys()
    if not absent:
        return
    for name, answer in committed.items():
        if not absent.isdisjoint(topic for topic, _ in answer.offsets):
            kept = {partition: offset for partition, offset in answer.offsets.items() if partition[0] not in absent}
            committed[name] = CommittedOffsets(name, kept, answer.read_at, answer.error)


def _read_unmeasured(
    known: Known,
    cycle: Cycle,
    rules: LagRules,
    groups: Collection[str],
    port: KafkaPort,
    clock: Clock,
    deadline: Deadline,
) -> None:
    """Share and streams groups are listed at most once a minute; a failure there keeps the old list."""
    if clock.now() - known.unmeasured_at >= UNMEASURED_SECONDS:
        known.unmeasured_at = clock.now()
        try:
            known.unmeasured = port.unmeasured_groups(set(groups), deadline)
        except DeadlinePassed:
            raise
        except Exception as error:  # noqa: BLE001  # a side question must not cost the poll
            logger.warning("Unmeasured groups of cluster %s could not be listed: %s", known.cluster_id, error)
    for name in known.unmeasured:
        if name not in cycle.readings and rules.group_allowed(name):
            listing = GroupListing(name, GroupType.UNMEASURED, GroupState.UNKNOWN)
            cycle.readings[name] = GroupReading(listing, None)


def _keep_missing(known: Known, cycle: Cycle, rules: LagRules) -> None:
    """Groups that the listing lacks fail in this poll. Only whole listings over `VANISH_SECONDS` make a group vanish."""
    for name, group in known.groups.items():
        if name in cycle.readings:
            group.missing = None
            continue
        if not rules.group_allowed(name) or not group.meta or group.meta[0] == GroupType.UNMEASURED:
            continue
        if cycle.whole_listing:
            group.missing = group.missing or (group.memory.listed_at, cycle.at)
            if cycle.at - group.missing[1] >= VANISH_SECONDS:
                group.memory.listed_at = group.missing[0]
                continue
        listing = GroupListing(name, GroupType(str(group.meta[0])), group.memory.state or GroupState.UNKNOWN)
        error = EntityError(f"group:{name}", "not_listed", "No broker lists this group now.")
        cycle.readings[name] = GroupReading(listing, CommittedOffsets(name, {}, cycle.at, error))
        cycle.failed[name] = error


def _read_offsets(
    known: Known, cycle: Cycle, rules: LagRules, port: KafkaPort, clock: Clock, deadline: Deadline
) -> None:
    wanted: set[Partition] = set()
    stable_wanted: set[Partition] = set()
    for name, reading in cycle.readings.items():
        group = known.groups.get(name)
        assigned = _assigned(group, reading)
        held = _held(group, reading)
        wanted.update(held)
        wanted.update(assigned)
        if rules.settings_of(name).read_committed:
            stable_wanted.update(held)
            stable_wanted.update(assigned)
    wanted = {partition for partition in wanted if partition[1] < known.metadata_topics.get(partition[0], 0)}
    ends = port.offsets(wanted, OffsetSpec.END, deadline)
    cycle.identities = _read_identities(known, wanted, ends, port, clock, deadline)
    stable = port.offsets(stable_wanted & wanted, OffsetSpec.STABLE, deadline) if stable_wanted else None
    starts = port.offsets(wanted, OffsetSpec.START, deadline)
    answers = (ends, starts, *([stable] if stable else []))
    for answer in answers:
        cycle.errors += answer.errors
    if any(answer.errors for answer in answers):
        known.metadata_at = 0.0  # a broker may be gone: begin the next poll with fresh metadata
    if cycle.whole_listing:
        known.log.forget({topic for topic, _ in known.log.partitions} - {topic for topic, _ in wanted})
    known.ahead = True
    known.log.observe(starts, ends, stable, cycle.identities)


def _held(group: KnownGroup | None, reading: GroupReading) -> Collection[Partition]:
    """Partitions with a commit; those of the last good reading when this one failed, so that their knots stay."""
    if reading.committed is not None and reading.committed.error is None:
        return reading.committed.offsets.keys()
    return group.memory.parts.keys() if group is not None else ()


def _assigned(group: KnownGroup | None, reading: GroupReading) -> Iterable[Partition]:
    """Partitions that members hold, as last described: those without a commit are measured too."""
    if reading.description is not None and reading.description.error is None:
        return [partition for member in reading.description.members for partition in member.partitions]
    if group is None or reading.listing.state in MEMBERLESS:
        return ()
    return group.memory.assignment.keys()


def _read_identities(
    known: Known, wanted: Collection[Partition], ends: FoundOffsets, port: KafkaPort, clock: Clock, deadline: Deadline
) -> dict[str, TopicIdentity]:
    """Identities of new topics and of those whose log went back (re-created?) at once, of the others now and then."""
    now, logs = clock.now(), known.log.partitions
    shrunk = {
        partition[0]
        for partition, found in ends.offsets.items()
        if (log := logs.get(partition)) is not None and log.end is not None and found.offset < log.end
    }
    topics = {topic for topic, _ in wanted}
    due = [name for name in topics if now - known.identified.get(name, 0.0) >= IDENTITY_SECONDS]
    due.sort(key=lambda name: known.identified.get(name, 0.0))
    asked = shrunk | set(due[:IDENTITIES_PER_POLL])
    if not asked:
        return {}
    found, _ = port.topic_identities(asked, deadline)
    for name in asked:  # also what failed: a topic we may not describe is not asked in every poll
        known.identified[name] = now
    return dict(found)


# --- computing -------------------------------------------------------------------------------------------------------------
def _compute(
    known: Known, cycle: Cycle, rules: LagRules, port: KafkaPort, clock: Clock, deadline: Deadline, watch: "_Watch"
) -> None:
    settings: dict[str, LagSettings] = {}
    for name in cycle.readings:
        settings[name] = rules.settings_of(name)
        group = known.groups.get(name)
        cycle.memories[name] = group.memory if group is not None else GroupMemory(name)
    _look_up(known, cycle, settings, port, deadline)
    watch.lap("look_ups")
    for name, reading in cycle.readings.items():
        cycle.results[name] = assess_group(
            cycle.memories[name], reading, known.log, settings[name], cycle.at, listed_before=known.observed_at
        )
    for name in known.groups.keys() - cycle.readings.keys():
        cycle.vanished[name] = (group_vanished(known.groups[name].memory, cycle.at),)
    watch.lap("compute")


def _look_up(known: Known, cycle: Cycle, settings: dict[str, LagSettings], port: KafkaPort, deadline: Deadline) -> None:
    look_ups = LookUps(known.log, cycle.at, LOOK_UPS)
    for name, reading in cycle.readings.items():
        offsets = reading.committed.offsets if reading.committed is not None else None
        look_ups.want(cycle.memories[name], offsets, settings[name])
    within = Deadline.after(deadline.remaining() * LOOK_UP_SHARE)
    while (questions := look_ups.next_round()) and within.remaining() > 0.05:
        try:
            answer = port.offsets_at(questions, within)
        except DeadlinePassed:
            return
        cycle.errors += answer.errors
        look_ups.learn(questions, answer)


@dataclass(slots=True)
class _Watch:
    """Seconds per stage of a poll."""

    seconds: dict[str, float] = field(default_factory=dict)
    _from: float = field(default_factory=time.monotonic)

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[f"{stage}_seconds"] = round(now - self._from, 4)
        self._from = now
