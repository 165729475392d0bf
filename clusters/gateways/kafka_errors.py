"""What went wrong with Kafka, as codes and sentences a person can act on. Nothing here repeats a secret."""

import re
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException

from clusters.ports import EntityError, GatewayFailed

# Worth one more try after a look at the metadata: a leader or a coordinator has moved.
MOVED = frozenset(
    {
        "NOT_LEADER_FOR_PARTITION",
        "LEADER_NOT_AVAILABLE",
        "REPLICA_NOT_AVAILABLE",
        "BROKER_NOT_AVAILABLE",
        "UNKNOWN_TOPIC_OR_PART",
        "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH",
        "OFFSET_NOT_AVAILABLE",
        "KAFKA_STORAGE_ERROR",
        "NETWORK_EXCEPTION",
        "NOT_COORDINATOR",
        "COORDINATOR_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "_TRANSPORT",
        "_DESTROY_BROKER",
        "_UNKNOWN_PARTITION",
        "_UNKNOWN_TOPIC",
        "_NOENT",
        "_WAIT_COORD",
    }
)

TIMED_OUT = frozenset({"_TIMED_OUT", "_TIMED_OUT_QUEUE", "_MSG_TIMED_OUT", "REQUEST_TIMED_OUT"})

_ENTITY_CODES = {
    "GROUP_AUTHORIZATION_FAILED": "not_allowed",
    "TOPIC_AUTHORIZATION_FAILED": "not_allowed",
    "CLUSTER_AUTHORIZATION_FAILED": "not_allowed",
    "GROUP_ID_NOT_FOUND": "not_found",
    "UNKNOWN_TOPIC_OR_PART": "not_found",
    "UNKNOWN_TOPIC_ID": "not_found",
    "_UNKNOWN_TOPIC": "not_found",
    "_UNKNOWN_PARTITION": "not_found",
    "_NOENT": "not_found",
    "NOT_LEADER_FOR_PARTITION": "leader_unavailable",
    "LEADER_NOT_AVAILABLE": "leader_unavailable",
    "REPLICA_NOT_AVAILABLE": "leader_unavailable",
    "BROKER_NOT_AVAILABLE": "leader_unavailable",
    "OFFSET_NOT_AVAILABLE": "leader_unavailable",
    "FENCED_LEADER_EPOCH": "leader_unavailable",
    "UNKNOWN_LEADER_EPOCH": "leader_unavailable",
    "KAFKA_STORAGE_ERROR": "leader_unavailable",
    "NOT_COORDINATOR": "coordinator_unavailable",
    "COORDINATOR_NOT_AVAILABLE": "coordinator_unavailable",
    "COORDINATOR_LOAD_IN_PROGRESS": "coordinator_unavailable",
    "_WAIT_COORD": "coordinator_unavailable",
    "INVALID_GROUP_ID": "invalid_group",
    "UNSUPPORTED_VERSION": "unsupported",
    "_UNSUPPORTED_FEATURE": "unsupported",
    "REQUEST_TIMED_OUT": "timeout",
    "_TIMED_OUT": "timeout",
    "_TIMED_OUT_QUEUE": "timeout",
    "_MSG_TIMED_OUT": "timeout",
    "_TRANSPORT": "connection",
    "NETWORK_EXCEPTION": "connection",
    "_DESTROY_BROKER": "connection",
    "_AUTHENTICATION": "authentication",
    "SASL_AUTHENTICATION_FAILED": "authentication",
    "_SSL": "tls",
}

_ENTITY_SENTENCES = {
    "not_allowed": "The portal's Kafka user may not read {entity}: it needs DESCRIBE on it (docs/kafka-permissions.md).",
    "not_found": "{entity} is not known to the cluster any more.",
    "leader_unavailable": "{entity} has no leader that answers.",
    "coordinator_unavailable": "The broker that coordinates {entity} is not ready.",
    "invalid_group": "The cluster refuses the name of {entity}.",
    "unsupported": "The cluster is too old to answer this for {entity}.",
    "timeout": "{entity} was not answered in time.",
    "connection": "The connection to the broker that serves {entity} was lost.",
    "authentication": "The broker that serves {entity} refused the portal's credentials.",
    "tls": "No secure connection to the broker that serves {entity}.",
}


def kafka_error(error: object) -> KafkaError | None:
    """The KafkaError in whatever the client hands over; None for errors of another kind."""
    if isinstance(error, KafkaException):
        error = error.args[0] if error.args else None
    return error if isinstance(error, KafkaError) else None


def error_name(error: object) -> str:
    """Kafka's name of the error (`NOT_COORDINATOR`, `_TIMED_OUT`), empty for errors of another kind."""
    found = kafka_error(error)
    return found.name() if found is not None else ""


def entity_error(entity: str, error: object) -> EntityError:
    """The error of one group, topic or partition."""
    name = error_name(error)
    code = _ENTITY_CODES.get(name)
    if code is not None:
        return EntityError(entity, code, _sentence(_ENTITY_SENTENCES[code], entity))
    if name:
        text = f"Kafka answered {name} for {_words(entity)}."
        return EntityError(entity, name.strip("_").lower(), text)
    return EntityError(entity, "unexpected", f"An unexpected answer for {_words(entity)}: {type(error).__name__}.")


