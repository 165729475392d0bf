"""What would let a refused request through: the smallest ACL, the rule to remove, or what to look at."""

import re
import shlex

from clusters.rejections.types import Kind, Rejected, Resource

_DENY_ACL = re.compile(
    r"StandardAcl\[resourceType=(?P<type>\w+), resourceName=(?P<name>.*), patternType=(?P<pattern>\w+), "
    r"principal=(?P<principal>.*), host=(?P<host>[^,]*), operation=(?P<operation>\w+), permissionType=DENY\]"
)
_FLAGS = {
    Resource.TOPIC: "--topic",
    Resource.GROUP: "--group",
    Resource.TRANSACTIONAL_ID: "--transactional-id",
    Resource.DELEGATION_TOKEN: "--delegation-token",
    Resource.USER: "--user-principal",
}
_OPERATIONS = {"DESCRIBE_CONFIGS": "DescribeConfigs", "ALTER_CONFIGS": "AlterConfigs",
               "CLUSTER_ACTION": "ClusterAction", "IDEMPOTENT_WRITE": "IdempotentWrite", "CREATE_TOKENS": "CreateTokens",
               "DESCRIBE_TOKENS": "DescribeTokens", "TWO_PHASE_COMMIT": "TwoPhaseCommit"}  # fmt: skip
_IMPLIED = {
    Resource.TOPIC: " Read, Write, Delete or Alter of the topic include Describe: grant the one the client is meant to have.",
    Resource.GROUP: " Read of the group includes Describe; a consumer needs Read.",
    Resource.TRANSACTIONAL_ID: " Write of the transactional id includes Describe.",
}
_TLS_FIX = (
    "Present a certificate, with its intermediate, that chains to a root the listener trusts and that has not expired; the "
    "broker's log tells the cause at DEBUG of SslTransportLayer."
)


def fix_of(rejected: Rejected) -> str:
    """One or two sentences, with the command where there is one. Empty when nobody can say."""
    if rejected.kind is Kind.ACL:
        return _registry_access(rejected) if rejected.subject else _acl(rejected)
    if rejected.kind is Kind.AUTHENTICATION:
        return _authentication(rejected)
    if rejected.kind is Kind.SCHEMA:
        return _schema(rejected)
    return _quota(rejected)


def minimal_acl(rejected: Rejected) -> list[str]:
    """Arguments of kafka-acls.sh that allow exactly this operation on exactly this resource; empty where no ACL can."""
    target = _target(rejected.resource_type, rejected.resource)
    if not target or ":" not in rejected.principal:
        return []
    return ["--add", "--allow-principal", rejected.principal, "--operation", _operation(rejected.operation), *target]


def _acl(rejected: Rejected) -> str:
    denied = _DENY_ACL.search(rejected.rule)
    if denied is not None:
        return _remove_denial(denied)
    arguments = minimal_acl(rejected)
    if not arguments:
        return f"Allow {rejected.principal} {rejected.operation} on {rejected.resource_type} {rejected.resource}."
    more = ""
    if rejected.operation == "DESCRIBE":
        more = next((text for kind, text in _IMPLIED.items() if kind == rejected.resource_type), "")
    return f"Allow it: {_command(arguments)}.{more}"


def _remove_denial(denied: re.Match[str]) -> str:
    target = _target(denied["type"].lower(), denied["name"])
    if not target:
        return "A DENY rule outranks every ALLOW: remove the rule named here."
    pattern = ["--resource-pattern-type", denied["pattern"].lower()] if denied["pattern"] != "LITERAL" else []
    host = ["--deny-host", denied["host"]] if denied["host"] != "*" else []
    arguments = [
        "--remove", "--deny-principal", denied["principal"], *host, "--operation", _operation(denied["operation"]),
        *target, *pattern,
    ]  # fmt: skip
    return f"A DENY rule outranks every ALLOW. Remove it, and see that an ALLOW is left: {_command(arguments)}."


def _authentication(rejected: Rejected) -> str:
    if rejected.subject:
        return "Send the registry's user name and password, or token, with the request."
    if rejected.operation.startswith("TLS"):
        return _TLS_FIX
    if "invalid credentials" in rejected.rule:
        return "Check user name and password of the client on this host, and that the user has this mechanism's credentials."
    if "mechanism" in rejected.rule.lower():
        return "Set sasl.mechanism of the client to one that the listener enables."
    return "Check the client's security.protocol and credentials for this listener."


def _schema(rejected: Rejected) -> str:
    if "422" in rejected.rule or "42201" in rejected.rule:
        return "Correct the schema's text: the registry cannot read it."
    if not rejected.subject:
        return "Send records that follow the schema the topic's subject holds."
    return (
        f"Make the change compatible and try it first: `manage.py check_schema {shlex.quote(rejected.subject)} FILE` names "
        "the field that breaks it."
    )


def _quota(rejected: Rejected) -> str:
    name = rejected.principal.removeprefix("User:")
    key = {"Produce": "producer_byte_rate", "Fetch": "consumer_byte_rate", "Request": "request_percentage"}.get(
        rejected.operation, "controller_mutation_rate"
    )
    if not name:
        return f"Send less, or raise {key} for this client id."
    arguments = ["--alter", "--add-config", f"{key}=VALUE", "--entity-type", "users", "--entity-name", name]
    return f"Send less, or raise the quota: {_command(arguments, 'kafka-configs.sh')}."


def _registry_access(rejected: Rejected) -> str:
    return f"Give {rejected.principal or 'the caller'} the right to write subject {rejected.subject} in the registry."


def _target(kind: str, name: str) -> list[str]:
    if kind == Resource.CLUSTER:
        return ["--cluster"]
    flag = next((flag for resource, flag in _FLAGS.items() if resource == kind), "")
    return [flag, name] if flag and name else []


def _operation(word: str) -> str:
    return _OPERATIONS.get(word, word.capitalize())


def _command(arguments: list[str], tool: str = "kafka-acls.sh") -> str:
    return f"`{tool} {shlex.join(arguments)}`"
