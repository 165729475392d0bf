"""The ways into the demo's Kafka, and the rules of who may do what there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from ops_portal.demo.pki import Authority, broker_certificate, client_properties
from ops_portal.demo.principals import PRINCIPALS, REGISTRY, Principal, Right, principal_of_group
from ops_portal.demo.topology import BROKERS

_CALL_SECONDS = 20
_DUE_SOON_DAYS = 75.0  # one broker is below the 90 days at which brokers are to be rotated


@dataclass(frozen=True, slots=True)
class Doors:
    """The plaintext listener, for the platform's own programs, and the one for clients with a certificate.

    Without `secure` everybody comes by the plaintext one.
    """

    plaintext: str
    secure: str = ""
    pki: Path | None = None

    def own(self) -> dict[str, str]:
        """Connection of the platform's own programs, who may do everything."""
        return {"bootstrap.servers": self.plaintext}

    def of(self, principal: str) -> dict[str, str]:
        """Connection of a principal."""
        if not self.secure or self.pki is None:
            return self.own()
        return {"bootstrap.servers": self.secure, **client_properties(Authority(self.pki), principal)}

    def of_group(self, group: str) -> dict[str, str]:
        """Connection of a consumer group's members."""
        principal = principal_of_group(group)
        return self.of(principal) if principal else self.own()


def certificates(directory: Path) -> Authority:
    """The demo's authority with every certificate of its cast; broker 3 is due for rotation."""
    authority = Authority(directory)
    brokers = [
        broker_certificate(number, days=_DUE_SOON_DAYS) if number == BROKERS else broker_certificate(number)
        for number in range(1, BROKERS + 1)
    ]
    authority.ensure([*brokers, REGISTRY, *(one.certificate for one in PRINCIPALS)])
    return authority


def apply_rules(connection: Mapping[str, str], principals: Iterable[Principal] = PRINCIPALS) -> None:
    """Every right of every principal as an ACL; safe to repeat."""
    admin = AdminClient({**connection, "log_level": 2})
    rules = [_rule(one.name, right) for one in principals for right in one.rights]
    for future in admin.create_acls(rules, request_timeout=_CALL_SECONDS).values():
        future.result(timeout=_CALL_SECONDS)


def _rule(principal: str, right: Right) -> AclBinding:
    kind = ResourceType.TOPIC if right.topic else ResourceType.GROUP if right.group else ResourceType.BROKER
    name = right.topic or right.group or "kafka-cluster"
    prefixed = name.endswith("*") and name != "*"
    return AclBinding(
        kind,
        name.removesuffix("*") if prefixed else name,
        ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
        f"User:{principal}",
        "*",
        AclOperation[right.operation],
        AclPermissionType.DENY if right.denied else AclPermissionType.ALLOW,
    )
