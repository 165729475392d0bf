"""Does the cluster answer, and does it let the portal see what it needs? For people who set one up."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin._acl import AclOperation

from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_client import KafkaClient, close_later
from clusters.ports import Broker, GatewayFailed, GroupListings, Metadata
from clusters.properties import client_certificate
from ops_portal.lib.clock import Clock, as_datetime
from ops_portal.lib.resilience import Deadline, DeadlinePassed

CALL_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """What one test found. Without an answer `code` and `message` say why, and the figures are None.

    `problems` are sentences about what will not work although the cluster answers: missing rights, brokers out of reach.
    """

    ok: bool
    code: str
    message: str
    seconds: float
    cluster_id: str | None = None
    brokers: tuple[Broker, ...] = ()
    topics: int | None = None
    groups: int | None = None
    problems: tuple[str, ...] = ()


def probe_connection(
    bootstrap: str, properties: Mapping[str, str], *, clock: Clock, seconds: float = 12.0
) -> ConnectionTest:
    """Connect with these settings, within `seconds`. Never raises for what a cluster or a setting does."""
    started = time.monotonic()
    try:
        client = KafkaClient(bootstrap, properties)
    except GatewayFailed as failure:
        return ConnectionTest(False, failure.code, failure.message, time.monotonic() - started)
    try:
        return _ask(client, properties, clock, Deadline.after(seconds), started)
    except GatewayFailed as failure:
        message = " ".join([*_certificate_problems(properties, as_datetime(clock.now())), failure.message])
        return ConnectionTest(False, failure.code, message, time.monotonic() - started)
    finally:
        close_later(client.admin, seconds=1.0)


def _ask(
    client: KafkaClient, properties: Mapping[str, str], clock: Clock, deadline: Deadline, started: float
) -> ConnectionTest:
    port = ConfluentKafka(client, clock)
    metadata = port.metadata(deadline)
    problems = _certificate_problems(properties, as_datetime(clock.now()))
    groups: GroupListings | None = None
    try:
        groups = port.list_groups(deadline)
    except GatewayFailed as failure:
        problems.append(f"The consumer groups cannot be listed: {failure.message}")
    if groups is None or groups.errors:
        problems.append(_out_of_reach(client, metadata))
    problems += _missing_rights(client, port, metadata, groups, deadline)
    count = None if groups is None else len(groups.groups)
    topics = sum(not name.startswith("__") for name in metadata.topics)
    listed = f"{_many(len(metadata.brokers), 'broker')}, {_many(topics, 'topic')}"
    message = f"The cluster answers: {listed}{'' if count is None else ', ' + _many(count, 'consumer group')}."
    return ConnectionTest(
        ok=True,
        code="ok",
        message=message,
        seconds=time.monotonic() - started,
        cluster_id=metadata.cluster_id,
        brokers=metadata.brokers,
        topics=topics,
        groups=count,
        problems=tuple(problems),
    )


def _missing_rights(
    client: KafkaClient, port: ConfluentKafka, metadata: Metadata, groups: GroupListings | None, deadline: Deadline
) -> list[str]:
    """Rights are asked for openly: without them the cluster would only show less, and nothing would look wrong."""
    problems: list[str] = []
    with contextlib.suppress(KafkaException, DeadlinePassed, TimeoutError):
        seconds = deadline.timeout(CALL_SECONDS)
        future = client.admin.describe_cluster(include_authorized_operations=True, request_timeout=seconds)
        allowed = future.result(seconds + 0.5).authorized_operations
        if AclOperation.DESCRIBE not in (allowed or []):
            problems.append(
                "The portal's Kafka user has no DESCRIBE on the cluster: it sees only groups it may DESCRIBE one by one."
            )
    names = [name for name in sorted(metadata.topics) if not name.startswith("__")][:1]
    if not names:
        problems.append("The portal sees no topic: either there is none, or its user has no DESCRIBE on topics.")
    else:
        with contextlib.suppress(KafkaException, DeadlinePassed, TimeoutError):
            seconds = deadline.timeout(CALL_SECONDS)
            futures = client.admin.describe_topics(
                TopicCollection(names), include_authorized_operations=True, request_timeout=seconds
            )
            allowed = futures[names[0]].result(seconds + 0.5).authorized_operations
            if AclOperation.DESCRIBE_CONFIGS not in (allowed or []):
                problems.append(
                    f"The portal's Kafka user has no DESCRIBE_CONFIGS on topic {names[0]}:"
                    " cleanup policy, timestamp type and retention stay unknown."
                )
    if groups is not None and groups.groups:
        group = min(groups.groups)
        answer = port.committed([group], deadline)[group]
        if answer.error is not None:
            problems.append(answer.error.message)
    elif groups is not None:
        problems.append(
            "The portal sees no consumer group: either there is none, or its user has no DESCRIBE on groups."
        )
    return problems


def _out_of_reach(client: KafkaClient, metadata: Metadata) -> str:
    said = " ".join(client.hints())
    missing = [f"{broker.host}:{broker.port}" for broker in metadata.brokers if f"{broker.host}:{broker.port}/" in said]
    names = ", ".join(missing) if missing else "at least one of the brokers"
    return f"Not every broker can be reached: {names}. The cluster names them so in advertised.listeners."


def _certificate_problems(properties: Mapping[str, str], now: datetime) -> list[str]:
    certificate = client_certificate(properties)
    if certificate is None:
        return []
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if ends < now:
        return [f"The portal's client certificate has expired on {ends:%Y-%m-%d}."]
    if begins > now:
        return [f"The portal's client certificate is not valid before {begins:%Y-%m-%d}."]
    return []


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
