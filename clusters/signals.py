"""Every health signal of a cluster: what is read, from where, and from which value on it is bad. Pure.

This is the one place: the poll, the page, the API, the findings and docs/health.md follow from it. Thresholds are of the
signal's unit. A query is a template of PromQL whose `$names` are filled for the exporter's dialect (`clusters.promql`,
`clusters.health.names`); `admin` says what is read through Kafka's admin API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from clusters.health_states import Area, Scope, Source
from clusters.promql import Dialect


class Bad(StrEnum):
    """On which side of its thresholds a value is bad; at the threshold it is."""

    ABOVE = "above"
    BELOW = "below"
    NOT = "not"  # anything but the value


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that is watched. `hold` = seconds that it has to be bad without a break before it counts."""

    id: str
    title: str
    area: Area
    scope: Scope
    unit: str  # count | ratio | ms | hours | bytes | records | per_second | per_minute | state
    bad: Bad
    warn: float | None
    critical: float | None
    hold: float
    why: str  # what it means, one sentence
    do: str  # where to begin, one sentence
    query: str = ""
    admin: str = ""
    by_dialect: Mapping[Dialect, str] = field(default_factory=dict)  # queries of dialects that need another
    essential: bool = False  # without it there is no verdict
    needs_quorum: bool = False  # says nothing while the cluster's metadata stands still
    down_is_missing: bool = True  # a broker that is down owes no value

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(source for source, text in ((Source.BROKERS, self.admin), (Source.PROMETHEUS, self.query)) if text)

    def template(self, dialect: Dialect) -> str:
        return self.by_dialect.get(dialect, self.query)


_BROKERS, _REPLICATION, _CONTROLLERS = Area.BROKERS, Area.REPLICATION, Area.CONTROLLERS
_REQUESTS, _STORAGE, _MACHINES, _SECURITY = Area.REQUESTS, Area.STORAGE, Area.MACHINES, Area.SECURITY
_CLUSTER, _BROKER, _LISTENER, _DISK = Scope.CLUSTER, Scope.BROKER, Scope.LISTENER, Scope.DISK
_ABOVE, _BELOW, _NOT = Bad.ABOVE, Bad.BELOW, Bad.NOT
AMPLE_DISK = 0.5  # free share above which growth alone alarms nobody, as in deploy/prometheus
_NANOSECONDS = "clamp_max(rate($handler_idle_nanoseconds[2m]) / 1e9, 1)"

