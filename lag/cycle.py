"""One poll of a cluster between reading and storing."""

from dataclasses import dataclass, field

from accounts.ownership import Matcher
from clusters.ports import EntityError, TopicIdentity
from lag.compute.memory import GroupMemory
from lag.compute.types import GroupEvent, GroupReading, GroupResult


@dataclass(slots=True)
class Cycle:
    """One poll of a cluster, read and computed, not stored yet."""

    at: float  # when offsets were read
    readings: dict[str, GroupReading] = field(default_factory=dict)
    results: dict[str, GroupResult] = field(default_factory=dict)
    memories: dict[str, GroupMemory] = field(default_factory=dict)  # of groups that are new to this worker
    failed: dict[str, EntityError] = field(default_factory=dict)  # groups whose offsets were not read
    vanished: dict[str, tuple[GroupEvent, ...]] = field(default_factory=dict)
    whole_listing: bool = True
    identities: dict[str, TopicIdentity] = field(default_factory=dict)
    topic_partitions: dict[str, int] = field(default_factory=dict)  # every topic of the cluster; empty = not asked
    errors: list[EntityError] = field(default_factory=list)
    owners: Matcher = field(default_factory=lambda: Matcher.of(()))
    topic_owners: Matcher = field(default_factory=lambda: Matcher.of(()))
