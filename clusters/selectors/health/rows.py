"""What the health of a cluster is told in: signals, brokers, sources, the whole, and a line of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clusters.health.states import Health, Source
from clusters.signals import Signal

RUNBOOK = "/docs/health#{signal}"


@dataclass(frozen=True, slots=True)
class PartRow:
    """One entity of a signal: `broker 2`, a listener, a disk."""

    entity: str
    state: Health
    value: float | None


@dataclass(frozen=True, slots=True)
class OneSource:
    """What one of a signal's sources says by itself."""

    source: Source
    state: Health
    reason: str
    value: float | None
    query: str
    observed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal as it stands. `value` is of the worst `entity` ('' = the cluster); `since` = in this state."""

    cluster: str
    signal: Signal
    state: Health
    reason: str
    value: float | None
    entity: str
    query: str  # PromQL, or what is read through the admin API
    sources: tuple[Source, ...]
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool
    since: datetime | None
    runbook: str
    parts: tuple[PartRow, ...] = ()
    seen: tuple[OneSource, ...] = ()

    @property
    def id(self) -> str:
        return self.signal.id


@dataclass(frozen=True, slots=True)
class BrokerRow:
    """A broker. Figures of Prometheus are None where it is not set, stale, or does not tell which broker they are of.

    Rates are per second; `cpu_cores` = processors in use; `idle` = share of time that request handlers are idle; skews are
    shares of the mean; `disk_*` of the fullest disk that holds its logs, `disk_hours` None = does not grow or not known.
    """

    id: int
    host: str
    port: int
    rack: str | None
    state: Health
    why_down: str
    down_since: datetime | None
    controller: bool
    leaders: int
    replicas: int
    in_sync: int
    leader_skew: float | None
    replica_skew: float | None
    version: str | None = None
    started_at: datetime | None = None
    idle: float | None = None
    cpu_cores: float | None = None
    memory_bytes: float | None = None
    heap_bytes: float | None = None
    bytes_in_rate: float | None = None
    bytes_out_rate: float | None = None
    records_in_rate: float | None = None
    received_rate: float | None = None
    sent_rate: float | None = None
    log_bytes: float | None = None
    disk_mount: str | None = None
    disk_bytes: float | None = None
    disk_free_bytes: float | None = None
    disk_free_ratio: float | None = None
    disk_growth_per_hour: float | None = None
    disk_hours: float | None = None
    isr_shrink_rate: float | None = None
    isr_expand_rate: float | None = None
    log_dirs: tuple[str, ...] = ()

    @property
    def out_of_sync(self) -> int:
        return self.replicas - self.in_sync


@dataclass(frozen=True, slots=True)
class SourceAge:
    """How fresh one source of the cluster's health is. `configured` is '' or why it has nothing to say."""

    source: Source
    configured: str
    observed_at: datetime | None
    age_seconds: float | None
    period_seconds: float
    stale: bool
    error: str


@dataclass(frozen=True, slots=True)
class HealthView:
    """The health of one cluster. The dictionaries are those of `clusters.health.performance.performance_of`;
    they are empty while Prometheus is stale or not set."""

    cluster: str
    cluster_id: int
    verdict: Health
    verdict_since: datetime | None
    reasons: tuple[str, ...]
    counts: Mapping[Health, int]
    signals: tuple[SignalRow, ...]
    brokers: tuple[BrokerRow, ...]
    figures: Mapping[str, Any]  # topics, partitions, replicas, in_sync, brokers, brokers_up, reassigning, cluster_id
    sources: tuple[SourceAge, ...]
    exporter: str  # dialect in words, '' while it is not known
    controller: int | None
    controllers: tuple[str, ...]  # addresses of the inventory
    throughput: Mapping[str, float | None] = field(default_factory=dict)
    latency: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    phases: Mapping[str, float | None] = field(default_factory=dict)
    isr: Mapping[str, float | None] = field(default_factory=dict)
    quorum: Mapping[str, int | None] = field(default_factory=dict)
    rest: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def bad(self) -> tuple[SignalRow, ...]:
        """Critical, then warning, then unknown signals."""
        worst_first = sorted(self.signals, key=lambda row: -row.state.rank)
        return tuple(row for row in worst_first if row.state is not Health.OK)


@dataclass(frozen=True, slots=True)
class ClusterVerdict:
    """One line of the list of clusters."""

    cluster: str
    cluster_id: int
    verdict: Health
    verdict_since: datetime | None
    reasons: tuple[str, ...]
    counts: Mapping[Health, int]
    brokers: int | None
    brokers_up: int | None
    partitions: int | None
    observed_at: datetime | None
    age_seconds: float | None
    stale: bool
    under_replicated: float | None = None  # partitions; None while that cannot be told
