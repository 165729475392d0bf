"""A broker with TLS, SCRAM and ACLs: what the portal needs, and what it says when something is wrong."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from clusters.gateways.kafka import ConfluentKafka
from clusters.gateways.kafka_bulk import BulkReader
from clusters.gateways.kafka_client import KafkaClient
from clusters.gateways.kafka_probe import ConnectionTest, probe_connection
from clusters.ports import Broker, GatewayFailed, OffsetSpec, RequestCount
from ops_portal.lib.clock import Clock
from ops_portal.lib.database import database_clock
from ops_portal.lib.kafka_runner import KafkaCluster, KafkaUnavailable, free_ports, kafka_home
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.clusters.kafka_helpers import commit
from tests.kafka_fixtures import KAFKA_VAR, create_topic, unavailable
from tests.pki import Authority

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("secured")]

PASSWORD = "correct-horse-battery-staple"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PLAIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_portal="{PASSWORD}";'
# What docs/kafka-permissions.md asks for, and nothing else.
RIGHTS = (
    (ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE),
    (ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE_CONFIGS),
    (ResourceType.GROUP, "*", AclOperation.DESCRIBE),
    (ResourceType.TOPIC, "*", AclOperation.DESCRIBE),
    (ResourceType.TOPIC, "*", AclOperation.DESCRIBE_CONFIGS),
)


@dataclasses.dataclass(frozen=True)
class Secured:
    """The broker, its listeners and those who may come."""

    authority: Authority
    plaintext: str
    ssl: str
    sasl_ssl: str
    sasl_plaintext: str
    denials: Path
    admin: AdminClient

    def denied(self) -> list[str]:
        """Lines of the authorizer's log."""
        lines = self.denials.read_text(encoding="utf-8").splitlines() if self.denials.exists() else []
        return [line for line in lines if "is Denied" in line]

    def login(self, user: str = "portal", password: str = PASSWORD, mechanism: str = "SCRAM-SHA-256") -> dict[str, str]:
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": password,
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    authority = Authority()
    leaf = authority.issue("broker")
    (directory / "broker.pem").write_text(leaf.key + leaf.certificate, encoding="ascii")
    (directory / "root.pem").write_text(authority.pem, encoding="ascii")
    plaintext, controller, ssl, sasl_ssl, sasl = free_ports(5)
    ports = {"PLAINTEXT": plaintext, "CONTROLLER": controller, "SSL": ssl, "SASL_SSL": sasl_ssl, "SASL_PLAINTEXT": sasl}
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    settings = {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(directory / "root.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^.*CN=([a-z-]+).*$/$1/,DEFAULT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }
    for name in ("sasl_ssl", "sasl_plaintext"):
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            settings[f"listener.name.{name}.{mechanism}.sasl.jaas.config"] = SCRAM
        settings[f"listener.name.{name}.plain.sasl.jaas.config"] = PLAIN
    log = directory / "log4j2.properties"
    log.write_text(_LOG.format(file=directory / "authorizer.log"), encoding="ascii")
    try:
        cluster = KafkaCluster(
            kafka_home(KAFKA_VAR),
            directory,
            ((plaintext, controller),),
            settings,
            jvm_options=(f"-Dlog4j2.configurationFile={log}",),
        )
        cluster.start()
    except KafkaUnavailable as reason:
        unavailable(str(reason))
        raise
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{plaintext}"})
    _let_in(admin)
    yield Secured(
        authority,
        plaintext=f"127.0.0.1:{plaintext}",
        ssl=f"127.0.0.1:{ssl}",
        sasl_ssl=f"127.0.0.1:{sasl_ssl}",
        sasl_plaintext=f"127.0.0.1:{sasl}",
        denials=directory / "authorizer.log",
        admin=admin,
    )
    cluster.stop_all()


_LOG = """status = error
appender.file.type = File
appender.file.name = FILE
appender.file.fileName = {file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d] %p %m (%c)%n
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = OUT
logger.auth.name = kafka.authorizer.logger
logger.auth.level = INFO
logger.auth.additivity = false
logger.auth.appenderRef.file.ref = FILE
"""


def _let_in(admin: AdminClient) -> None:
    """Users `portal` (the documented rights) and `stranger` (none), a topic and two groups."""
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        for user in ("portal", "stranger"):
            _set_password(admin, user, mechanism)
    rules = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:portal", "*", operation, AclPermissionType.ALLOW)
        for kind, name, operation in RIGHTS
    ]
    rules.append(
        AclBinding(
            ResourceType.GROUP,
            "hidden",
            ResourcePatternType.LITERAL,
            "User:portal",
            "*",
            AclOperation.ALL,
            AclPermissionType.DENY,
        )
    )
    for future in admin.create_acls(rules).values():
        future.result(20)
    create_topic(admin, "trades", 3, 1, {})
    broker = admin.list_topics(timeout=10).brokers[1]
    producer = Producer({"bootstrap.servers": f"{broker.host}:{broker.port}"})
    producer.produce("trades", b"x", partition=0)
    assert producer.flush(20) == 0
    for group in ("risk", "hidden"):
        commit(f"{broker.host}:{broker.port}", group, "trades", 1)


def _set_password(admin: AdminClient, user: str, mechanism: ScramMechanism = ScramMechanism.SCRAM_SHA_256) -> None:
    change = UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())
    admin.alter_user_scram_credentials([change])[user].result(20)