SIGNALS: tuple[Signal, ...] = (
    # --- brokers ---------------------------------------------------------------------------------------------------------
    Signal(
        "brokers_down", "Brokers down", _BROKERS, _CLUSTER, "count", _ABOVE, None, 1, 0,
        "A broker that held replicas is not among those that the cluster knows, or takes no connection.",
        "Look at the broker's process and machine first; its partitions are served by the others meanwhile.",
        admin="brokers that hold replicas or were seen before, and are not in the metadata or refuse TCP", essential=True,
    ),
    Signal(
        "fenced_brokers", "Fenced brokers", _BROKERS, _CLUSTER, "count", _ABOVE, None, 1, 0,
        "The controller has shut a broker out, because its heartbeats ended or it has not caught up.",
        "Compare with brokers down; a fenced broker that runs cannot reach the controller.",
        "max($fenced_brokers)", needs_quorum=True,
    ),
    Signal(
        "broker_state", "Broker state", _BROKERS, _BROKER, "state", _NOT, 3, None, 300,
        "A broker says itself that it is not running (3) but starting, recovering or shutting down.",
        "A long recovery after a crash is normal for large logs; read the broker's log for its progress.",
        "max by (instance) ($broker_state)",
    ),
    Signal(
        "exporters_missing", "Brokers without figures", _BROKERS, _CLUSTER, "count", _ABOVE, 1, None, 60,
        "Fewer brokers are scraped than the cluster has: for the others every figure of Prometheus is unknown.",
        "Look at the targets page of Prometheus for the broker's exporter.",
        "count(count by (instance) ($broker_state))", essential=True,
    ),
    Signal(
        "version_mix", "Brokers of different versions", _BROKERS, _CLUSTER, "count", _ABOVE, 2, None, 3600,
        "Brokers have run different versions for longer than a rolling upgrade should take.",
        "End the upgrade, or take the broker back that was left behind.",
        "count(count by (version) ($version))",
    ),
    # --- replication -----------------------------------------------------------------------------------------------------
    Signal(
        "under_replicated", "Under-replicated partitions", _REPLICATION, _CLUSTER, "count", _ABOVE, 1, 5, 0,
        "Some replicas have fallen out of sync; the loss of one more broker may lose records. Partitions under planned"
        " reassignment are not counted.",
        "The reason names the brokers that lag: look at their disk, network and garbage collection.",
        "clamp_min(sum($under_replicated) - sum($reassigning), 0)",
        admin="partitions with fewer in-sync replicas than replicas, without those under reassignment",
        essential=True, needs_quorum=True,
    ),
    Signal(
        "under_min_isr", "Partitions under min.insync.replicas", _REPLICATION, _CLUSTER, "count", _ABOVE, None, 1, 0,
        "Fewer replicas are in sync than the topic demands: producers with acks=all are refused.",
        "Bring back the brokers that the reason names; do not lower the setting in haste.",
        "sum($under_min_isr)",
        admin="partitions with fewer in-sync replicas than min.insync.replicas of their topic",
        essential=True, needs_quorum=True,
    ),
    Signal(
        "at_min_isr", "Partitions at min.insync.replicas", _REPLICATION, _CLUSTER, "count", _ABOVE, 1, None, 60,
        "Just enough replicas are in sync: one more loss and producers are refused. Topics whose replicas are no more than"
        " the minimum are not counted.",
        "As for under-replicated partitions.",
        admin="partitions with as many in-sync replicas as min.insync.replicas and fewer than replicas", needs_quorum=True,
    ),
    Signal(
        "offline_partitions", "Offline partitions", _REPLICATION, _CLUSTER, "count", _ABOVE, None, 1, 0,
        "Nobody leads these partitions: they can neither be written nor read.",
        "Bring back the brokers that hold them; an unclean election loses records and is the last resort.",
        "max($offline_partitions)",
        admin="partitions without a leader", essential=True, needs_quorum=True,
    ),
    Signal(
        "offline_replicas", "Offline replicas", _REPLICATION, _BROKER, "count", _ABOVE, None, 1, 0,
        "Replicas on a failed log directory.",
        "Replace the disk, or take the log directory out of the broker's configuration.",
        "sum by (instance) ($offline_replicas)",
    ),
    Signal(
        "isr_shrinks", "Shrinks of in-sync replicas", _REPLICATION, _BROKER, "count", _ABOVE, 1, 100, 0,
        "Followers fell out of sync within the last ten minutes; comes with every restart, in quiet times with a slow broker.",
        "Look at the followers' network and disk, and at the broker's garbage collection.",
        "sum by (instance) (round(increase($isr_shrinks[10m])))",
    ),
    Signal(
        "isr_failures", "Failed updates of in-sync replicas", _REPLICATION, _BROKER, "count", _ABOVE, 1, None, 60,
        "A leader could not tell the controller which replicas are in sync.",
        "Look at the connection between the broker and the controllers.",
        "sum by (instance) (round(increase($isr_failures[10m])))",
    ),
    Signal(
        "replication_lag_ms", "Replication lag (derived)", _REPLICATION, _CLUSTER, "ms", _ABOVE, 100, 1000, 30,
        "How far the slowest follower is behind, in time: its lag in records over the records that the busiest broker takes"
        " in per second. Kafka measures no such time, so it is derived.",
        "Look at the follower with the largest lag in records.",
        "1000 * max($max_lag) / clamp_min(max(sum by (instance) (rate($messages_in[1m]))), 1)",
    ),
    Signal(
        "replication_lag_records", "Replication lag", _REPLICATION, _BROKER, "records", _ABOVE, 10_000, 100_000, 60,
        "A follower is this many records behind its leader in the worst partition.",
        "Look at the broker's disk and network, and whether it was down and catches up.",
        "max by (instance) ($max_lag)",
    ),
    Signal(
        "fetcher_failed", "Partitions that replication gave up", _REPLICATION, _BROKER, "count", _ABOVE, None, 1, 0,
        "A follower stopped replicating these partitions after an error and will not try again by itself.",
        "Read the broker's log for the error, mend it and restart the broker.",
        "sum by (instance) ($fetcher_failed)",
    ),
    Signal(
        "fetcher_dead", "Dead replication threads", _REPLICATION, _BROKER, "count", _ABOVE, None, 1, 0,
        "A thread that replicates has ended: its partitions fall behind for ever.",
        "Restart the broker; its log says why the thread ended.",
        "sum by (instance) ($fetcher_dead)",
    ),
    Signal(
        "leader_skew", "Leader skew", _REPLICATION, _BROKER, "ratio", _ABOVE, 0.2, None, 900,
        "A broker leads a fifth more partitions than its fair share.",
        "Run a preferred leader election when all brokers are back.",
        admin="leaders of the broker over the mean of all brokers, minus one", needs_quorum=True,
    ),
    Signal(
        "imbalance", "Leaders away from their preferred broker", _REPLICATION, _CLUSTER, "ratio", _ABOVE, 0.2, None, 1800,
        "More than a fifth of all partitions are led by another broker than the preferred one.",
        "Run a preferred leader election when all brokers are back.",
        "max($imbalance) / clamp_min(max($global_partitions), 1)", needs_quorum=True,
    ),
    # --- controllers and quorum ------------------------------------------------------------------------------------------
    Signal(
        "active_controller", "Active controllers", _CONTROLLERS, _CLUSTER, "count", _NOT, None, 1, 15,
        "Exactly one controller must be active; without one no leader can be elected.",
        "Look at the controllers' processes and at the connections between them.",
        "sum($active_controllers)", essential=True,
    ),
    Signal(
        "quorum_reachable", "Reachable members of the quorum", _CONTROLLERS, _CLUSTER, "ratio", _BELOW, 0.99, 0.5, 0,
        "So many of the controllers take a TCP connection; of brokers, where no controllers are configured. At half of them"
        " or fewer the metadata stands still and looks healthy.",
        "Bring the controllers back that refuse; the reason names them.",
        admin="a TCP connection to every controller of the inventory",
    ),
    Signal(
        "metadata_lag", "Age of brokers' metadata", _CONTROLLERS, _BROKER, "ms", _ABOVE, 2000, 5000, 0,
        "A broker has heard nothing of the controllers for so long. Above five seconds its metadata stands still, and what it"
        " says of partitions means nothing.",
        "Look at the quorum; a single broker that lags has lost its way to the controllers.",
        "max by (instance) ($metadata_lag)", essential=True,
    ),
    Signal(
        "quorum_leader", "Disagreement on the quorum's leader", _CONTROLLERS, _CLUSTER, "count", _ABOVE, None, 1, 60,
        "Members of the quorum follow different leaders for longer than an election takes.",
        "Look at the network between the controllers.",
        'count(count_values("leader", $raft_leader)) - 1',
    ),
    Signal(
        "quorum_elections", "Elections of the quorum", _CONTROLLERS, _CLUSTER, "count", _ABOVE, 3, 10, 0,
        "The quorum elected a leader so often within ten minutes.",
        "Look for pauses (garbage collection, disk) on the controllers and for losses on their network.",
        "max(changes($raft_epoch[10m]))",
    ),
    Signal(
        "quorum_lag", "Lag within the quorum", _CONTROLLERS, _CLUSTER, "records", _ABOVE, 1000, 10_000, 60,
        "The slowest member of the quorum is so many metadata records behind.",
        "Look at the disk and network of the slowest controller.",
        "max($raft_end) - min($raft_high_watermark)",
    ),
    Signal(
        "quorum_commit_latency", "Commit latency of the quorum", _CONTROLLERS, _CLUSTER, "ms", _ABOVE, 500, 5000, 60,
        "Metadata records take so long until most controllers have them.",
        "Look at the disks of the controllers.",
        "max($raft_commit_latency >= 0)",
    ),
    Signal(
        "quorum_voters", "Voters without connection", _CONTROLLERS, _CLUSTER, "count", _ABOVE, 1, None, 60,
        "Members of the quorum do not know how to reach so many voters.",
        "Look at controller.quorum settings and name resolution on the controllers.",
        "max($raft_unknown_voters)",
    ),
    Signal(
        "controller_errors", "Metadata errors of controllers", _CONTROLLERS, _CLUSTER, "count", _ABOVE, None, 1, 0,
        "A controller met an error in its metadata; its state may differ from the others'.",
        "Read that controller's log and restart it; if it comes back, take a snapshot before anything else.",
        "max($controller_errors)",
    ),
    Signal(
        "metadata_errors", "Metadata errors of brokers", _CONTROLLERS, _BROKER, "count", _ABOVE, None, 1, 0,
        "A broker could not load or apply metadata; it may serve what is out of date.",
        "Read that broker's log and restart it.",
        "max by (instance) ($metadata_load_errors + $metadata_apply_errors)",
    ),
    Signal(
        "heartbeat_timeouts", "Brokers whose heartbeats ended", _CONTROLLERS, _CLUSTER, "count", _ABOVE, 1, None, 0,
        "The controller took so many brokers for dead within ten minutes.",
        "Compare with restarts in the events; without one, look at pauses and the network.",
        "max(round(increase($heartbeat_timeouts[10m])))",
    ),
    Signal(
        "unclean_elections", "Unclean leader elections", _CONTROLLERS, _CLUSTER, "count", _ABOVE, None, 1, 0,
        "A replica that was not in sync became leader within ten minutes: records that only the old leader had are lost.",
        "Find the partitions in the controller's log and tell the clients that own the topics.",
        "max(round(increase($unclean_elections[10m])))",
    ),
    # --- requests --------------------------------------------------------------------------------------------------------
    Signal(
        "handler_idle", "Idle request handlers", _REQUESTS, _BROKER, "ratio", _BELOW, 0.3, 0.1, 120,
        "The threads that do the work are almost never idle: requests wait in the queue.",
        "Look at the phases of latency; add brokers or move leaders away.",
        f"max by (instance) ({_NANOSECONDS} or $handler_idle)",
        by_dialect={
            Dialect.REPORTER: f"max by (instance) ({_NANOSECONDS})",
            Dialect.BITNAMI: "max by (instance) ($handler_idle)",
        },
    ),
    Signal(
        "network_idle", "Idle network threads", _REQUESTS, _BROKER, "ratio", _BELOW, 0.3, 0.1, 120,
        "The threads that read and send are almost never idle.",
        "Look at the number of connections and at TLS; raise num.network.threads.",
        "max by (instance) ($network_idle)",
    ),
    Signal(
        "request_queue", "Requests waiting", _REQUESTS, _BROKER, "count", _ABOVE, 100, 400, 60,
        "Requests wait for a handler; at 500 (queued.max.requests) the broker stops reading from its connections.",
        "As for idle request handlers.",
        "max by (instance) ($request_queue)",
    ),
    Signal(
        "produce_p95", "Produce latency, 95 of 100", _REQUESTS, _BROKER, "ms", _ABOVE, 10, 100, 60,
        "The platform's target is 10 ms. A broker's own estimate of about the last five minutes, never averaged.",
        "Look at the phases: queue and local time are this broker, remote time is replication.",
        "max by (instance) ($produce_p95)",
    ),
    Signal(
        "produce_p99", "Produce latency, 99 of 100", _REQUESTS, _BROKER, "ms", _ABOVE, 100, 1000, 60,
        "The platform's target is 100 ms. A broker's own estimate of about the last five minutes, never averaged.",
        "Look at the phases: queue and local time are this broker, remote time is replication.",
        "max by (instance) ($produce_p99)",
    ),
    Signal(
        "fetch_local_p99", "Local time of fetches, 99 of 100", _REQUESTS, _BROKER, "ms", _ABOVE, 100, 1000, 60,
        "How long the broker itself works on fetches by consumers; the time that a fetch waits for new records is left out.",
        "Look at the page cache: consumers that read old records read from the disk.",
        "max by (instance) ($fetch_local_p99)",
    ),
    Signal(
        "produce_failures", "Failed produce requests", _REQUESTS, _BROKER, "ratio", _ABOVE, 0.001, 0.05, 60,
        "Share of produce requests that failed within five minutes.",
        "Errors by code say why; compare with partitions under min.insync.replicas.",
        "sum by (instance) (rate($produces_failed[5m])) / clamp_min(sum by (instance) (rate($produces[5m])), 0.001)",
    ),
    Signal(
        "fetch_failures", "Failed fetch requests", _REQUESTS, _BROKER, "ratio", _ABOVE, 0.001, 0.05, 60,
        "Share of fetch requests that failed within five minutes.",
        "Errors by code say why.",
        "sum by (instance) (rate($fetches_failed[5m])) / clamp_min(sum by (instance) (rate($fetches[5m])), 0.001)",
    ),
    Signal(
        "server_errors", "Errors that are the broker's", _REQUESTS, _BROKER, "per_second", _ABOVE, 0.05, 1, 30,
        "Answers with a code that is no fault of the client, such as a storage error or too few replicas.",
        "Read the broker's log for the code.",
        "sum by (instance) (rate($request_errors[5m])) or 0 * max by (instance) ($broker_state)",
    ),
    Signal(
        "invalid_records", "Invalid records", _REQUESTS, _BROKER, "count", _ABOVE, 1, None, 0,
        "Records with a wrong checksum, an invalid format or out of sequence were refused within ten minutes.",
        "Look for a faulty client or network card; the broker's log names the client.",
        "sum by (instance) (round(increase($invalid_crc[10m]) + increase($invalid_magic[10m]) + increase($invalid_sequence[10m])))",
    ),
    # --- storage ---------------------------------------------------------------------------------------------------------
    Signal(
        "log_dirs_offline", "Offline log directories", _STORAGE, _BROKER, "count", _ABOVE, None, 1, 0,
        "A broker has lost a log directory and every replica on it.",
        "Look at the disk and the broker's log; the other directories go on.",
        "max by (instance) ($log_dirs_offline)",
    ),
    Signal(
        "disk_free", "Free disk space", _STORAGE, _DISK, "ratio", _BELOW, 0.25, 0.1, 60,
        "Share of the disk that is free. A broker whose disk is full ends at once.",
        "Shorten retention of the largest topics, or add disk; the storage table names them.",
        "min by (instance, mountpoint) ($disk_free / $disk_size)",
    ),
    Signal(
        "disk_forecast", "Hours until the disk is full", _STORAGE, _DISK, "hours", _BELOW, 72, 24, 300,
        "At the growth of the last hour the disk is full after so many hours (8,760 = a year or more, not growing, or more"
        " than half of it is free: a new disk fills until retention begins).",
        "As for free disk space; growth by topic says what grows.",
        "clamp_max(min by (instance, mountpoint) ($disk_free / clamp_min(-deriv($disk_free[1h]), 1)) / 3600"
        f" + 8760 * (min by (instance, mountpoint) ($disk_free / $disk_size) > bool {AMPLE_DISK}), 8760)",
    ),
    # --- processes and machines ------------------------------------------------------------------------------------------
    Signal(
        "heap", "Heap in use", _MACHINES, _BROKER, "ratio", _ABOVE, 0.85, 0.95, 300,
        "The broker's heap stays almost full: garbage collection takes over.",
        "Look at the number of partitions and connections; raise the heap.",
        "max by (instance) ($heap_used / ($heap_most > 0))",
    ),
    Signal(
        "gc_time", "Time of garbage collection", _MACHINES, _BROKER, "ratio", _ABOVE, 0.1, 0.3, 120,
        "Share of time that garbage collection takes; long pauses cost leaders and sessions.",
        "As for heap in use.",
        "sum by (instance) (rate($gc_seconds[2m]))",
    ),
    Signal(
        "deadlocks", "Deadlocked threads", _MACHINES, _BROKER, "count", _ABOVE, None, 1, 0,
        "Threads of the broker wait for each other for ever.",
        "Take a thread dump, then restart the broker.",
        "max by (instance) ($deadlocks)",
    ),
    Signal(
        "open_files", "Open files", _MACHINES, _BROKER, "ratio", _ABOVE, 0.8, 0.9, 0,
        "Share of the files that the broker may open. At the limit it can take no connection and roll no log.",
        "Raise the limit (ulimit -n) and restart the broker.",
        "max by (instance) ($files_open / ($files_most > 0))",
    ),
    Signal(
        "host_cpu", "Processor use of the machine", _MACHINES, _BROKER, "ratio", _ABOVE, 0.8, 0.95, 300,
        "Share of the machine's processors that is in use.",
        "Look at TLS, compression on the broker, and other processes on the machine.",
        "1 - avg by (instance) (rate($host_cpu_idle[2m]))",
    ),
    Signal(
        "host_memory", "Available memory of the machine", _MACHINES, _BROKER, "ratio", _BELOW, 0.1, 0.05, 300,
        "Little memory is left for the page cache: consumers read from the disk.",
        "Look for other processes on the machine; the heap need not be large.",
        "min by (instance) ($host_memory_free / $host_memory)",
    ),
    # --- security --------------------------------------------------------------------------------------------------------
    Signal(
        "auth_failures", "Failed sign-ins", _SECURITY, _LISTENER, "count", _ABOVE, 1, 100, 0,
        "Clients failed to sign in within five minutes.",
        "The rejections page names hosts and, where the log is shipped, principals.",
        "sum by (instance, listener) (round(increase($auth_failures[5m])))",
    ),
    Signal(
        "denials", "Denials of the authorizer", _SECURITY, _BROKER, "per_minute", _ABOVE, 1, 600, 0,
        "Clients asked for what no ACL gives them.",
        "The rejections page names principal, topic and the ACL that would help.",
        "max by (instance) ($denials)",
    ),
    Signal(
        "connections_expired", "Connections closed for not signing in again", _SECURITY, _BROKER, "count", _ABOVE, 1, None, 0,
        "Clients held a connection for longer than their sign-in lasted; their library may be too old to sign in again.",
        "Find the client by its host in the broker's log.",
        "max by (instance) (round(increase($connections_expired[10m])))",
    ),
)  # fmt: skip

BY_ID: dict[str, Signal] = {signal.id: signal for signal in SIGNALS}
