"""Who comes to the demo's Kafka with a certificate, and what each of them may do. Data only."""

from dataclasses import dataclass

from ops_portal.demo.pki import Kind, Wanted
from ops_portal.demo.topology import ALERTS, CANARY, CLIENTS, GROUPS, NAV, TopicSpec

PORTAL = "ops-portal"
WRITER, TRESPASSER, LATECOMER, LOADER = (
    "northgate-orders",
    "brightwater-signals",
    "stonebridge-legacy",
    "oakhaven-loader",
)

_NEAR_ITS_END = "harbourline"
_HOUR = {"retention.ms": str(60 * 60_000), "segment.ms": str(15 * 60_000)}
ORDERS, VALUATIONS = "northgate.orders", "oakhaven.valuations"
CLIENT_TOPICS = (TopicSpec(ORDERS, 6, 0.0, _HOUR), TopicSpec(VALUATIONS, 1, 0.0, _HOUR))

REGISTRY = Wanted("schema-registry", Kind.REGISTRY, hosts=("localhost", "127.0.0.1", "registry.kafka.example"))


@dataclass(frozen=True, slots=True)
class Right:
    """An allowed operation on a topic, else on a group, else on the cluster. A name that ends with `*` is a prefix, `*` is all."""

    operation: str  # Kafka's word
    topic: str = ""
    group: str = ""
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """`days` and `least_days` as in `Wanted`; `produce_bytes` is its quota a second and broker, None for no quota."""

    name: str
    rights: tuple[Right, ...]
    days: float = 355.0
    least_days: float | None = 30.0
    produce_bytes: int | None = None

    @property
    def certificate(self) -> Wanted:
        return Wanted(self.name, Kind.CLIENT, days=self.days, least_days=self.least_days)


def _reads(key: str) -> tuple[Right, ...]:
    """What the consumer groups of a client need."""
    topics = sorted({spec.topic for spec in GROUPS if spec.name.startswith(f"{key}-")})
    return (Right("READ", group=f"{key}-*"), *(Right("READ", topic=name) for name in topics))


def _consumers(key: str) -> Principal:
    """A client's own principal; one client's certificate is near its end."""
    if key == _NEAR_ITS_END:
        return Principal(key, _reads(key), days=20.0, least_days=15.0)
    return Principal(key, _reads(key))


# docs/kafka-permissions.md, and no more.
_PORTAL_RIGHTS = (
    Right("DESCRIBE"),
    Right("DESCRIBE_CONFIGS"),
    Right("DESCRIBE", group="*"),
    Right("DESCRIBE", topic="*"),
    Right("DESCRIBE_CONFIGS", topic="*"),
    Right("WRITE", topic=CANARY.name),  # DESCRIBE it has on all
)

PRINCIPALS = (
    Principal(PORTAL, _PORTAL_RIGHTS),
    *(_consumers(spec.key) for spec in CLIENTS),
    Principal(WRITER, (Right("WRITE", topic=ORDERS),)),
    # May read two topics and tries to write them: no rule lets it write the one, a rule forbids the other.
    Principal(
        TRESPASSER,
        (Right("READ", topic=ALERTS), Right("READ", topic=NAV), Right("WRITE", topic=NAV, denied=True)),
    ),
    Principal(LATECOMER, (Right("WRITE", topic=ORDERS),), days=-3.0, least_days=None),
    Principal(LOADER, (Right("WRITE", topic=VALUATIONS),), produce_bytes=20 * 1024),
)  # fmt: skip


def principal_of_group(name: str) -> str:
    """The principal a client's consumer group comes as; empty for the platform's own groups."""
    return next((spec.key for spec in CLIENTS if name.startswith(f"{spec.key}-")), "")
