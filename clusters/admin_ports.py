"""What the portal asks of a Kafka cluster beyond lag: who its brokers are, how they are set up, what they permit.

`AdminPort` extends `clusters.ports.KafkaPort`, with the same rules: every method takes a `Deadline`, reports what failed per
entity, and raises `GatewayFailed` only when the cluster as a whole did not answer.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from clusters.ports import Broker, EntityError, KafkaPort
from ops_portal.lib.resilience import Deadline

Settings = Mapping[str, str | None]  # None = set, but secret or empty


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster as one broker describes it. In KRaft that broker names any live one as controller: never believe it."""

    cluster_id: str | None
    brokers: tuple[Broker, ...]


@dataclass(frozen=True, slots=True)
class Configs:
    """Settings by broker id or topic; an entity that failed is among the errors instead."""

    found: Mapping[str, Settings]
    errors: tuple[EntityError, ...] = ()


@dataclass(frozen=True, slots=True)
class Acl:
    """One rule. `pattern` literal | prefixed, `permission` allow | deny, `operation` in lower snake words; host `*` = any."""

    principal: str
    host: str
    resource: str  # topic | group | cluster | transactional_id | delegation_token | user
    name: str
    pattern: str
    operation: str
    permission: str


class AdminPort(KafkaPort, Protocol):
    """Reads of one cluster, and the one record that proves that it takes records."""

    def describe_cluster(self, deadline: Deadline) -> ClusterView:
        """Brokers with their racks."""

    def broker_configs(self, ids: Collection[int], deadline: Deadline) -> Configs:
        """Settings of each broker, as that broker tells them: listeners, log.dirs, min.insync.replicas ... Key = id as text."""

    def topic_configs(self, topics: Collection[str], deadline: Deadline) -> Configs:
        """Settings of each topic, defaults filled in by the cluster."""

    def acls(self, deadline: Deadline) -> tuple[Acl, ...]:
        """Every rule; none too where there is no authorizer (`authorizer.class.name` of a broker tells).

        Raises GatewayFailed(`not_allowed`) without DESCRIBE on the cluster.
        """

    def refusals(self, addresses: Collection[str], deadline: Deadline) -> Mapping[str, str]:
        """Why each `host:port` takes no TCP connection, as a sentence; empty where it does."""

    def canary(self, topic: str, deadline: Deadline) -> float:
        """Write one small record that all in-sync replicas must acknowledge; seconds that it took. Raises GatewayFailed."""
