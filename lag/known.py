"""What a poll worker remembers of a cluster between polls. PostgreSQL is the truth; this is a cache of one version of it."""

import threading
from dataclasses import dataclass, field

from clusters.ports import CommittedOffsets, GroupState, GroupType
from lag.compute.log import ClusterLog
from lag.compute.memory import GroupMemory
from lag.compute.slo import Standing
from lag.compute.types import TopicResult
from lag.verdicts import Verdict


@dataclass(slots=True)
class KnownSeries:
    """What was stored last of a group on one topic. The results are kept to see at once that nothing has moved."""

    row: int | None = None  # hash of the stored row
    row_of: TopicResult | None = None
    sample: int | None = None  # hash of the newest sample; None = none in this hour, or since a gap
    sample_of: TopicResult | None = None
    members: int | None = None  # in the newest sample


@dataclass(slots=True)
class KnownGroup:
    """A group as stored, with what bears on the next reading."""

    id: int
    memory: GroupMemory
    meta: tuple[object, ...] = ()  # stored columns that are not part of the computed summary
    topics: dict[int, KnownSeries] = field(default_factory=dict)  # by topic row id
    sample: int | None = None  # hash of the newest sample of the whole group; None as in `KnownSeries`
    described_state: GroupState | None = None
    described_type: GroupType | None = None
    refused: CommittedOffsets | None = None  # the refusal, asked again only after `refused_until`
    refused_until: float = 0.0
    stored_at: float = 0.0  # when its memory was last stored, and with which verdict
    stored_verdict: Verdict | None = None
    missing: tuple[float, float] | None = None  # (last listed, first whole listing without it)


@dataclass(slots=True)
class KnownTopic:
    """A topic row. `knots_at` = when its knots were last stored."""

    id: int
    topic_id: str | None
    partitions: int = 0
    cleanup_policy: str = ""
    timestamp_type: str = ""
    client_id: int | None = None
    conflict: bool = False  # claimed by two clients, and a finding says so
    produce_rate: float | None = None
    knots_at: float = 0.0


@dataclass(slots=True)
class Known:
    """One cluster as this process knows it. `version` -1 = nothing loaded yet. One poll at a time holds `lock`."""

    cluster_id: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    version: int = -1
    ahead: bool = False  # readings went into `log` or memories that are not stored yet
    observed_at: float | None = None
    groups: dict[str, KnownGroup] = field(default_factory=dict)
    topics: dict[str, KnownTopic] = field(default_factory=dict)
    log: ClusterLog = field(default_factory=ClusterLog)
    identified: dict[str, float] = field(default_factory=dict)  # when a topic's identity was last asked for
    unsaved_topics: set[str] = field(default_factory=set)  # knots moved since they were stored
    unsaved_groups: set[int] = field(default_factory=set)  # memories likewise, by group id
    unmeasured: frozenset[str] = frozenset()
    unmeasured_at: float = 0.0
    metadata_at: float = 0.0
    metadata_topics: dict[str, int] = field(default_factory=dict)  # partitions by topic name
    groups_hidden: bool = False  # a partition of the offsets topic has no leader: no broker lists its groups
    describe_from: str = ""  # round-robin position, a group name
    sampled_hour: int = -1
    standings: dict[tuple[int, int], Standing] = field(default_factory=dict)  # (SLO, group)
    standings_stored: dict[tuple[int, int], float] = field(default_factory=dict)
    standings_of: tuple[object, ...] = ()  # version and SLOs that `standings` were loaded for
    gaps: set[int] = field(default_factory=set)  # group ids whose history has an open gap

    def forget(self) -> None:
        """Nothing here can be trusted any more: the next poll loads everything."""
        fresh = Known(self.cluster_id, self.lock)
        for name in self.__slots__:
            if name != "lock":
                setattr(self, name, getattr(fresh, name))


_known: dict[int, Known] = {}
_guard = threading.Lock()


def known_cluster(cluster_id: int) -> Known:
    """This process's memory of the cluster."""
    with _guard:
        return _known.setdefault(cluster_id, Known(cluster_id))
