"""Admin reads beyond lag, through confluent-kafka. Implements `clusters.admin_ports.AdminPort`; runs in the Kafka child."""

import time
from collections.abc import Collection, Mapping
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AclBindingFilter, AclOperation, AclPermissionType, ResourcePatternType
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import _AdminClientImpl as Calls  # see kafka_calls

from clusters.admin_ports import Acl, ClusterView, Configs
from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_calls import Reply, in_flight
from clusters.gateways.kafka_errors import entity_error, error_name, late
from clusters.ports import Broker, EntityError, GatewayFailed
from ops_portal.lib.resilience import Deadline

BROKERS_IN_FLIGHT = 16
CONFIG_SECONDS = 3.0
CANARY_SECONDS = 2.0  # other reads of the cluster wait meanwhile

_RESOURCES = {  # Kafka's words where they differ from the client's
    "broker": "cluster",
    "transactional_id": "transactional_id",
}


class KafkaAdmin(ConfluentKafka):
    """`ConfluentKafka` with the calls of `AdminPort`, but for `refusals`, which needs no client."""

    def describe_cluster(self, deadline: Deadline) -> ClusterView:
        def send(_: None, reply: Reply[None], timeout: float) -> None:
            Calls.describe_cluster(self._client.admin, reply, request_timeout=timeout)

        answer = self._single(send, deadline)
        self.requests.add("DescribeCluster")
        if answer.error is not None:
            raise self._client.failure(answer.error)
        found = answer.value
        brokers = (Broker(node.id, str(node.host), node.port, node.rack) for node in found.nodes)
        return ClusterView(found.cluster_id, tuple(sorted(brokers, key=lambda broker: broker.id)))

    def broker_configs(self, ids: Collection[int], deadline: Deadline) -> Configs:
        def send(broker: int, reply: Reply[int], timeout: float) -> None:
            # The client sends it to that broker itself, and takes one at a time.
            Calls.describe_configs(
                self._client.admin, [ConfigResource(ResourceType.BROKER, str(broker))], reply, request_timeout=timeout
            )

        self.requests.add("DescribeConfigs", len(ids))
        found: dict[str, Mapping[str, str | None]] = {}
        errors: dict[int, EntityError] = {}
        for answer in in_flight(
            sorted(ids), send, window=BROKERS_IN_FLIGHT, call_seconds=CONFIG_SECONDS, deadline=deadline
        ):
            error: object = answer.error
            if error is None:
                resource, settings = next(iter(answer.value.items()))
                error = resource.error
                if error is None:
                    found[str(answer.key)] = _settings(settings)
                    continue
            errors[answer.key] = entity_error(f"broker:{answer.key}", error)
        for broker in ids:
            if str(broker) not in found and broker not in errors:
                errors[broker] = late(f"broker:{broker}")
        return Configs(found, tuple(errors.values()))

    def topic_configs(self, topics: Collection[str], deadline: Deadline) -> Configs:
        found: dict[str, Mapping[str, str | None]] = {}
        errors = []
        answers = self._by_topic("DescribeConfigs", sorted(topics), self._send_describe_configs, deadline)
        for name, answer in answers.items():
            if isinstance(answer, EntityError):
                errors.append(answer)
            else:
                found[name] = _settings(answer)
        return Configs(found, tuple(errors))

    def acls(self, deadline: Deadline) -> tuple[Acl, ...]:
        anybody: Any = None  # the stub does not know that it means any
        anything = AclBindingFilter(
            ResourceType.ANY,
            anybody,
            ResourcePatternType.ANY,
            anybody,
            anybody,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )

        def send(_: None, reply: Reply[None], timeout: float) -> None:
            Calls.describe_acls(self._client.admin, anything, reply, request_timeout=timeout)

        answer = self._single(send, deadline)
        self.requests.add("DescribeAcls")
        if answer.error is None:
            return tuple(map(_acl, answer.value))
        if error_name(answer.error) == "CLUSTER_AUTHORIZATION_FAILED":
            raise GatewayFailed(
                "not_allowed", "The portal's Kafka user may not list ACLs: it needs DESCRIBE on the cluster."
            )
        raise self._client.failure(answer.error)

    def canary(self, topic: str, deadline: Deadline) -> float:
        seconds = deadline.timeout(CANARY_SECONDS)
        done, faults = Event(), []

        def delivered(error: KafkaError | None, _: object) -> None:
            if error is not None:
                faults.append(error)
            done.set()

        producer = self._canary_producer()
        begun = time.monotonic()
        try:
            producer.produce(topic, key=b"canary", value=f"{self._clock.now():.3f}".encode(), on_delivery=delivered)
        except (KafkaException, BufferError) as error:
            raise self._client.failure(error) from None
        while not done.is_set() and time.monotonic() - begun < seconds:
            producer.poll(0.05)
        self.requests.add("Produce")
        if faults:
            raise GatewayFailed("not_acknowledged", _refused_canary(topic, faults[0]))
        if not done.is_set():
            raise GatewayFailed("not_acknowledged", f"The record was not acknowledged within {seconds:.1f} s.")
        return time.monotonic() - begun

    def _canary_producer(self) -> Producer:
        """One producer for the life of the client: a connection per record would be most of the time that is measured."""
        made: Producer | None = getattr(self._client, "canary_producer", None)
        if made is None:
            settings: dict[str, Any] = {
                **self._client.properties,
                "bootstrap.servers": self._client.bootstrap,
                "client.id": "ops-portal-canary",
                "acks": "all",
                "enable.idempotence": False,  # needs a right of its own on old brokers; one record in flight needs none
                "linger.ms": 0,
                "message.timeout.ms": int(CANARY_SECONDS * 1000) - 200,
                "allow.auto.create.topics": False,
                "topic.metadata.propagation.max.ms": 0,  # a topic that is not there is not waited for
                "log_level": 2,
                "enable.metrics.push": False,
            }
            try:
                made = Producer(settings)
            except (KafkaException, TypeError, ValueError) as error:
                raise self._client.failure(error) from None
            self._client.canary_producer = made  # type: ignore[attr-defined]  # kept with the client, ends with it
        return made


def _settings(entries: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: None if entry.is_sensitive else entry.value for name, entry in entries.items()}


def _acl(found: Any) -> Acl:
    resource = found.restype.name.lower()
    return Acl(
        principal=found.principal,
        host=found.host,
        resource=_RESOURCES.get(resource, resource),
        name=found.name,
        pattern=found.resource_pattern_type.name.lower(),
        operation=found.operation.name.lower(),
        permission=found.permission_type.name.lower(),
    )


def _refused_canary(topic: str, error: KafkaError) -> str:
    name = error.name()
    if name in {"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}:
        return f"The portal's Kafka user may not write to {topic}: it needs WRITE and DESCRIBE on it."
    if name in {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"}:
        return f"The topic {topic} does not exist."
    return f"The record was not acknowledged: {name}."
