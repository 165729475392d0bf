"""What brokers measure and how each dialect of exporter names it (`clusters.promql.Metric`).

The names are those that the published rule files really produce: the examples of jmx_exporter, Strimzi's and ours as one
dialect with alternatives, Confluent's and Bitnami's, and Strimzi's metrics reporter.
"""

from clusters.promql import Dialect, Metric

JMX, CONFLUENT, REPORTER, BITNAMI = Dialect.JMX, Dialect.CONFLUENT, Dialect.REPORTER, Dialect.BITNAMI
Names = dict[Dialect, tuple[str, ...]]

_ALL_TOPICS = {"topic": ""}  # the bean over all topics; the others would count everything twice
_EACH_TOPIC = {"topic": "!"}


def _topic_meter(title: str, bean: str) -> Metric:
    begin = "kafka_server_brokertopicmetrics_"
    names: Names = {
        JMX: (f"{begin}{bean}_total",),
        CONFLUENT: (f"{begin}{bean}persec",),
        REPORTER: (f"{begin}{bean}persec_total",),
        BITNAMI: (f"{begin}total_{bean}persec_count",),
    }
    return Metric(title, names, _ALL_TOPICS)


def _by_topic(title: str, bean: str) -> Metric:
    begin = "kafka_server_brokertopicmetrics_"
    names: Names = {
        JMX: (f"{begin}{bean}_total",),
        CONFLUENT: (f"{begin}{bean}persec",),
        REPORTER: (f"{begin}{bean}persec_total",),
        BITNAMI: (f"{begin}{bean}persec_count",),
    }
    return Metric(title, names, _EACH_TOPIC)


def _replica_gauge(title: str, bean: str) -> Metric:
    name = f"kafka_server_replicamanager_{bean}"
    bitnami = f"kafka_server_replicamanager_total_{bean}_value"
    return Metric(title, {JMX: (name,), CONFLUENT: (name,), REPORTER: (name,), BITNAMI: (bitnami,)})


def _replica_meter(title: str, bean: str) -> Metric:
    name = f"kafka_server_replicamanager_{bean}"
    names: Names = {
        JMX: (f"{name}_total",),
        CONFLUENT: (f"{name}persec",),
        REPORTER: (f"{name}persec_total",),
        BITNAMI: (f"kafka_server_replicamanager_total_{bean}persec_count",),
    }
    return Metric(title, names)


def _controller_gauge(title: str, bean: str) -> Metric:
    name = f"kafka_controller_kafkacontroller_{bean}"
    return Metric(title, {JMX: (name,), CONFLUENT: (name,), REPORTER: (name,), BITNAMI: (f"{name}_value",)})


def _raft(title: str, attribute: str) -> Metric:
    name = f"kafka_server_raft_metrics_{attribute}"
    strimzi = f"kafka_server_raftmetrics_{attribute}"
    return Metric(title, {JMX: (name, strimzi), CONFLUENT: (name,), REPORTER: (name,)})


def _metadata(title: str, attribute: str) -> Metric:
    name = f"kafka_server_broker_metadata_metrics_{attribute}"
    return Metric(title, {JMX: (name, f"kafka_server_brokermetadatametrics_{attribute}"), REPORTER: (name,)})


def _fetcher(title: str, bean: str) -> Metric:
    name = f"kafka_server_replicafetchermanager_{bean}"
    return Metric(title, {JMX: (name,), CONFLUENT: (name,), REPORTER: (name,), BITNAMI: (f"{name}_value",)})


def _timer(title: str, timer: str, request: str, quantile: str) -> Metric:
    name = f"kafka_network_requestmetrics_{timer}timems"
    # 0.50 in one dialect is 0.5 in another.
    quantiles = {"0.5": r"~0\.50?", "0.95": "0.95", "0.99": "0.99", "0.999": "0.999"}
    matchers = {"request": request, "quantile": quantiles[quantile]}
    return Metric(title, {JMX: (name,), CONFLUENT: (name,), REPORTER: (name,)}, matchers)