def connected(bootstrap: str, properties: dict[str, str]) -> ConfluentKafka:
    return ConfluentKafka(KafkaClient(bootstrap, properties), Clock(0.0))


def refused(bootstrap: str, properties: dict[str, str]) -> GatewayFailed:
    with pytest.raises(GatewayFailed) as failure:
        connected(bootstrap, properties).metadata(Deadline.after(4))
    assert PASSWORD not in str(failure.value)
    return failure.value


def tls(secured: Secured, **more: str) -> dict[str, str]:
    given = {name.replace("_", "."): value for name, value in more.items()}
    return {"security.protocol": "SSL", "ssl.ca.pem": secured.authority.pem} | given


def client_pair(authority: Authority, **options: float | str) -> dict[str, str]:
    leaf = authority.issue("portal", **options)  # type: ignore[arg-type]
    return {"ssl_certificate_pem": leaf.certificate, "ssl_key_pem": leaf.key}


# --- who gets in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_a_user_signs_in(secured: Secured, mechanism: str) -> None:
    port = connected(secured.sasl_plaintext, secured.login(mechanism=mechanism))
    assert "trades" in port.metadata(Deadline.after(10)).topics


def test_a_user_signs_in_over_tls(secured: Secured) -> None:
    properties = secured.login() | tls(secured) | {"security.protocol": "SASL_SSL"}
    assert "trades" in connected(secured.sasl_ssl, properties).metadata(Deadline.after(10)).topics


def test_a_client_certificate_is_shown(secured: Secured) -> None:
    port = connected(secured.ssl, tls(secured, **client_pair(secured.authority)))
    assert "trades" in port.metadata(Deadline.after(10)).topics


def test_an_encrypted_key_is_opened(secured: Secured) -> None:
    pair = client_pair(secured.authority, password="sesame")
    port = connected(secured.ssl, tls(secured, **pair, ssl_key_password="sesame"))
    assert "trades" in port.metadata(Deadline.after(10)).topics


def in_bulk(bootstrap: str, properties: dict[str, str]) -> list[str]:
    """Groups whose commits the portal's own requests read with these settings, without the library."""
    host, _, port = bootstrap.rpartition(":")
    reader = BulkReader(properties)
    reader.know([Broker(1, host, int(port))])
    return [group for group, _, _ in reader.committed(["risk"], RequestCount(), Deadline.after(10))]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_the_portal_s_own_requests_sign_in(secured: Secured, mechanism: str) -> None:
    login = secured.login(mechanism=mechanism)
    assert in_bulk(secured.sasl_plaintext, login) == ["risk"]
    assert in_bulk(secured.sasl_ssl, login | tls(secured) | {"security.protocol": "SASL_SSL"}) == ["risk"]
    assert in_bulk(secured.sasl_plaintext, login | {"sasl.password": "wrong-wrong"}) == []