def late(entity: str) -> EntityError:
    """The error of an entity that was not answered within the deadline."""
    return EntityError(entity, "timeout", _sentence(_ENTITY_SENTENCES["timeout"], entity))


def leaderless(entity: str) -> EntityError:
    """The error of a partition that no broker leads at the moment."""
    return EntityError(entity, "leader_unavailable", _sentence(_ENTITY_SENTENCES["leader_unavailable"], entity))


def _words(entity: str) -> str:
    return entity.replace(":", " ", 1)


def _sentence(pattern: str, entity: str) -> str:
    text = pattern.format(entity=_words(entity))
    return text[0].upper() + text[1:]


# --- Failure of the cluster as a whole --------------------------------------------------------------------------------
# What librdkafka says in its own words, most telling first. Each: pattern, code, sentence; {at} is the address.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (r"broker's supported mechanisms|unsupported sasl mechanism|UNSUPPORTED_SASL_MECHANISM", "authentication",
     "{at} does not offer the chosen SASL mechanism; sasl.mechanism must be one that the listener has enabled."),
    (r"invalid credentials|authentication failed|SaslAuthenticate|_AUTHENTICATION", "authentication",
     "{at} refuses the user name or the password."),
    (r"verify failed.*expired|certificate has expired", "tls",
     "The certificate that {at} shows has expired."),
    (r"verify failed.*not yet valid", "tls",
     "The certificate that {at} shows is not valid yet."),
    (r"hostname mismatch|ip address mismatch", "tls",
     "The certificate that {at} shows is made out to another name; use the name it carries in the bootstrap address."),
    (r"self.signed certificate|unable to get (local )?issuer|verify failed|verification failed", "tls",
     "The certificate that {at} shows is not signed by a trusted authority; give the right one as ssl.ca.pem."),
    (r"alert certificate expired|alert number 45", "tls",
     "{at} refuses the portal's client certificate: it has expired."),
    (r"alert (bad certificate|certificate unknown|unknown ca|certificate required|access denied)|alert number (42|46|48|49|116)", "tls",
     "{at} refuses the portal's client certificate; it must be valid and signed by an authority the cluster trusts."),
    (r"alert (handshake failure|protocol version)|alert number (40|70)", "tls",
     "{at} refuses the secure connection: no common TLS version or cipher, or it asks for a client certificate."),
    (r"connecting to a plaintext broker listener|wrong version number|record layer|packet length too long", "wrong_listener",
     "{at} does not speak TLS; check security.protocol and the port."),
    (r"connecting to a ssl listener|incorrect security\.protocol|connecting to a sasl listener|requesting ApiVersion", "wrong_listener",
     "{at} hangs up at the first request; check security.protocol and the port: it may be a TLS or SASL listener."),
    (r"invalid response size|unsupported protocol version|protocol parse failure", "wrong_listener",
     "What answers at {at} is not Kafka."),
    (r"ssl handshake failed|_SSL", "tls",
     "No secure connection to {at} could be made."),
    (r"failed to resolve|_RESOLVE", "dns",
     "The name in {at} cannot be resolved."),
    (r"connection refused", "refused",
     "Nothing listens at {at} (connection refused)."),
    (r"network is unreachable|no route to host|host is unreachable", "unreachable",
     "No network route leads to {at}."),
    (r"in state APIVERSION_QUERY", "wrong_listener",
     "{at} hangs up at the first request; check security.protocol and the port: it may be a TLS listener."),
    (r"connection setup timed out|connect .*timed out", "timeout",
     "{at} does not take the connection (timed out)."),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), code, text) for pattern, code, text in _CAUSES)
_ADDRESS = re.compile(r"(?:^|\s|/)([\w.\-]+:\d{1,5}|\[[0-9a-fA-F:.%\w]+\]:\d{1,5})/(?:bootstrap|\d+)")


def cluster_failure(error: object, hints: Iterable[str], bootstrap: str) -> GatewayFailed:
    """Why the cluster did not answer: from the error of the call and from what the client said about its connections."""
    name = error_name(error)
    texts = [*hints, f"{name} {error}"]
    for pattern, code, sentence in _COMPILED:
        for text in texts:
            if pattern.search(text):
                found = _ADDRESS.search(text)
                return GatewayFailed(code, sentence.format(at=found.group(1) if found else bootstrap))
    if name in {"_TIMED_OUT", "REQUEST_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN"} or isinstance(
        error, TimeoutError
    ):
        return GatewayFailed("timeout", f"No broker at {bootstrap} answered in time.")
    if _ENTITY_CODES.get(name) == "not_allowed":
        return GatewayFailed(
            "not_allowed", "The portal's Kafka user may not read the cluster (docs/kafka-permissions.md)."
        )
    return GatewayFailed(
        name.strip("_").lower() or "unexpected",
        f"The cluster at {bootstrap} did not answer: {name or type(error).__name__}.",
    )
