"""A real broker with a mutual TLS listener, ACLs and the authorizer's log, shared by the tests that need refusals and
certificates: fixture `secured_kafka`.

It is the demo's own security (ops_portal/demo/pki.py, deploy/kafka/secured.properties). Tests that use it carry the marker
`kafka` and run in the xdist group `secured`. They share the broker: make topics with names of your own, and give
certificates and rights with `identity` and `allow`.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from ops_portal.demo.pki import Authority, Kind, Wanted, broker_certificate, broker_name, client_properties
from ops_portal.lib.kafka_runner import KafkaCluster, KafkaUnavailable, Secured, free_ports, kafka_home
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import KAFKA_VAR, create_topic, unavailable

TRADES = "trades"  # there from the start, three partitions
_names = itertools.count(1)


@dataclass(frozen=True)
class SecuredKafka:
    """`bootstrap` is the plaintext listener (User:ANONYMOUS, may everything), `secure` the one with mutual TLS.

    There from the start, all on topic `trades`: `writer` (WRITE), `reader` (READ, groups `reader-*`), `banned` (WRITE and
    a DENY of WRITE), `stranger` (a certificate, no rights), `expiring` (20 days left, WRITE), `expired` (WRITE).
    """

    cluster: KafkaCluster
    authority: Authority
    admin: AdminClient

    @property
    def bootstrap(self) -> str:
        return self.cluster.bootstrap

    @property
    def secure(self) -> str:
        return self.cluster.secure_bootstrap

    @property
    def secure_port(self) -> int:
        return int(self.secure.rpartition(":")[2])

    @property
    def authorizer_log(self) -> Path:
        return self.cluster.authorizer_log(1)

    @property
    def server_log(self) -> Path:
        """Where failed authentications are told (logger org.apache.kafka.common.network.Selector)."""
        return self.authorizer_log.with_name("server.log")

    def denials(self, principal: str = "") -> list[str]:
        """Lines of the authorizer's log, those of one principal where one is named."""
        lines = self.authorizer_log.read_text(encoding="utf-8").splitlines() if self.authorizer_log.exists() else []
        return [line for line in lines if "is Denied" in line and (not principal or f"User:{principal} " in line)]

    def identity(self, name: str, *, days: float = 300.0) -> dict[str, str]:
        """Client properties of `name`, with bootstrap servers; its certificate is issued when there is none."""
        self.authority.ensure([Wanted(name, Kind.CLIENT, days=days, least_days=None)])
        return client_properties(self.authority, name) | {"bootstrap.servers": self.secure, "log_level": "0"}

    def allow(
        self,
        name: str,
        operation: AclOperation,
        *,
        topic: str = "",
        group: str = "",
        prefixed: bool = False,
        deny: bool = False,
    ) -> None:
        """A right (or its denial) of principal `name` on a topic, else a group, else the cluster; in force on return."""
        kind = ResourceType.TOPIC if topic else ResourceType.GROUP if group else ResourceType.BROKER
        pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
        permission = AclPermissionType.DENY if deny else AclPermissionType.ALLOW
        rule = AclBinding(kind, topic or group or "kafka-cluster", pattern, f"User:{name}", "*", operation, permission)
        self.admin.create_acls([rule])[rule].result(20)
        wanted = AclBindingFilter(kind, rule.name, pattern, rule.principal, "*", operation, permission)
        assert wait_until(lambda: bool(self.admin.describe_acls(wanted).result(20)), seconds=20)

    def topic(self, name: str = "topic", partitions: int = 1) -> str:
        """A new topic with a name of its own."""
        made = f"{name}-{os.getpid()}-{next(_names)}"
        create_topic(self.admin, made, partitions, 1, {})
        return made


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """The broker; see `SecuredKafka`. Do not stop it."""
    directory = tmp_path_factory.mktemp("secured-kafka")
    authority = Authority(directory / "pki")
    authority.ensure([broker_certificate(1)])
    broker, controller, secure = free_ports(3)
    secured = Secured((secure,), (authority.files(broker_name(1)).keystore,), authority.root)
    try:
        cluster = KafkaCluster(kafka_home(KAFKA_VAR), directory / "kafka", ((broker, controller),), secured=secured)
        cluster.start()
    except KafkaUnavailable as reason:
        unavailable(str(reason))
        raise
    try:
        made = SecuredKafka(cluster, authority, AdminClient({"bootstrap.servers": cluster.bootstrap}))
        _let_in(made)
        yield made
    finally:
        cluster.stop_all()


def _let_in(kafka: SecuredKafka) -> None:
    create_topic(kafka.admin, TRADES, 3, 1, {})
    for name, days in (("writer", 300.0), ("banned", 300.0), ("expiring", 20.0), ("expired", -3.0)):
        kafka.identity(name, days=days)
        kafka.allow(name, AclOperation.WRITE, topic=TRADES)
    kafka.allow("banned", AclOperation.WRITE, topic=TRADES, deny=True)
    kafka.identity("reader")
    kafka.allow("reader", AclOperation.READ, topic=TRADES)
    kafka.allow("reader", AclOperation.READ, group="reader-", prefixed=True)
    kafka.identity("stranger")