def test_the_portal_s_own_requests_show_a_certificate_and_check_the_broker_s(secured: Secured) -> None:
    pair = client_pair(secured.authority, password="sesame")
    properties = tls(secured, **pair, ssl_key_password="sesame")
    assert in_bulk(secured.ssl, properties) == ["risk"]
    assert in_bulk(secured.ssl, tls(secured)) == []
    assert in_bulk(secured.ssl, properties | {"ssl.key.password": "wrong"}) == []
    assert in_bulk(secured.ssl, properties | {"ssl.ca.pem": Authority("Another Root").pem}) == []


# --- who does not, and what is said -----------------------------------------------------------------------------------


def test_a_wrong_password_is_called_that(secured: Secured) -> None:
    failure = refused(secured.sasl_plaintext, secured.login(password="wrong-wrong"))
    assert (failure.code, failure.message) == (
        "authentication",
        f"{secured.sasl_plaintext} refuses the user name or the password.",
    )


def test_an_expired_client_certificate_is_refused(secured: Secured) -> None:
    properties = tls(secured, **client_pair(secured.authority, days=-2))
    failure = refused(secured.ssl, properties)
    assert failure.code == "tls"
    assert "client certificate" in failure.message


def test_a_missing_client_certificate_is_told(secured: Secured) -> None:
    failure = refused(secured.ssl, tls(secured))
    assert failure.code == "tls"
    assert "client certificate" in failure.message


def test_a_client_certificate_of_a_stranger_is_refused(secured: Secured) -> None:
    failure = refused(secured.ssl, tls(secured, **client_pair(Authority("Another Root"))))
    assert failure.code == "tls"
    assert "client certificate" in failure.message


def test_a_broker_s_certificate_of_an_unknown_authority_is_refused(secured: Secured) -> None:
    failure = refused(secured.ssl, {"security.protocol": "SSL", "ssl.ca.pem": Authority("Another Root").pem})
    assert failure.code == "tls"
    assert "not signed by a trusted authority" in failure.message


def test_plaintext_to_a_tls_listener_is_told(secured: Secured) -> None:
    failure = refused(secured.ssl, {})
    assert failure.code == "wrong_listener"
    assert "security.protocol" in failure.message


def test_tls_to_a_plaintext_listener_is_told(secured: Secured) -> None:
    assert refused(secured.plaintext, tls(secured)).code == "wrong_listener"


def test_nothing_listens(secured: Secured) -> None:
    (port,) = free_ports(1)
    failure = refused(f"127.0.0.1:{port}", {})
    assert (failure.code, failure.message) == ("refused", f"Nothing listens at 127.0.0.1:{port} (connection refused).")


def test_a_name_that_does_not_resolve(secured: Secured) -> None:
    failure = refused("kafka.invalid:9092", {})
    assert failure.code == "dns"
    assert "kafka.invalid:9092" in failure.message


def test_a_broken_key_never_shows_in_the_error(secured: Secured) -> None:
    leaf = secured.authority.issue("portal")
    broken = leaf.key.replace("MIG", "XXX")
    with pytest.raises(GatewayFailed) as failure:
        KafkaClient(
            secured.ssl, {"security.protocol": "SSL", "ssl.certificate.pem": leaf.certificate, "ssl.key.pem": broken}
        )
    assert failure.value.code == "configuration"
    assert broken[40:80] not in failure.value.message


# --- rights -----------------------------------------------------------------------------------------------------------


