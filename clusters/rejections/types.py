"""Words and values of rejections. One enum defines value, label and tone."""

from enum import StrEnum
from typing import NamedTuple

from ops_portal.lib.tones import Tone


class Kind(StrEnum):
    """What refused (interfaces.md 6)."""

    ACL = "acl"
    AUTHENTICATION = "authentication"
    SCHEMA = "schema"
    QUOTA = "quota"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def tone(self) -> Tone:
        return Tone.CRITICAL if self is Kind.SCHEMA else Tone.WARNING


_LABELS = {
    Kind.ACL: "access denied",
    Kind.AUTHENTICATION: "sign-in failed",
    Kind.SCHEMA: "schema refused",
    Kind.QUOTA: "throttled",
}


class Origin(StrEnum):
    """Where the portal knows a rejection from. What a broker merely counts has no who, and is told beside the rest."""

    LOG = "log"  # a line of a broker's or registry's log
    REPORT = "report"  # POST /api/v1/ingest/rejections
    METRIC = "metric"  # a series that names who it was: throttle times, schema_validation_failures
    COUNTER = "counter"  # a broker's own count, without who: error codes, failed authentications per listener


class Resource(StrEnum):
    """Kafka's resource types, as its authorizer names them."""

    TOPIC = "topic"
    GROUP = "group"
    CLUSTER = "cluster"
    TRANSACTIONAL_ID = "transactional_id"
    DELEGATION_TOKEN = "delegation_token"  # noqa: S105  # a resource type of Kafka
    USER = "user"


class Rejected(NamedTuple):
    """One refusal, or `times` equal ones. `at` is in seconds since the epoch, None where nothing says when."""

    kind: Kind
    at: float | None = None
    principal: str = ""  # Type:name
    resource_type: str = ""  # a Resource, or a word that is not known yet
    resource: str = ""  # name of the topic, group ...
    pattern: str = ""  # LITERAL | PREFIXED
    subject: str = ""
    host: str = ""
    listener: str = ""  # name, or the local port where the name is not told
    operation: str = ""  # WRITE, SCRAM-SHA-256, Produce ...
    request: str = ""  # Kafka request: Metadata, Produce ...
    rule: str = ""  # what refused it; empty = not told
    client: str = ""  # named by whoever reported it
    times: int = 1
