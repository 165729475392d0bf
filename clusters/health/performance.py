"""Figures beside the signals: brokers, throughput, latency and its phases, storage, the REST tier. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from clusters.health import metrics
from clusters.health.metrics import Instances, Known, Sampled

PHASES = ("requestqueue", "local", "remote", "throttle", "responsequeue", "responsesend")
PERCENTILES = ("50", "95", "99", "999")

# Name -> template. Rates are per second over a minute.
BROKER_QUERIES: dict[str, str] = {
    "states": "$broker_state",
    "ids": "$broker_id",
    "b_bytes_in": "sum by (instance) (rate($bytes_in[1m]))",
    "b_bytes_out": "sum by (instance) (rate($bytes_out[1m]))",
    "b_records_in": "sum by (instance) (rate($messages_in[1m]))",
    "b_cpu": "sum by (instance) (rate($process_cpu[1m]))",
    "b_memory": "max by (instance) ($process_memory)",
    "b_heap": "max by (instance) ($heap_used)",
    "b_idle": "max by (instance) ($handler_idle)",
    "b_idle_exact": "max by (instance) (clamp_max(rate($handler_idle_nanoseconds[2m]) / 1e9, 1))",
    "b_log_bytes": "sum by (instance) ($log_size)",
    "b_started": "max by (instance) ($process_start)",
    "b_version": "max by (instance, version) ($version)",
    "b_controller": "max by (instance) ($active_controllers)",
    "b_isr_shrinks": "sum by (instance) (rate($isr_shrinks[5m]))",
    "b_isr_expands": "sum by (instance) (rate($isr_expands[5m]))",
    "b_received": "sum by (instance) (rate($host_received[1m]))",
    "b_sent": "sum by (instance) (rate($host_sent[1m]))",
    "b_disk_free": "min by (instance, mountpoint) ($disk_free)",
    "b_disk_size": "min by (instance, mountpoint) ($disk_size)",
    "b_disk_growth": "max by (instance, mountpoint) (-deriv($disk_free[1h]))",
}
CLUSTER_QUERIES: dict[str, str] = {
    "replication_in": "sum(rate($replication_in[1m]))",
    "replication_out": "sum(rate($replication_out[1m]))",
    "produce_rate": "sum(rate($produces[1m]))",
    "fetch_rate": "sum(rate($fetches[1m]))",
    **{f"latency_produce_p{text}": f"max by (instance) ($produce_p{text})" for text in PERCENTILES},
    **{f"latency_fetch_p{text}": f"max by (instance) ($fetch_p{text})" for text in PERCENTILES},
    **{f"phase_{phase}": f"max by (instance) ($produce_{phase}_p99)" for phase in PHASES},
    "raft_leader": "max($raft_leader)",
    "raft_epoch": "max($raft_epoch)",
    "raft_end": "max($raft_end)",
}
TOPIC_QUERIES: dict[str, str] = {
    "topic_records": "sum by (topic) (rate($topic_messages_in[1m]))",
    "topic_bytes_in": "sum by (topic) (rate($topic_bytes_in[1m]))",
    "topic_bytes_out": "sum by (topic) (rate($topic_bytes_out[1m]))",
    "topic_size": "sum by (topic) ($log_size)",
    "topic_growth": "3600 * sum by (topic) (deriv($log_size[1h]))",
}

_BY_BROKER = {
    "bytes_in_rate": "b_bytes_in",
    "bytes_out_rate": "b_bytes_out",
    "records_in_rate": "b_records_in",
    "cpu_cores": "b_cpu",
    "memory_bytes": "b_memory",
    "heap_bytes": "b_heap",
    "log_bytes": "b_log_bytes",
    "started_at": "b_started",
    "isr_shrink_rate": "b_isr_shrinks",
    "isr_expand_rate": "b_isr_expands",
}
_BY_HOST = {"received_rate": "b_received", "sent_rate": "b_sent"}

Samples = Mapping[str, Sequence[Sampled]]


def broker_figures(samples: Samples, instances: Instances, known: Known) -> dict[int, dict[str, Any]]:
    """Broker id -> figures; a figure that is not known is left out.

    `cpu_cores` processors in use, `idle` share of time that request handlers are, `disk_hours` until its disk is full at the
    growth of the last hour (left out when it does not grow), `started_at` seconds since the epoch.
    """
    found: dict[int, dict[str, Any]] = {}

    def put(name: str, values: Mapping[int, Any]) -> None:
        for broker, value in values.items():
            found.setdefault(broker, {})[name] = value

    for name, key in _BY_BROKER.items():
        put(name, metrics.by_broker(samples.get(key, ()), instances, known))
    for name, key in _BY_HOST.items():
        put(name, metrics.by_broker(samples.get(key, ()), instances, known, host=True))
    put("idle", metrics.by_broker(samples.get("b_idle", ()), instances, known))
    put("idle", metrics.by_broker(samples.get("b_idle_exact", ()), instances, known))
    for sample in samples.get("b_version", ()):
        broker = instances.of.get(sample.labels.get("instance", ""))
        if broker is not None and sample.labels.get("version"):
            found.setdefault(broker, {})["version"] = sample.labels["version"]
    _disks(found, samples, known)
    return found


def performance_of(
    samples: Samples,
    instances: Instances,
    rest: Sequence[Mapping[str, Any]],
    before: Mapping[str, Any],
    at: float,
) -> dict[str, Any]:
    """Figures of the whole cluster, None where unknown. Percentiles are those of the slowest broker."""

    def summed(key: str) -> float | None:
        return metrics.total(_ours(samples.get(key, ()), instances))

    def largest(key: str) -> float | None:
        return metrics.most(_ours(samples.get(key, ()), instances))

    elections = metrics.most(samples.get("unclean_elections", ()))
    return {
        "at": at,
        "throughput": {
            "bytes_in_rate": summed("b_bytes_in"),
            "bytes_out_rate": summed("b_bytes_out"),
            "records_in_rate": summed("b_records_in"),
            "replication_in_rate": summed("replication_in"),
            "replication_out_rate": summed("replication_out"),
            "produce_rate": summed("produce_rate"),
            "fetch_rate": summed("fetch_rate"),
        },
        "latency": {
            kind: {f"p{text}": largest(f"latency_{kind}_p{text}") for text in PERCENTILES}
            for kind in ("produce", "fetch")
        },
        "phases": {phase: largest(f"phase_{phase}") for phase in PHASES},
        "isr": {"shrink_rate": summed("b_isr_shrinks"), "expand_rate": summed("b_isr_expands")},
        "quorum": {
            "leader": _whole(metrics.most(samples.get("raft_leader", ()))),
            "epoch": _whole(metrics.most(samples.get("raft_epoch", ()))),
            "end_offset": _whole(metrics.most(samples.get("raft_end", ()))),
        },
        "controller": _controller(samples, instances),
        "storage": {"log_bytes": summed("b_log_bytes")},
        "unclean_elections": elections,
        "rest": [_rest(row, samples.get(f"rest:{row['name']}")) for row in rest],
        "topics_at": before.get("topics_at"),
    }


def _ours(samples: Sequence[Sampled], instances: Instances) -> list[Sampled]:
    """Without what other programs say; series that name no target are the cluster's."""
    return [one for one in samples if "instance" not in one.labels or one.labels["instance"] in instances.of]


