"""Log lines in the forms that Kafka's sources write them, for tests.

The message of StandardAuthorizer is that of `StandardAuthorizerData.buildAuditMessage`; those of the ZooKeeper era are the
ones of `AclAuthorizer.logAuditMessage` (2.4 to 3.9) and `SimpleAclAuthorizer` (up to 2.3).
"""

from datetime import UTC, datetime

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
