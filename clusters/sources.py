"""What is polled: kinds of sources, registered by the apps that know how to read them.

An app registers its kind in `apps.ready`:

    sources.register("lag", handler=poll_lag, default_period=lambda: settings.LAG_PERIOD_SECONDS)

Every cluster then has a source of that kind. Its handler is called once per slot, by one worker, with a `Poll`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from clusters.gateways.connect import kafka_port
from clusters.models import Cluster
from clusters.ports import EntityError, KafkaPort, Metadata
from ops_portal.lib.clock import Clock
from ops_portal.lib.resilience import Deadline

# A machine that is merely slow must not lose its worker again and again.
WATCHDOG_MARGIN_SECONDS = 30.0

Connect = Callable[[Cluster, Clock], KafkaPort]


class RunDropped(Exception):
    """A handler's word that this run had nothing to do, e.g. a newer slot is stored already. Says nothing of the cluster."""


@dataclass(slots=True)
class Poll:
    """One run of a source, as its handler sees it. `clock` is anchored to the database; every outside call takes `deadline`."""

    cluster: Cluster
    kind: str
    slot: int
    period_seconds: float
    clock: Clock
    deadline: Deadline
    connect: Connect = kafka_port
    _port: KafkaPort | None = None

    @property
    def kafka(self) -> KafkaPort:
        """The port on the cluster; opened on first use. Raises GatewayFailed."""
        if self._port is None:
            self._port = self.connect(self.cluster, self.clock)
        return self._port

    @property
    def seen(self) -> Metadata | None:
        """The newest metadata that was read in this run."""
        return None if self._port is None else self._port.seen

    @property
    def requests(self) -> Mapping[str, int]:
        """Kafka requests sent so far, by API."""
        return {} if self._port is None else self._port.requests.by_api


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found: what failed while the rest went on, and figures for the run's row (groups, seconds per stage ...)."""

    errors: Iterable[EntityError] = ()
    counts: Mapping[str, float] = field(default_factory=dict)


# Raises GatewayFailed or DeadlinePassed when the cluster as a whole did not answer.
Handler = Callable[[Poll], Outcome]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source. `default_period` gives the seconds of a new source, `applies` which clusters have one."""

    name: str
    handler: Handler
    default_period: Callable[[], int]
    applies: Callable[[Cluster], bool]


_kinds: dict[str, Kind] = {}


def register(
    name: str,
    handler: Handler,
    default_period: Callable[[], int],
    applies: Callable[[Cluster], bool] = lambda cluster: True,
) -> None:
    """Make a kind known; once per name and process."""
    if name in _kinds:
        raise ValueError(f"the source kind {name} is registered twice")
    _kinds[name] = Kind(name, handler, default_period, applies)


def unregister(name: str) -> None:
    """Forget a kind; for tests that register their own."""
    _kinds.pop(name, None)


def kind_named(name: str) -> Kind | None:
    return _kinds.get(name)


def kinds() -> list[Kind]:
    """Every registered kind, by name."""
    return [_kinds[name] for name in sorted(_kinds)]


def deadline_seconds(period_seconds: float) -> float:
    """How long one run may take: two periods, at least 3 and at most 30 s."""
    return min(30.0, max(3.0, 2 * period_seconds))


def watchdog_seconds(period_seconds: float) -> float:
    """When a run that did not heed its deadline costs its worker's life."""
    return max(3 * period_seconds, deadline_seconds(period_seconds)) + WATCHDOG_MARGIN_SECONDS