def read_all(port: ConfluentKafka) -> set[str]:
    """Everything a poll reads; returns the groups it saw."""
    deadline = Deadline.after(20)
    metadata = port.metadata(deadline)
    groups = port.list_groups(deadline).groups
    port.committed([group for group in groups if group != "hidden"], deadline)
    port.describe_groups([group for group in groups if group != "hidden"], deadline)
    places = [(topic, one.partition) for topic, found in metadata.topics.items() for one in found.partitions]
    for spec in OffsetSpec:
        assert port.offsets(places, spec, deadline).errors == ()
    port.offsets_at(dict.fromkeys(places, 1.0), deadline)
    identities, errors = port.topic_identities(["trades"], deadline)
    assert errors == ()
    assert identities["trades"].cleanup_policy == "delete"
    port.unmeasured_groups([group for group in groups if group != "hidden"], deadline)
    return set(groups)


def test_the_documented_rights_suffice_without_a_denial(secured: Secured) -> None:
    before = [line for line in secured.denied() if "hidden" not in line]
    assert "risk" in read_all(connected(secured.sasl_plaintext, secured.login()))
    assert [line for line in secured.denied() if "hidden" not in line] == before


def test_a_group_that_may_not_be_read_fails_alone(secured: Secured) -> None:
    port, deadline = connected(secured.sasl_plaintext, secured.login()), Deadline.after(20)
    port.metadata(deadline)
    found = port.committed(["risk", "hidden"], deadline)
    assert found["risk"].offsets == {("trades", 0): 1}
    assert found["hidden"].error is not None
    assert (found["hidden"].error.entity, found["hidden"].error.code) == ("group:hidden", "not_allowed")
    assert "DESCRIBE" in found["hidden"].error.message
    described = port.describe_groups(["risk", "hidden"], deadline)
    assert described["risk"].error is None
    assert described["hidden"].error is not None
    assert described["hidden"].error.code == "not_allowed"


@pytest.mark.django_db
def test_the_connection_test_names_missing_rights(secured: Secured) -> None:
    def test(user: str) -> ConnectionTest:
        return probe_connection(secured.sasl_plaintext, secured.login(user), clock=database_clock())

    allowed, stranger = test("portal"), test("stranger")
    assert (allowed.ok, allowed.topics) == (True, 1)
    assert ["group hidden" in problem for problem in allowed.problems] == [True]
    assert stranger.ok
    assert stranger.topics == stranger.groups == 0
    told = " ".join(stranger.problems)
    assert "DESCRIBE on the cluster" in told
    assert "DESCRIBE on topics" in told
    assert "DESCRIBE on groups" in told


@pytest.mark.django_db
def test_the_connection_test_tells_of_an_expired_certificate_with_its_day(secured: Secured) -> None:
    leaf = secured.authority.issue("portal", days=-2)
    properties = tls(secured, ssl_certificate_pem=leaf.certificate, ssl_key_pem=leaf.key)
    found = probe_connection(secured.ssl, properties, clock=database_clock(), seconds=6)
    assert not found.ok
    assert "client certificate has expired on" in found.message


def test_wrong_passwords_never_reach_the_log(secured: Secured, capfd: pytest.CaptureFixture[str]) -> None:
    refused(secured.sasl_plaintext, secured.login(password="a-wrong-password"))
    assert "a-wrong-password" not in "".join(capfd.readouterr())
    assert os.environ.get("SASL_PASSWORD") is None


def test_all_settles_when_the_user_is_let_in_later(secured: Secured) -> None:
    """A client that was refused goes on by itself once the password is right."""
    client = KafkaClient(secured.sasl_plaintext, secured.login("late"))
    port = ConfluentKafka(client, Clock(0.0))
    with pytest.raises(GatewayFailed) as failure:
        port.metadata(Deadline.after(2))
    assert failure.value.code == "authentication"
    _set_password(secured.admin, "late")

    def answers() -> bool:
        try:
            return bool(port.metadata(Deadline.after(2)).brokers)
        except GatewayFailed:
            return False

    assert wait_until(answers, seconds=20)