def _socket(title: str, attribute: str) -> Metric:
    names: Names = {
        JMX: (f"kafka_server_socket_server_metrics_{attribute}_total",),
        CONFLUENT: (f"kafka_server_socketservermetrics_{attribute}_total",),
        REPORTER: (f"kafka_server_socket_server_metrics_{attribute}",),
    }
    return Metric(title, names)


def _everywhere(title: str, *names: str, **matchers: str) -> Metric:
    return Metric(title, dict.fromkeys(Dialect, names), matchers)


def _host(title: str, *names: str, **matchers: str) -> Metric:
    return Metric(title, dict.fromkeys(Dialect, names), matchers, host=True)


_SERVER_FAULTS = (
    "UNKNOWN_SERVER_ERROR|KAFKA_STORAGE_ERROR|NOT_ENOUGH_REPLICAS|NOT_ENOUGH_REPLICAS_AFTER_APPEND|CORRUPT_MESSAGE"
    "|REQUEST_TIMED_OUT|BROKER_NOT_AVAILABLE"
)
_REQUESTS = "kafka_network_requestmetrics_"
_IDLE = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle"
_DISKS = {
    "fstype": "!~autofs|overlay|squashfs|iso9660|devtmpfs|ramfs",
    "mountpoint": "!~/(boot|run|snap|dev|sys|proc)(/.*)?",
}
_PRODUCE_PHASES = ("requestqueue", "local", "remote", "throttle", "responsequeue", "responsesend")

