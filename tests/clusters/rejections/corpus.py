"""Log lines in the forms that Kafka's sources write them, for tests.

The message of StandardAuthorizer is that of `StandardAuthorizerData.buildAuditMessage`; those of the ZooKeeper era are the
ones of `AclAuthorizer.logAuditMessage` (2.4 to 3.9) and `SimpleAclAuthorizer` (up to 2.3).
"""

import random
from datetime import UTC, datetime

from clusters.rejections.types import Kind, Rejected

OPERATIONS = (
    "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION", "DESCRIBE_CONFIGS", "ALTER_CONFIGS",
    "IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT",
)  # fmt: skip


def stamp(at: float) -> str:
    """log4j's `%d` in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]


def denied_line(
    at: float,
    principal: str = "User:northgate-feed",
    operation: str = "WRITE",
    host: str = "10.1.2.3",
    resource: str = "Topic:LITERAL:northgate-orders",
    request: str = "Produce",
    references: str = "1",
    rule: str = "DefaultDeny",
    verdict: str = "Denied",
) -> str:
    """A line of StandardAuthorizer under Kafka's own layout."""
    return (
        f"[{stamp(at)}] {'INFO' if verdict == 'Denied' else 'DEBUG'} Principal = {principal} is {verdict} operation = "
        f"{operation} from host = {host} on resource = {resource} for request = {request} with resourceRefCount = "
        f"{references} based on rule {rule} (kafka.authorizer.logger)"
    )


def corpus(count: int) -> list[tuple[str, Rejected]]:
    """Lines with what they say, the same each time: every operation, resource type and form, names of every kind."""
    chance = random.Random(4)
    return [_made(chance, number) for number in range(count)]


_NAMES = (
    "orders",
    "trades.execution",
    "a_b-c",
    "grüße",
    "with blank",
    "x for request = Fetch",
    "名前",
    "a:b",
    "[x] (y)",
    "é" * 90,
)
_PRINCIPALS = (
    "User:alice",
    "User:CN=feed,OU=Trading,O=Northgate Capital,C=CH",
    "User:svc@EXAMPLE.COM",
    "Group:ops",
    "User:ANONYMOUS",
    "User:o'neill",
)
_TYPES = ("Topic", "Group", "Cluster", "TransactionalId", "DelegationToken", "User")
_REQUESTS = (
    "Produce",
    "Fetch",
    "Metadata",
    "FindCoordinator",
    "CreateTopics",
    "InitProducerId",
    "ConsumerGroupHeartbeat",
)
_HOSTS = ("10.1.2.3", "127.0.0.1", "0:0:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:17", "fe80:0:0:0:1:2:3:4%eth0")


def _made(chance: random.Random, number: int) -> tuple[str, Rejected]:
    at = 1_795_000_000 + number * 7.321
    at = float(f"{at:.3f}")
    kind, name = chance.choice(_TYPES), chance.choice(_NAMES)
    pattern = chance.choice(("LITERAL", "PREFIXED"))
    principal, operation = chance.choice(_PRINCIPALS), chance.choice(OPERATIONS)
    host, request = chance.choice(_HOSTS), chance.choice(_REQUESTS)
    said = Rejected(
        Kind.ACL, at, principal, _words(kind), name, pattern, "", host, "", operation, request, "DefaultDeny"
    )  # fmt: skip
    form = number % 5
    if form == 4:
        line = f"[{stamp(at)}] INFO [DENY] Auth request {_pascal(operation)} on {kind}:{pattern}:{name} by User {principal.partition(':')[2]} (io.aiven.kafka.auth.AivenAclAuthorizerV2)"
        return line, said._replace(principal=f"User:{principal.partition(':')[2]}", host="", request="", rule="")
    if form == 3:
        line = f"[{stamp(at)}] INFO Principal = {principal} is Denied Operation = {_pascal(operation)} from host = {host} on resource = {kind}:{pattern}:{name} (kafka.authorizer.logger)"
        return line, said._replace(request="", rule="")
    if form == 2:
        line = f"[{stamp(at)}] INFO Principal = {principal} is Denied Operation = {_pascal(operation)} from host = {host} on resource = {kind}:{pattern}:{name} for request = {request} with resourceRefCount = {number % 9 + 1} (kafka.authorizer.logger)"
        return line, said._replace(rule="")
    rule = "DefaultDeny"
    if form == 1:
        rule = (
            f"MatchingAcl(acl=StandardAcl[resourceType={_words(kind).upper()}, resourceName={name}, patternType={pattern}, "
            f"principal={principal}, host=*, operation={operation}, permissionType=DENY])"
        )
    line = denied_line(at, principal, operation, host, f"{kind}:{pattern}:{name}", request, str(number % 9 + 1), rule)
    return line, said._replace(rule=rule)


def _words(kind: str) -> str:
    return {"TransactionalId": "transactional_id", "DelegationToken": "delegation_token"}.get(kind, kind.lower())


def _pascal(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))