def _disks(found: dict[int, dict[str, Any]], samples: Samples, known: Known) -> None:
    """The fullest disk on which the broker keeps logs."""
    sizes, growth = (_by_place(samples.get(key, ())) for key in ("b_disk_size", "b_disk_growth"))
    free = samples.get("b_disk_free", ())
    brokers_on = metrics.disks_of_brokers(free, known)
    for place, left in _by_place(free).items():
        size = sizes.get(place)
        if not size:
            continue
        for broker in brokers_on.get(place, ()):
            row = found.setdefault(broker, {})
            if "disk_free_ratio" in row and row["disk_free_ratio"] <= left / size:
                continue
            row |= {"disk_free_bytes": left, "disk_bytes": size, "disk_free_ratio": left / size, "disk_mount": place[1]}
            row.pop("disk_hours", None)
            if growth.get(place, 0.0) > 0:
                row["disk_growth_per_hour"] = growth[place] * 3600
                row["disk_hours"] = left / growth[place] / 3600


def _by_place(samples: Sequence[Sampled]) -> dict[tuple[str, str], float]:
    return {
        (one.labels.get("instance", ""), one.labels.get("mountpoint", "")): one.value
        for one in samples
        if one.value is not None
    }


def _controller(samples: Samples, instances: Instances) -> int | None:
    """The id of the active controller. Metadata names any live broker in KRaft, so only the controllers' own word counts."""
    for sample in samples.get("b_controller", ()):
        if sample.value == 1:
            broker = instances.of.get(sample.labels.get("instance", ""))
            if broker is not None:
                return broker
    leader = _whole(metrics.most(samples.get("raft_leader", ())))
    return leader if leader is not None and leader >= 0 else None


def _rest(row: Mapping[str, Any], samples: Sequence[Sampled] | None) -> dict[str, Any]:
    return {**row, "value": metrics.most(samples) if samples is not None else None}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