METRICS: dict[str, Metric] = {
    # --- throughput
    "bytes_in": _topic_meter("bytes in", "bytesin"),
    "bytes_out": _topic_meter("bytes out", "bytesout"),
    "messages_in": _topic_meter("records in", "messagesin"),
    "replication_in": _topic_meter("replication bytes in", "replicationbytesin"),
    "replication_out": _topic_meter("replication bytes out", "replicationbytesout"),
    "produces": _topic_meter("produce requests", "totalproducerequests"),
    "produces_failed": _topic_meter("failed produce requests", "failedproducerequests"),
    "fetches": _topic_meter("fetch requests", "totalfetchrequests"),
    "fetches_failed": _topic_meter("failed fetch requests", "failedfetchrequests"),
    "invalid_crc": _topic_meter("records with a wrong checksum", "invalidmessagecrcrecords"),
    "invalid_magic": _topic_meter("records of an invalid format", "invalidmagicnumberrecords"),
    "invalid_sequence": _topic_meter("records out of sequence", "invalidoffsetorsequencerecords"),
    "topic_messages_in": _by_topic("records in by topic", "messagesin"),
    "topic_bytes_in": _by_topic("bytes in by topic", "bytesin"),
    "topic_bytes_out": _by_topic("bytes out by topic", "bytesout"),
    # --- replicas
    "under_replicated": _replica_gauge("under-replicated partitions", "underreplicatedpartitions"),
    "under_min_isr": _replica_gauge("partitions under the minimum of in-sync replicas", "underminisrpartitioncount"),
    "reassigning": _replica_gauge("partitions under reassignment", "reassigningpartitions"),
    "offline_replicas": _replica_gauge("offline replicas", "offlinereplicacount"),
    "leaders": _replica_gauge("leaders by broker", "leadercount"),
    "replicas": _replica_gauge("replicas by broker", "partitioncount"),
    "isr_shrinks": _replica_meter("shrinks of in-sync replicas", "isrshrinks"),
    "isr_expands": _replica_meter("expansions of in-sync replicas", "isrexpands"),
    "isr_failures": _replica_meter("failed updates of in-sync replicas", "failedisrupdates"),
    "max_lag": _fetcher("replication lag", "maxlag"),
    "fetcher_failed": _fetcher("partitions that replication gave up", "failedpartitionscount"),
    "fetcher_dead": _fetcher("dead replication threads", "deadthreadcount"),
    # --- controllers and quorum
    "active_controllers": _controller_gauge("the active controller", "activecontrollercount"),
    "fenced_brokers": _controller_gauge("fenced brokers", "fencedbrokercount"),
    "active_brokers": _controller_gauge("active brokers", "activebrokercount"),
    "offline_partitions": _controller_gauge("offline partitions", "offlinepartitionscount"),
    "imbalance": _controller_gauge("leaders away from their preferred broker", "preferredreplicaimbalancecount"),
    "global_partitions": _controller_gauge("partitions of the cluster", "globalpartitioncount"),
    "controller_errors": _controller_gauge("metadata errors of controllers", "metadataerrorcount"),
    "heartbeat_timeouts": _controller_gauge("brokers whose heartbeats ended", "timedoutbrokerheartbeatcount"),
    "unclean_elections": Metric(
        "unclean leader elections",
        {
            JMX: ("kafka_controller_controllerstats_uncleanleaderelections_total",),
            CONFLUENT: ("kafka_controller_controllerstats_uncleanleaderelectionspersec",),
            REPORTER: ("kafka_controller_controllerstats_uncleanleaderelectionspersec_total",),
            BITNAMI: ("kafka_controller_controllerstats_uncleanleaderelectionspersec_count",),
        },
    ),
    "raft_leader": _raft("the leader of the quorum", "current_leader"),
    "raft_epoch": _raft("the epoch of the quorum", "current_epoch"),
    "raft_high_watermark": _raft("the high watermark of the quorum", "high_watermark"),
    "raft_end": _raft("the end of the quorum's log", "log_end_offset"),
    "raft_commit_latency": _raft("commit latency of the quorum", "commit_latency_avg"),
    "raft_unknown_voters": _raft("voters of the quorum without connection", "number_unknown_voter_connections"),
    "metadata_lag": _metadata("age of the brokers' metadata", "last_applied_record_lag_ms"),
    "metadata_load_errors": _metadata("errors in reading metadata", "metadata_load_error_count"),
    "metadata_apply_errors": _metadata("errors in applying metadata", "metadata_apply_error_count"),
    # --- brokers
    "broker_state": Metric(
        "the state of the broker",
        {
            **dict.fromkeys((JMX, CONFLUENT, REPORTER), ("kafka_server_kafkaserver_brokerstate",)),
            BITNAMI: ("kafka_server_kafkaserver_total_brokerstate_value",),
        },
    ),
    "handler_idle": Metric(
        "idle time of request handlers",
        {
            JMX: (f"{_IDLE}_percent", f"{_IDLE}percent"),
            CONFLUENT: (f"{_IDLE}percent_oneminuterate",),
            BITNAMI: ("kafka_server_kafkarequesthandlerpool_total_requesthandleravgidlepercent_oneminuterate",),
        },
    ),
    "handler_idle_nanoseconds": Metric(
        "idle time of request handlers",
        {JMX: (f"{_IDLE}_nanoseconds_total",), CONFLUENT: (f"{_IDLE}percent",), REPORTER: (f"{_IDLE}percent_total",)},
    ),
    "network_idle": Metric(
        "idle time of network threads",
        {
            JMX: (
                "kafka_network_socketserver_networkprocessoravgidle_percent",
                "kafka_network_socketserver_networkprocessoravgidlepercent",
            ),
            CONFLUENT: ("kafka_network_socketserver_networkprocessoravgidlepercent",),
            REPORTER: ("kafka_network_socketserver_networkprocessoravgidlepercent",),
            BITNAMI: ("kafka_network_socketserver_networkprocessoravgidlepercent_value",),
        },
    ),
    "request_queue": Metric(
        "the request queue",
        {
            **dict.fromkeys((JMX, CONFLUENT, REPORTER), ("kafka_network_requestchannel_requestqueuesize",)),
            BITNAMI: ("kafka_network_requestchannel_requestqueuesize_value",),
        },
    ),
    "request_errors": Metric(
        "errors of requests by code",
        {
            JMX: (f"{_REQUESTS}errors_total",),
            CONFLUENT: (f"{_REQUESTS}errorspersec",),
            REPORTER: (f"{_REQUESTS}errorspersec_total",),
            BITNAMI: (f"{_REQUESTS}errorspersec_count",),
        },
        {"error": f"~{_SERVER_FAULTS}"},
        {BITNAMI: {"request": f"~.*error=({_SERVER_FAULTS})"}},  # its rules leave the code in the request's name
    ),
    "connections_expired": Metric(
        "connections closed for not signing in again",
        {
            **dict.fromkeys((JMX, CONFLUENT, REPORTER), ("kafka_network_socketserver_expiredconnectionskilledcount",)),
            BITNAMI: ("kafka_network_socketserver_expiredconnectionskilledcount_value",),
        },
    ),
    "auth_failures": _socket("failed sign-ins by listener", "failed_authentication"),
    "denials": Metric(
        "denials of the authorizer",
        {
            JMX: ("kafka_server_authorizer_authorization_denied_rate_per_minute",),
            CONFLUENT: ("confluent_authorizer_authorization_denied_rate_per_minute",),
            REPORTER: ("kafka_server_plugins_authorization_denied_rate_per_minute",),
        },
        {"role": "broker"},
        {CONFLUENT: {}},
    ),
    "version": Metric(
        "the version of the broker",
        {JMX: ("kafka_server_app_version",), REPORTER: ("kafka_server_app_info_version_info",)},
        {},
        {REPORTER: {"client_id": "!"}},
    ),
    "broker_id": Metric(
        "the id of the broker",
        {JMX: ("kafka_server_app_version",), REPORTER: ("kafka_server_app_info_version_info",)},
    ),
    # --- latency
    **{f"produce_p{text}": _timer("latency of produce requests", "total", "Produce", quantile)
       for text, quantile in (("50", "0.5"), ("95", "0.95"), ("99", "0.99"), ("999", "0.999"))},
    **{f"fetch_p{text}": _timer("latency of fetch requests", "total", "FetchConsumer", quantile)
       for text, quantile in (("50", "0.5"), ("95", "0.95"), ("99", "0.99"), ("999", "0.999"))},
    **{f"produce_{phase}_p99": _timer("phases of produce requests", phase, "Produce", "0.99") for phase in _PRODUCE_PHASES},
    "fetch_local_p99": _timer("local time of fetch requests", "local", "FetchConsumer", "0.99"),
    "fetch_queue_p99": _timer("queue time of fetch requests", "requestqueue", "FetchConsumer", "0.99"),
    # --- storage
    "log_dirs_offline": Metric(
        "offline log directories", dict.fromkeys((JMX, CONFLUENT, REPORTER), ("kafka_log_logmanager_offlinelogdirectorycount",))
    ),
    "log_size": _everywhere("the size of logs", "kafka_log_log_size", topic="!", isFuture="!true"),
    "disk_free": Metric(
        "free disk space", dict.fromkeys(Dialect, ("node_filesystem_avail_bytes",)), _DISKS, host=True
    ),
    "disk_size": Metric("disk size", dict.fromkeys(Dialect, ("node_filesystem_size_bytes",)), _DISKS, host=True),
    # --- processes and machines
    "heap_used": _everywhere("heap in use", "jvm_memory_used_bytes", "jvm_memory_bytes_used", area="heap"),
    "heap_most": _everywhere("largest heap", "jvm_memory_max_bytes", "jvm_memory_bytes_max", area="heap"),
    "gc_seconds": _everywhere("time of garbage collection", "jvm_gc_collection_seconds_sum"),
    "deadlocks": _everywhere("deadlocked threads", "jvm_threads_deadlocked"),
    "files_open": _everywhere("open files", "process_open_fds"),
    "files_most": _everywhere("most open files", "process_max_fds"),
    "process_cpu": _everywhere("processor time of the broker", "process_cpu_seconds_total"),
    "process_memory": _everywhere("memory of the broker", "process_resident_memory_bytes"),
    "process_start": _everywhere("start of the broker", "process_start_time_seconds"),
    "host_cpu_idle": _host("idle time of processors", "node_cpu_seconds_total", mode="idle"),
    "host_memory_free": _host("available memory", "node_memory_MemAvailable_bytes"),
    "host_memory": _host("memory of the machine", "node_memory_MemTotal_bytes"),
    "host_received": _host("bytes received", "node_network_receive_bytes_total", device="!lo"),
    "host_sent": _host("bytes sent", "node_network_transmit_bytes_total", device="!lo"),
    "host_retransmits": _host("segments sent again", "node_netstat_Tcp_RetransSegs"),
}  # fmt: skip
