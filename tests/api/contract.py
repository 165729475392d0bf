"""interfaces.md 1, 3, 5 and 6 as data: every field of every answer with its type, whether it may be null, and every code.

A type is a word below, a set of allowed words, a list with the type of its items, or a dict of fields. `?` = may be null.
"""

from typing import Any

from lag.verdicts import EventKind, Flag, Method, Verdict

VERDICTS = {
    "truncated", "stopped", "stalled", "rewound", "falling_behind", "catching_up", "no_commits", "unknown", "ok",
}  # fmt: skip
GROUP_STATES = {
    "stable", "preparing_rebalance", "completing_rebalance", "assigning", "reconciling", "empty", "dead", "unknown",
}  # fmt: skip
GROUP_TYPES = {"classic", "consumer", "unmeasured"}
METHODS = {"caught_up", "knots", "timestamp", "lower_bound"}
FLAGS = {"approximate", "beyond_end", "open_txn", "not_measured", "not_allowed", "shared_topic"}
EVENT_KINDS = {
    "member_joined", "member_left", "rebalance", "rewound", "skipped", "truncated", "topic_recreated", "group_appeared",
    "group_vanished", "verdict_changed", "slo_opened", "slo_closed",
}  # fmt: skip
WORDS = {Verdict: VERDICTS, Method: METHODS, Flag: FLAGS, EventKind: EVENT_KINDS}


