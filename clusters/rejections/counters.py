"""Refusals that Prometheus tells: what brokers count by code and listener, who is throttled, and what gateways count per client.

Names of every exporter's dialect are asked for at once, so this needs to know no dialect.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from clusters.promql import quoted, selector
from clusters.rejections.types import Kind, Origin, Rejected

# Kafka's error code -> what it is a refusal of.
CODES = {
    "TOPIC_AUTHORIZATION_FAILED": Kind.ACL,
    "GROUP_AUTHORIZATION_FAILED": Kind.ACL,
    "CLUSTER_AUTHORIZATION_FAILED": Kind.ACL,
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": Kind.ACL,
    "DELEGATION_TOKEN_AUTHORIZATION_FAILED": Kind.ACL,
    "SASL_AUTHENTICATION_FAILED": Kind.AUTHENTICATION,
    "UNSUPPORTED_SASL_MECHANISM": Kind.AUTHENTICATION,
    "ILLEGAL_SASL_STATE": Kind.AUTHENTICATION,
    "INVALID_RECORD": Kind.SCHEMA,
    "CORRUPT_MESSAGE": Kind.SCHEMA,
    "RECORD_TOO_LARGE": Kind.SCHEMA,
    "MESSAGE_TOO_LARGE": Kind.SCHEMA,
    "THROTTLING_QUOTA_EXCEEDED": Kind.QUOTA,
}
_ERRORS = "kafka_network_requestmetrics_"
_SOCKETS = ("kafka_server_socket_server_metrics_", "kafka_server_socketservermetrics_")
ERRORS, SIGN_INS, THROTTLED, VALIDATION = "errors", "sign_ins", "throttled", "validation"


class Counted(NamedTuple):
    """A counter's value now. `series` names it; `refused` is what it counts, once."""

    series: str
    value: float
    origin: Origin
    refused: Rejected


def queries(matchers: Mapping[str, str]) -> dict[str, str]:
    """Key -> query. `matchers` set the brokers of one cluster apart; clients' own counters may carry no such label."""
    names = tuple(f"{_ERRORS}errors{end}" for end in ("_total", "persec", "persec_total", "persec_count"))
    sockets = tuple(f"{start}failed_authentication{end}" for start in _SOCKETS for end in ("_total", ""))
    throttle = (
        "kafka_server_quota_throttle_time",
        *(f"kafka_server_{kind}_throttle_time" for kind in ("produce", "fetch", "request")),
    )
    return {
        ERRORS: selector(names, {"error": f"~{'|'.join(CODES)}", **matchers}),
        SIGN_INS: selector(sockets, matchers),
        THROTTLED: f"{selector(throttle, matchers)} > 0",
        VALIDATION: f"{{__name__=~{quoted('schema_validation_failures(_total)?')}}}",
    }


def counted(key: str, samples: Iterable[tuple[Mapping[str, str], float | None]]) -> list[Counted]:
    """The counters of an answer; what is no number or names nothing is left out."""
    read = {ERRORS: _error, SIGN_INS: _sign_in, VALIDATION: _validation}[key]
    found = []
    for labels, value in samples:
        if value is None or value < 0 or (refused := read(labels)) is None:
            continue
        origin = Origin.METRIC if key == VALIDATION else Origin.COUNTER
        found.append(Counted(_series(labels), value, origin, refused))
    return found


def throttled(samples: Iterable[tuple[Mapping[str, str], float | None]]) -> list[Rejected]:
    """Who is being throttled: one refusal per user, client id and kind of request, however many brokers do it."""
    found: dict[Rejected, None] = {}
    for labels, value in samples:
        user, client_id = labels.get("user", ""), labels.get("clientId") or labels.get("client_id", "")
        if not value or not (user or client_id):
            continue
        name = labels.get("__name__", "")
        resource = labels.get("resource") or name.removeprefix("kafka_server_").partition("_")[0].capitalize()
        found[
            Rejected(
                Kind.QUOTA, principal=f"User:{unquote(user)}" if user else "", operation=resource,
                resource_type="client_id" if client_id else "", resource=unquote(client_id),
                rule="over its quota: the broker delays its answers",
            )
        ] = None  # fmt: skip
    return list(found)


def is_of(labels: Mapping[str, str], cluster: str, *, alone: bool) -> bool:
    """Whether a client's own counter is told of this cluster; one without the label is of the first that reads it."""
    named = labels.get("cluster", "")
    return named == cluster if named else alone


def grown(now: float, before: float | None) -> int:
    """By how much a counter grew. One that is new grew from nothing, and so did one that was set back."""
    if before is None or now < before:
        return round(now)
    return round(now - before)


def _error(labels: Mapping[str, str]) -> Rejected | None:
    code = labels.get("error", "")
    if code not in CODES:
        return None
    broker = labels.get("instance", "")
    return Rejected(
        CODES[code], resource_type="broker" if broker else "", resource=broker, request=labels.get("request", ""), rule=code
    )  # fmt: skip


def _sign_in(labels: Mapping[str, str]) -> Rejected | None:
    listener = labels.get("listener", "")
    if not listener:
        return None
    broker = labels.get("instance", "")
    return Rejected(
        Kind.AUTHENTICATION, resource_type="broker" if broker else "", resource=broker, listener=listener,
        rule="failed authentication",
    )  # fmt: skip


def _validation(labels: Mapping[str, str]) -> Rejected | None:
    client = labels.get("client", "")
    return Rejected(
        Kind.SCHEMA, client=client, subject=labels.get("subject", ""),
        resource_type="topic" if labels.get("topic") else "", resource=labels.get("topic", ""),
        operation="validate", rule=f"schema_validation_failures{{client={client}}}",
    )  # fmt: skip


def _series(labels: Mapping[str, str]) -> str:
    """Name of a series in at most 500 characters: what is cut off tells two of them apart by its hash."""
    text = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return text if len(text) <= 500 else f"{text[:460]}~{hashlib.sha256(text.encode()).hexdigest()[:32]}"