class Null:
    """A type whose value may be null."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind


SUMMARY: dict[str, Any] = {
    "id": int, "cluster": str, "group": str, "type": GROUP_TYPES, "state": GROUP_STATES, "verdict": VERDICTS,
    "reason": str, "rule": str, "inputs": dict, "client": Null(str), "members": Null(int), "worst_topic": Null(str),
    "lag_records": Null(int), "lag_records_max": Null(int), "lag_seconds": Null(float), "lag_seconds_bound": Null(float),
    "lag_seconds_method": Null(METHODS), "produce_rate": Null(float), "consume_rate": Null(float), "trend": Null(float),
    "catch_up_seconds": Null(float), "flags": [FLAGS], "observed_at": Null("time"), "age_seconds": Null(float), "stale": bool,
}  # fmt: skip
PARTITION = {
    "partition": int, "committed": Null(int), "start": Null(int), "end": Null(int), "high_watermark": Null(int),
    "lag_records": Null(int), "lag_seconds": Null(float), "lag_seconds_bound": Null(float),
    "lag_seconds_method": Null(METHODS), "verdict": VERDICTS, "flags": [FLAGS], "member": Null(str), "host": Null(str),
}  # fmt: skip
GROUP = SUMMARY | {
    "topics": [
        {
            "topic": str, "topic_id": Null(str), "lag_records": Null(int), "lag_seconds": Null(float), "partitions": [PARTITION],
        }
    ],
    "member_list": [{"member_id": str, "client_id": str, "host": str, "partitions": int}],
}  # fmt: skip
CLUSTER = {
    "cluster": str, "state": str, "reason": str, "brokers": Null(int), "groups": int, "verdicts": dict,
    "lag_records": Null(int), "lag_seconds": Null(float), "observed_at": Null("time"), "age_seconds": Null(float), "stale": bool,
}  # fmt: skip
EVENT = {
    "id": int, "at": "time", "at_earliest": "time", "kind": EVENT_KINDS, "topic": Null(str), "partition": Null(int),
    "member": Null(str), "before": "any", "after": "any", "records": Null(int),
}  # fmt: skip
SOURCE = {
    "cluster": str, "kind": str, "period_seconds": int, "state": str, "last_success_at": Null("time"),
    "age_seconds": Null(float), "stale": bool, "error": Null(str), "entity_errors": list, "requests": dict, "breaker": str,
}  # fmt: skip
FINDING = {
    "dedupe_key": str, "kind": str, "severity": {"warning", "critical"}, "cluster": Null(str), "client": Null(str),
    "entity": str, "title": str, "reason": str, "inputs": dict, "opened_at": "time", "last_seen_at": "time",
    "closed_at": Null("time"),
}  # fmt: skip
HISTORY_COLUMNS = [
    "at", "lag_records", "lag_records_max", "lag_seconds", "produce_rate", "consume_rate", "members", "verdict",
]  # fmt: skip
BOARD_COLUMNS = [
    "group", "client", "state", "members", "worst_topic", "lag_records", "lag_seconds", "bound", "produce_rate",
    "consume_rate", "trend", "catch_up_seconds", "verdict", "reason", "observed_at",
]  # fmt: skip
BOARD_SORTS = [
    "severity", "group", "client", "members", "lag_records", "lag_seconds", "produce_rate", "consume_rate",
    "catch_up_seconds", "observed_at",
]  # fmt: skip
HEALTH_STATES = {"ok", "warning", "critical", "unknown"}
SIGNAL = {
    "signal": str, "scope": {"cluster", "broker", "listener", "disk"}, "state": HEALTH_STATES, "reason": str,
    "value": Null(float), "unit": str, "warn": Null(float), "critical": Null(float), "query": str, "source": str,
    "observed_at": Null("time"), "age_seconds": Null(float), "stale": bool, "runbook": str,
}  # fmt: skip
CERTIFICATE: dict[str, Any] = {
    "id": int, "kind": {"root", "intermediate", "broker", "client", "registry", "endpoint"}, "subject": str, "issuer": str,
    "serial": Null(str), "fingerprint_sha256": Null(str), "not_before": "time", "not_after": "time", "days_left": float,
    "band": {"ok", "rotate", "alarm", "14_days", "7_days", "2_days", "expired"}, "served_on": [str], "file": Null(str),
    "drift": Null({"file_newer", "served_newer"}), "verdict": str, "failing_link": Null(str),
}  # fmt: skip
REJECTION: dict[str, Any] = {
    "id": int, "kind": {"acl", "authentication", "schema", "quota"}, "client": Null(str), "principal": Null(str),
    "cluster": Null(str), "topic": Null(str), "subject": Null(str), "host": Null(str), "listener": Null(str),
    "operation": Null(str), "rule": Null(str), "fix": Null(str), "count": int, "first_at": "time", "last_at": "time",
}  # fmt: skip

# Live views: name -> parameters, then what a row must have among its columns; the key column is not one of them.
LIVE_VIEWS: dict[str, tuple[str, set[str]]] = {
    "lag.board": ("cluster=north", set(BOARD_COLUMNS)),
    "lag.group": ("cluster=north&group=ng-audit", (set(SUMMARY) | set(PARTITION) | {"topic"})),
    "ops.sources": ("", set(SOURCE)),
    "clusters.health": ("cluster=north", set(SIGNAL)),
    "clusters.certificates": ("cluster=north", set(CERTIFICATE) - {"id"}),
    "clusters.rejections": ("cluster=north", set(REJECTION) - {"id"}),
}

# Lists: path -> fields of an item (None = the contract names no fields).
VERDICT_OF_LOAD = {
    "threshold": str, "metric": Null(str), "verdict": {"kept", "missed", "unsupported"}, "value": Null(float),
    "source": Null(str), "reason": str, "stated": Null(bool),
}  # fmt: skip
LOAD_TEST = {
    "id": int, "name": str, "cluster": Null(str), "status": {"importing", "done", "failed", "cancelled"},
    "error": Null(str), "brought_by": str, "via": {"page", "api", "command", "demo"}, "created_at": "time",
    "step": Null(str), "bytes_read": int, "bytes_total": int, "started_at": Null("time"), "ended_at": Null("time"),
    "verdict": Null({"kept", "missed", "unsupported"}), "verdicts": [VERDICT_OF_LOAD], "contradictions": int,
    "problems": int,
}  # fmt: skip
LISTS: dict[str, dict[str, Any] | None] = {
    "/api/v1/clusters": CLUSTER,
    "/api/v1/clusters/north/groups": SUMMARY,
    "/api/v1/clusters/north/groups/ng-solo/events": EVENT,
    "/api/v1/clusters/north/topics": None,
    "/api/v1/sources": SOURCE,
    "/api/v1/findings": FINDING,
    "/api/v1/clusters/north/certificates": CERTIFICATE,
    "/api/v1/rejections": REJECTION,
    "/api/v1/load-tests": LOAD_TEST,
    "/api/v1/slos": None,
    "/api/v1/clients": None,
}
CODES = {
    "bad_request": 400, "not_authenticated": 401, "token_expired": 401, "forbidden": 403, "not_found": 404,
    "method_not_allowed": 405, "conflict": 409, "body_too_large": 413, "invalid": 422, "rate_limit_exceeded": 429,
    "internal_error": 500, "unavailable": 503,
}  # fmt: skip
